//! Operators that deal in blocks and edges: SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND,
//! BATCH_TO_SPACE_ND and MIRROR_PAD.

use super::{
    Record,
    moves::{MAX_COPIES, argument, copy_one, each_dimension, expect},
    quantisation,
    strided::{Side, Transfer, Walk, copy, row_major},
};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Opcode, Options, Tensor},
};

pub(super) fn depth_and_space(site: &Site) -> Result<Record, Refusal> {
    let Options::Block { size } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let to_depth = site.operator.opcode == Opcode::SPACE_TO_DEPTH;
    let (space, depth) = if to_depth {
        (input, output)
    } else {
        (output, input)
    };
    let block = u32::try_from(size).ok().filter(|&block| block > 0);
    let (Some(block), &[batch, h, w, channels], &[_, rows, columns, _]) =
        (block, space.shape.as_slice(), depth.shape.as_slice())
    else {
        return Err(ARGUMENTS.refuse(format!("blocks of {size} in {:?}", input.shape)));
    };
    let whole = |count: u32| count.checked_mul(block);
    let deep = whole(channels).and_then(whole);
    if whole(rows) != Some(h) || whole(columns) != Some(w) {
        return Err(ARGUMENTS.refuse(format!("blocks of {size} in {:?}", space.shape)));
    }
    expect(depth, &[batch, rows, columns, deep.unwrap_or(0)])?;
    // As [batch, row, column, y in the block, x in the block, channel].
    let shape = vec![batch, rows, columns, block, block, channels];
    let steps = row_major(&space.shape);
    let block = i64::from(block);
    let in_space = Walk {
        start: 0,
        stride: vec![
            steps[0],
            steps[1] * block,
            steps[2] * block,
            steps[1],
            steps[2],
            1,
        ],
    };
    let in_depth = Walk::whole(&shape);
    let (input, output) = if to_depth {
        (in_space, in_depth)
    } else {
        (in_depth, in_space)
    };
    copy_one(
        site,
        Transfer {
            shape,
            input,
            output,
        },
    )
}

/// Each place within a block is a copy of every `block`th element of the space, as far as that lies
/// in the padding or crop.
pub(super) fn batch_and_space(site: &Site) -> Result<Vec<Record>, Refusal> {
    let to_batch = site.operator.opcode == Opcode::SPACE_TO_BATCH_ND;
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (space, batch) = if to_batch {
        (input, output)
    } else {
        (output, input)
    };
    let blocks = Blocks::new(site, space, batch)?;
    let mut records = Vec::new();
    if to_batch && blocks.is_padded() {
        records.push(pad(site, output)?);
    }
    for place in 0..blocks.count {
        let Some((shape, in_space, in_batch)) = blocks.copy(space, batch, place) else {
            continue;
        };
        let (from, to) = if to_batch {
            (in_space, in_batch)
        } else {
            (in_batch, in_space)
        };
        let moved = Transfer {
            shape,
            input: from,
            output: to,
        };
        records.push(copy_one(site, moved)?);
    }
    Ok(records)
}

/// Sizes of blocks, and how much wider than the space they are.
struct Blocks {
    sizes: Vec<i64>,
    /// Before and after, by spatial dimension.
    edges: Vec<[i64; 2]>,
    count: usize,
}

impl Blocks {
    fn new(site: &Site, space: &Tensor, batch: &Tensor) -> Result<Self, Refusal> {
        let (sizes, edges) = (argument(site, 1)?, argument(site, 2)?);
        let refuse = || ARGUMENTS.refuse(format!("blocks of {sizes:?} with edges {edges:?}"));
        let (pairs, rest) = edges.as_chunks::<2>();
        let rank = space.shape.len();
        if pairs.len() != sizes.len()
            || !rest.is_empty()
            || sizes.len() >= rank
            || batch.shape.len() != rank
        {
            return Err(refuse());
        }
        let count = sizes
            .iter()
            .try_fold(1usize, |count, &size| {
                count.checked_mul(usize::try_from(size).ok()?)
            })
            .filter(|count| (1..=MAX_COPIES).contains(count))
            .ok_or_else(refuse)?;
        let fits = |dim: usize| {
            let [before, after] = pairs[dim];
            let side = i64::from(space.shape[dim + 1])
                .checked_add(before)?
                .checked_add(after)?;
            (before >= 0 && after >= 0 && side == i64::from(batch.shape[dim + 1]) * sizes[dim])
                .then_some(())
        };
        let whole = u64::from(space.shape[0]) * count as u64 == u64::from(batch.shape[0]);
        let behind = sizes.len() + 1;
        if !whole
            || space.shape[behind..] != batch.shape[behind..]
            || !(0..sizes.len()).all(|dim| fits(dim).is_some())
        {
            return Err(refuse());
        }
        Ok(Self {
            edges: pairs.to_vec(),
            sizes,
            count,
        })
    }

