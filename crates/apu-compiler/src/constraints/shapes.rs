//! Shapes that fit together.

use apu_proto::program::OP_RANK;

use super::{BROADCASTING, MOVING, RESHAPING, Site};
use crate::{
    constants,
    graph::{Opcode, Options, Tensor},
    window,
};

pub(super) fn empty(site: &Site) -> Option<String> {
    site.activations()
        .chain(site.weights())
        .find(|t| t.count() == 0)
        .map(shaped)
}

pub(super) fn rank_4(site: &Site) -> Option<String> {
    site.activations()
        .chain(site.weights())
        .find(|t| t.shape.len() != 4)
        .map(shaped)
}

pub(super) fn rank_at_most_6(site: &Site) -> Option<String> {
    site.activations()
        .find(|t| t.shape.len() > OP_RANK)
        .map(shaped)
}

pub(super) fn rank_at_least_1(site: &Site) -> Option<String> {
    site.activations().find(|t| t.shape.is_empty()).map(shaped)
}

pub(super) fn conv_channels(site: &Site) -> Option<String> {
    let (input, filter) = (last(site.input(0)?)?, last(site.weights()?)?);
    let filters = site.channels()?;
    let groups = input.checked_div(filter)?;
    let fits = input == groups * filter && filters.is_multiple_of(groups);
    (!fits).then(|| format!("{filters} filters of {filter} channels for {input}"))
}

pub(super) fn depthwise_channels(site: &Site) -> Option<String> {
    let (input, filter) = (last(site.input(0)?)?, site.weights()?);
    (filter.shape.first() != Some(&1) || last(filter)? % input != 0).then(|| shaped(filter))
}

pub(super) fn fully_connected_depth(site: &Site) -> Option<String> {
    let (input, weights) = (site.input(0)?, site.weights()?);
    let &[_, depth] = weights.shape.as_slice() else {
        return Some(shaped(weights));
    };
    (!input.count().is_multiple_of(u64::from(depth)))
        .then(|| format!("{} for {}", shaped(weights), shaped(input)))
}

pub(super) fn reshaping(site: &Site) -> Option<String> {
    let (input, output) = (site.input(0)?, site.output()?);
    if let Some(shape) = site
        .input(1)
        .filter(|shape| constants::integers(shape).is_none())
    {
        return Some(format!("{}, which is computed", shape.label()));
    }
    (input.count() != output.count()).then(|| format!("{:?} for {:?}", output.shape, input.shape))
}

/// The output's shape as stored must be what TFLite would resize it to.
pub(super) fn output(site: &Site) -> Option<String> {
    let opcode = site.operator.opcode;
    if RESHAPING.contains(&opcode) || MOVING.contains(&opcode) {
        return None;
    }
    let stored = &site.output()?.shape;
    match expected(site) {
        Some(expected) if expected == *stored => None,
        Some(expected) => Some(format!("{stored:?} in place of {expected:?}")),
        None => Some(format!("{stored:?}, and inputs that don't fit together")),
    }
}

fn expected(site: &Site) -> Option<Vec<u32>> {
    if site.operator.opcode == Opcode::VAR_HANDLE {
        return site.output().map(|output| output.shape.clone());
    }
    let input = site.input(0)?;
    match site.operator.opcode {
        Opcode::CONV_2D | Opcode::DEPTHWISE_CONV_2D => windows(site, site.channels()?),
        Opcode::AVERAGE_POOL_2D | Opcode::MAX_POOL_2D => windows(site, last(input)?),
        Opcode::FULLY_CONNECTED => fully_connected(site),
        Opcode::ADD_N => {
            let mut inputs = site.activations_in();
            inputs
                .all(|other| other.shape == input.shape)
                .then(|| input.shape.clone())
        }
        opcode if BROADCASTING.contains(&opcode) => broadcast(&input.shape, &site.input(1)?.shape),
        Opcode::PAD | Opcode::PADV2 => padded(input, &constants::integers(site.input(1)?)?),
        Opcode::MEAN | Opcode::REDUCE_MAX | Opcode::REDUCE_MIN | Opcode::SUM => reduced(site),
        Opcode::SELECT | Opcode::SELECT_V2 => selected(site),
        // Checked when it is lowered.
        Opcode::ARG_MAX
        | Opcode::ARG_MIN
        | Opcode::BATCH_MATMUL
        | Opcode::DETECTION_POSTPROCESS
        | Opcode::SVDF
        | Opcode::TRANSPOSE_CONV
        | Opcode::UNIDIRECTIONAL_SEQUENCE_LSTM => site.output().map(|output| output.shape.clone()),
        Opcode::RESIZE_BILINEAR => resized(site),
        _ => Some(input.shape.clone()),
    }
}

