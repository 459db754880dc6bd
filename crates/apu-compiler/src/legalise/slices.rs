//! Parts of a tensor: SLICE, STRIDED_SLICE, SPLIT, SPLIT_V and UNPACK.

use super::{
    Record,
    moves::{argument, copy_one, dimension, each_dimension, expect},
    strided::{Side, Transfer, Walk, copy, row_major},
};
use crate::{
    constraints::{ARGUMENTS, LIMITS, Refusal, Site},
    graph::{Opcode, Options, StridedSlice, Tensor},
};

pub(super) fn slice(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let (begin, sizes) = (argument(site, 1)?, argument(site, 2)?);
    each_dimension("begin", &begin, input.shape.len())?;
    each_dimension("size", &sizes, input.shape.len())?;
    let mut shape = Vec::new();
    for ((&whole, &begin), &size) in input.shape.iter().zip(&begin).zip(&sizes) {
        let whole = i64::from(whole);
        let size = if size == -1 { whole - begin } else { size };
        let fits =
            begin >= 0 && size > 0 && begin.checked_add(size).is_some_and(|end| end <= whole);
        if !fits {
            return Err(ARGUMENTS.refuse(format!("{size} elements from {begin} of {whole}")));
        }
        shape.push(size as u32);
    }
    expect(site.need_output()?, &shape)?;
    let moved = Transfer {
        input: Walk::whole(&input.shape).from(&begin),
        output: Walk::whole(&shape),
        shape,
    };
    copy_one(site, moved)
}

pub(super) fn split(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (data, axis, sizes) = if site.operator.opcode == Opcode::SPLIT {
        (1, argument(site, 0)?, None)
    } else {
        (0, argument(site, 2)?, Some(argument(site, 1)?))
    };
    let input = site.need_input(data)?;
    let &[axis] = axis.as_slice() else {
        return Err(ARGUMENTS.refuse(format!("{} axes", axis.len())));
    };
    let axis = dimension(axis, input.shape.len())?;
    let whole = i64::from(input.shape[axis]);
    let count = site.operator.outputs.len() as i64;
    let sizes = match sizes {
        Some(sizes) => sizes_of_parts(sizes, whole)?,
        None if whole % count == 0 => vec![whole / count; count as usize],
        None => return Err(ARGUMENTS.refuse(format!("{whole} elements in {count} parts"))),
    };
    if sizes.len() as i64 != count || sizes.iter().sum::<i64>() != whole {
        return Err(ARGUMENTS.refuse(format!("{whole} elements in parts of {sizes:?}")));
    }
    let mut index = vec![0; input.shape.len()];
    let mut records = Vec::new();
    for (number, (part, size)) in site.outputs().zip(sizes).enumerate() {
        let mut shape = input.shape.clone();
        shape[axis] = size as u32;
        expect(part, &shape)?;
        let from = Walk::whole(&input.shape).from(&index);
        records.push(part_of(site, data, number, shape, from)?);
        index[axis] += size;
    }
    Ok(records)
}

/// Sizes of parts, one of which may be −1: what the others leave.
fn sizes_of_parts(mut sizes: Vec<i64>, whole: i64) -> Result<Vec<i64>, Refusal> {
    let known: i64 = sizes
        .iter()
        .filter(|size| **size >= 0)
        .fold(0, |sum, &size| size.saturating_add(sum));
    if let Some(rest) = sizes.iter_mut().find(|size| **size == -1) {
        *rest = whole - known;
    }
    if sizes.iter().any(|size| !(1..=whole).contains(size)) {
        return Err(ARGUMENTS.refuse(format!("{whole} elements in parts of {sizes:?}")));
    }
    Ok(sizes)
}

pub(super) fn unpack(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Stack { axis } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let input = site.need_input(0)?;
    let axis = dimension(axis.into(), input.shape.len())?;
    let count = site.operator.outputs.len();
    if input.shape[axis] as usize != count {
        return Err(ARGUMENTS.refuse(format!("{} elements in {count} parts", input.shape[axis])));
    }
    let mut shape = input.shape.clone();
    shape.remove(axis);
    let part = |(number, output): (usize, &Tensor)| {
        expect(output, &shape)?;
        let mut from = Walk::whole(&input.shape);
        from.start = from.stride.remove(axis) * number as i64;
        part_of(site, 0, number, shape.clone(), from)
    };
    site.outputs().enumerate().map(part).collect()
}

/// A box of input `data` as the whole of output `number`.
fn part_of(
    site: &Site,
    data: usize,
    number: usize,
    shape: Vec<u32>,
    from: Walk,
) -> Result<Record, Refusal> {
    let moved = Transfer {
        input: from,
        output: Walk::whole(&shape),
        shape,
    };
    let (input, output) = (Side::input(site, data)?, Side::output(site, number)?);
    copy(site, site.need_input(data)?, input, output, moved)
}