    fn is_padded(&self) -> bool {
        self.edges.iter().flatten().any(|&edge| edge > 0)
    }

    /// What is copied for one place in the blocks: its shape, and where it is in the space and in the
    /// batch. `None` if all of it lies at the edges.
    fn copy(&self, space: &Tensor, batch: &Tensor, place: usize) -> Option<(Vec<u32>, Walk, Walk)> {
        let mut shape = space.shape.clone();
        let [mut in_space, mut in_batch] = [space, batch].map(|t| Walk::whole(&t.shape));
        in_batch.start = in_batch.stride[0] * place as i64 * i64::from(space.shape[0]);
        let mut rest = place as i64;
        for dim in (0..self.sizes.len()).rev() {
            let (size, [before, _]) = (self.sizes[dim], self.edges[dim]);
            let offset = rest % size - before;
            rest /= size;
            // Element i of the batch is element i · size + offset of the space.
            let first = quotient_up((-offset).max(0), size);
            let side = i64::from(space.shape[dim + 1]);
            let end = quotient_up((side - offset).max(0), size);
            let end = end.min(batch.shape[dim + 1].into());
            shape[dim + 1] = u32::try_from(end - first).ok().filter(|&count| count > 0)?;
            in_space.start += (first * size + offset) * in_space.stride[dim + 1];
            in_space.stride[dim + 1] *= size;
            in_batch.start += first * in_batch.stride[dim + 1];
        }
        Some((shape, in_space, in_batch))
    }
}

/// The quotient of two numbers that are not negative, rounded up.
fn quotient_up(of: i64, by: i64) -> i64 {
    (of + by - 1) / by
}

/// The output filled with its zero point.
fn pad(site: &Site, output: &Tensor) -> Result<Record, Refusal> {
    let size = output.element.dtype().map_or(0, |dtype| dtype.size());
    let zero_point = match output.element.range() {
        Some(_) => quantisation(output)?.1,
        None => 0,
    };
    let mut value = i64::from(zero_point).to_le_bytes().to_vec();
    value.truncate(size);
    let moved = Transfer::filled(&output.shape);
    copy(
        site,
        output,
        Side::element(&value),
        Side::output(site, 0)?,
        moved,
    )
}

/// The middle, and the edges as copies of what lies behind them, walked backwards.
pub(super) fn mirror_pad(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::MirrorPad { symmetric } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let paddings = argument(site, 1)?;
    let (pairs, _) = paddings.as_chunks::<2>();
    each_dimension("paddings", &paddings, 2 * input.shape.len())?;
    let mut parts = vec![Vec::new()];
    let mut shape = Vec::new();
    for (&size, &pair) in input.shape.iter().zip(pairs) {
        let bands = bands(size.into(), pair, symmetric)?;
        shape.push((i64::from(size) + pair[0] + pair[1]) as u32);
        parts = parts
            .iter()
            .flat_map(|part: &Vec<Band>| {
                bands
                    .iter()
                    .map(|&band| [part.as_slice(), &[band]].concat())
            })
            .collect();
        if parts.len() > MAX_COPIES {
            return Err(ARGUMENTS.refuse(format!("{} dimensions with edges", input.shape.len())));
        }
    }
    expect(output, &shape)?;
    parts
        .iter()
        .map(|part| mirror(site, input, output, part))
        .collect()
}

/// Part of one dimension of the output.
#[derive(Clone, Copy)]
struct Band {
    to: i64,
    count: i64,
    /// The first element of the input, and the step from there: 1 or −1.
    from: i64,
    step: i64,
}

/// The edge before, the middle, and the edge behind, of those that aren't empty.
fn bands(size: i64, [before, after]: [i64; 2], symmetric: bool) -> Result<Vec<Band>, Refusal> {
    let most = if symmetric { size } else { size - 1 };
    if !(0..=most).contains(&before) || !(0..=most).contains(&after) {
        return Err(ARGUMENTS.refuse(format!("edges of {before} and {after} around {size}")));
    }
    let skip = i64::from(!symmetric);
    let band = |to, count, from, step| Band {
        to,
        count,
        from,
        step,
    };
    let all = [
        band(0, before, before - 1 + skip, -1),
        band(before, size, 0, 1),
        band(before + size, after, size - 1 - skip, -1),
    ];
    Ok(all.into_iter().filter(|band| band.count > 0).collect())
}

fn mirror(site: &Site, input: &Tensor, output: &Tensor, part: &[Band]) -> Result<Record, Refusal> {
    let index = |place: fn(&Band) -> i64| part.iter().map(place).collect::<Vec<i64>>();
    let mut from = Walk::whole(&input.shape).from(&index(|band| band.from));
    for (step, band) in from.stride.iter_mut().zip(part) {
        *step *= band.step;
    }
    let moved = Transfer {
        shape: part.iter().map(|band| band.count as u32).collect(),
        input: from,
        output: Walk::whole(&output.shape).from(&index(|band| band.to)),
    };
    copy_one(site, moved)
}
