//! Elements that go from one tensor to another, and the record that copies them.

use apu_kernels::strided_copy;
use apu_proto::program::{OP_RANK, StridedCopy, opcode};

use super::{Operand, Record, record, size};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::Tensor,
};

/// A way through a tensor, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub start: i64,
    pub stride: Vec<i64>,
}

impl Walk {
    /// Through all of a dense tensor.
    pub fn whole(shape: &[u32]) -> Self {
        Self {
            start: 0,
            stride: row_major(shape),
        }
    }

    /// From this index on.
    pub fn from(mut self, index: &[i64]) -> Self {
        let steps = index.iter().zip(&self.stride);
        self.start += steps.map(|(index, step)| index * step).sum::<i64>();
        self
    }
}

/// Steps between neighbours of a dense tensor.
pub(super) fn row_major(shape: &[u32]) -> Vec<i64> {
    let mut step = 1i64;
    let mut steps = Vec::with_capacity(shape.len());
    for &size in shape.iter().rev() {
        steps.push(step);
        step = step.saturating_mul(size.into());
    }
    steps.reverse();
    steps
}

/// A box of elements that is read along one walk and written along another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub shape: Vec<u32>,
    pub input: Walk,
    pub output: Walk,
}

impl Transfer {
    /// One element, everywhere in a tensor of this shape.
    pub fn filled(shape: &[u32]) -> Self {
        Self {
            shape: shape.to_vec(),
            input: Walk {
                start: 0,
                stride: vec![0; shape.len()],
            },
            output: Walk::whole(shape),
        }
    }

    /// The same box with as few dimensions as it takes.
    fn simplified(mut self) -> Self {
        let mut dim = 0;
        while dim < self.shape.len() {
            if self.shape[dim] == 1 {
                self.remove(dim);
            } else if let Some(size) = self.joined(dim) {
                for walk in [&mut self.input, &mut self.output] {
                    walk.stride[dim - 1] = walk.stride[dim];
                }
                self.shape[dim - 1] = size;
                self.remove(dim);
            } else {
                dim += 1;
            }
        }
        self
    }

    /// As boxes of no more dimensions than a record can have, if that takes no more than this many.
    pub fn parts(self, most: usize) -> Vec<Self> {
        let whole = self.simplified();
        let count = whole.shape.first().copied().unwrap_or(1);
        if whole.shape.len() <= OP_RANK || count as usize > most {
            return vec![whole];
        }
        let slice = |index: u32| {
            let mut slice = whole.clone();
            for walk in [&mut slice.input, &mut slice.output] {
                walk.start += i64::from(index) * walk.stride[0];
            }
            slice.remove(0);
            slice.parts(most / count as usize)
        };
        (0..count).flat_map(slice).collect()
    }

    /// The size of dimension `dim` and the one before it together, if they are one.
    fn joined(&self, dim: usize) -> Option<u32> {
        let before = *self.shape.get(dim.checked_sub(1)?)?;
        before
            .checked_mul(self.shape[dim])
            .filter(|_| self.continues(dim))
    }

    /// Whether dimension `dim` and the one before it are one, for both walks.
    fn continues(&self, dim: usize) -> bool {
        let size = i64::from(self.shape[dim]);
        [&self.input, &self.output]
            .iter()
            .all(|walk| walk.stride[dim - 1] == walk.stride[dim] * size)
    }

    fn remove(&mut self, dim: usize) {
        self.shape.remove(dim);
        self.input.stride.remove(dim);
        self.output.stride.remove(dim);
    }
}

/// One side of a copy: where the elements are, and how many there are in all.
pub(super) struct Side {
    pub operand: Operand,
    pub count: u64,
}

impl Side {
    pub fn input(site: &Site, index: usize) -> Result<Self, Refusal> {
        Ok(Self {
            operand: Operand::Read(site.input_id(index)?),
            count: site.need_input(index)?.count(),
        })
    }

    pub fn output(site: &Site, index: usize) -> Result<Self, Refusal> {
        let id = site.operator.outputs.get(index).copied();
        let id = id.ok_or_else(|| ARGUMENTS.refuse(format!("no output {index}")))?;
        Ok(Self {
            operand: Operand::Write(id),
            count: site.graph.tensors[id].count(),
        })
    }

    /// One element that is known.
    pub fn element(bytes: &[u8]) -> Self {
        Self {
            operand: Operand::Packed(bytes.to_vec()),
            count: 1,
        }
    }
}

/// The record that copies a box.
pub(super) fn copy(
    site: &Site,
    elements: &Tensor,
    from: Side,
    to: Side,
    moved: Transfer,
) -> Result<Record, Refusal> {
    let Transfer {
        shape,
        input,
        output,
    } = moved.simplified();
    let params = StridedCopy {
        element_size: elements.element.dtype().map_or(0, |d| d.size() as u32),
        input_count: size("elements", from.count)?,
        output_count: size("elements", to.count)?,
        input_start: size("start", input.start)?,
        output_start: size("start", output.start)?,
        shape: six(&shape, 1)?,
        input_stride: six(&strides(&input)?, 0)?,
        output_stride: six(&strides(&output)?, 0)?,
    };
    record(
        site,
        opcode::STRIDED_COPY,
        &params,
        strided_copy::sizes(&params),
        [from.operand, to.operand],
        0,
    )
}

fn strides(walk: &Walk) -> Result<Vec<i32>, Refusal> {
    walk.stride.iter().map(|&step| size("step", step)).collect()
}

/// The values behind as many `fill`s as are missing.
fn six<T: Copy>(values: &[T], fill: T) -> Result<[T; OP_RANK], Refusal> {
    let mut padded = [fill; OP_RANK];
    let at = OP_RANK
        .checked_sub(values.len())
        .ok_or_else(|| ARGUMENTS.refuse(format!("a box of {} dimensions", values.len())))?;
    padded[at..].copy_from_slice(values);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_dimensions_become_one_where_both_walks_allow() {
        let all = |shape: &[u32]| Transfer {
            shape: shape.into(),
            input: Walk::whole(shape),
            output: Walk::whole(shape),
        };
        assert_eq!(all(&[2, 1, 3, 4]).simplified(), all(&[24]));
        let large = all(&[3, u32::MAX]);
        assert_eq!(large.clone().simplified(), large);
        let transposed = Transfer {
            output: Walk {
                start: 0,
                stride: vec![1, 2, 6],
            },
            ..all(&[2, 3, 4])
        };
        let simple = transposed.clone().simplified();
        assert_eq!(simple, transposed);
    }
}