pub(super) fn strided_slice(site: &Site) -> Result<Record, Refusal> {
    let Options::StridedSlice(masks) = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let input = site.need_input(0)?;
    let ranges = Ranges {
        begin: argument(site, 1)?,
        end: argument(site, 2)?,
        stride: argument(site, 3)?,
        masks,
    };
    let (moved, shape) = ranges.apply(&input.shape)?;
    expect(site.need_output()?, &shape)?;
    copy_one(site, moved)
}

/// What a STRIDED_SLICE takes of each dimension.
struct Ranges {
    begin: Vec<i64>,
    end: Vec<i64>,
    stride: Vec<i64>,
    masks: StridedSlice,
}

impl Ranges {
    /// The box, and the output's shape, which may have more or fewer dimensions.
    fn apply(&self, input: &[u32]) -> Result<(Transfer, Vec<u32>), Refusal> {
        let count = self.begin.len();
        let ellipses = self.masks.ellipsis.count_ones();
        if self.end.len() != count || self.stride.len() != count || count > 32 || ellipses > 1 {
            return Err(ARGUMENTS.refuse(format!("{count} begins, {} ends", self.end.len())));
        }
        let set = |mask: i32, i: usize| mask >> i & 1 == 1;
        let new_axis = |i: &usize| set(self.masks.new_axis, *i) && !set(self.masks.ellipsis, *i);
        let named = (0..count)
            .filter(|i| !new_axis(i) && !set(self.masks.ellipsis, *i))
            .count();
        let hidden = input
            .len()
            .checked_sub(named)
            .ok_or_else(|| ARGUMENTS.refuse(format!("{named} of {} dimensions", input.len())))?;
        let elements = |count: i64, &size: &u32| count.checked_mul(size.into());
        if input.iter().try_fold(1, elements).is_none() {
            return Err(LIMITS.refuse("more than 2^63 elements"));
        }
        let steps = row_major(input);
        let (mut start, mut stride, mut shape) = (0, Vec::new(), Vec::new());
        let (mut dim, mut output) = (0, Vec::new());
        let whole = |dim: usize| (input[dim], steps[dim]);
        for i in 0..count {
            if set(self.masks.ellipsis, i) {
                for _ in 0..hidden {
                    let (size, step) = whole(dim);
                    shape.push(size);
                    stride.push(step);
                    output.push(size);
                    dim += 1;
                }
            } else if new_axis(&i) {
                output.push(1);
            } else {
                let (first, size, by) = self.range(i, input[dim].into())?;
                start += first * steps[dim];
                shape.push(size);
                stride.push(by * steps[dim]);
                if !set(self.masks.shrink_axis, i) {
                    output.push(size);
                }
                dim += 1;
            }
        }
        for dim in dim..input.len() {
            let (size, step) = whole(dim);
            shape.push(size);
            stride.push(step);
            output.push(size);
        }
        let moved = Transfer {
            input: Walk { start, stride },
            output: Walk::whole(&shape),
            shape,
        };
        Ok((moved, output))
    }

    /// The first element of a dimension, how many are taken, and how far they are apart: no further than the
    /// dimension is long.
    fn range(&self, i: usize, size: i64) -> Result<(i64, u32, i64), Refusal> {
        let (begin, end, stride) = (self.begin[i], self.end[i], self.stride[i]);
        let refuse = || ARGUMENTS.refuse(format!("{begin}..{end} by {stride} of {size}"));
        let wrap = |index: i64| if index < 0 { index + size } else { index };
        if self.masks.shrink_axis >> i & 1 == 1 {
            let first = if self.masks.begin >> i & 1 == 1 {
                0
            } else {
                wrap(begin)
            };
            return if (0..size).contains(&first) {
                Ok((first, 1, 1))
            } else {
                Err(refuse())
            };
        }
        // Behind the last element, and before the first, of a walk in either direction.
        let (least, most) = if stride > 0 {
            (0, size)
        } else {
            (-1, size - 1)
        };
        let first = match self.masks.begin >> i & 1 {
            1 if stride > 0 => 0,
            1 => size - 1,
            _ => wrap(begin).clamp(least, most),
        };
        let last = match self.masks.end >> i & 1 {
            1 if stride > 0 => size,
            1 => -1,
            _ if self.masks.offset => first.saturating_add(end).clamp(least, most),
            _ => wrap(end).clamp(least, most),
        };
        let span = if stride > 0 {
            last - first
        } else {
            first - last
        };
        if stride == 0 || stride == i64::MIN || span <= 0 {
            return Err(refuse());
        }
        let count = (span - 1) / stride.abs() + 1;
        let by = if count > 1 { stride } else { 1 };
        Ok((first, count as u32, by))
    }
}