fn windows(site: &Site, channels: u32) -> Option<Vec<u32>> {
    let &[batch, h, w, _] = site.input(0)?.shape.as_slice() else {
        return None;
    };
    let (sliding, filter) = site.window()?;
    let side = |axis: usize, size| {
        window::Side::new(&sliding, axis, size, filter[axis]).map(|side| side.output)
    };
    Some(vec![batch, side(0, h)?, side(1, w)?, channels])
}

fn fully_connected(site: &Site) -> Option<Vec<u32>> {
    let input = site.input(0)?;
    let &[units, depth] = site.weights()?.shape.as_slice() else {
        return None;
    };
    if matches!(
        site.operator.options,
        Options::FullyConnected {
            keep_num_dims: true,
            ..
        }
    ) {
        let (&innermost, outer) = input.shape.split_last()?;
        return (innermost == depth).then(|| [outer, &[units]].concat());
    }
    Some(vec![
        u32::try_from(input.count().checked_div(u64::from(depth))?).ok()?,
        units,
    ])
}

fn broadcast(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[u32], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

fn selected(site: &Site) -> Option<Vec<u32>> {
    let values = broadcast(&site.input(1)?.shape, &site.input(2)?.shape)?;
    let condition = &site.input(0)?.shape;
    // A vector selects rows, or one element all, in the operator's first version.
    if site.operator.opcode == Opcode::SELECT && condition.len() <= 1 {
        let rows = condition.first().copied().unwrap_or(1);
        return (rows == 1 || values.first() == Some(&rows)).then_some(values);
    }
    broadcast(condition, &values)
}

fn padded(input: &Tensor, paddings: &[i64]) -> Option<Vec<u32>> {
    let sides = input.shape.iter().zip(paddings.as_chunks::<2>().0);
    sides
        .map(|(&size, [before, after])| {
            u32::try_from(i64::from(size).checked_add(*before)?.checked_add(*after)?).ok()
        })
        .collect()
}

fn reduced(site: &Site) -> Option<Vec<u32>> {
    let input = &site.input(0)?.shape;
    let axes = constants::axes(site.input(1)?, input.len())?;
    let kept = input
        .iter()
        .enumerate()
        .filter(|(i, _)| !axes.contains(i))
        .map(|(_, &size)| size)
        .collect();
    let ones = input
        .iter()
        .enumerate()
        .map(|(i, &size)| if axes.contains(&i) { 1 } else { size })
        .collect();
    // Which of the two doesn't matter to the elements.
    Some(if site.output()?.shape.len() == input.len() {
        ones
    } else {
        kept
    })
}

fn resized(site: &Site) -> Option<Vec<u32>> {
    let &[batch, _, _, channels] = site.input(0)?.shape.as_slice() else {
        return None;
    };
    let size = constants::integers(site.input(1)?)?;
    let &[h, w] = size.as_slice() else {
        return None;
    };
    Some(vec![
        batch,
        h.try_into().ok()?,
        w.try_into().ok()?,
        channels,
    ])
}

fn last(tensor: &Tensor) -> Option<u32> {
    tensor.shape.last().copied()
}

fn shaped(tensor: &Tensor) -> String {
    format!("shape {:?}", tensor.shape)
}
