//! A PAD before a convolution: the edges are as the convolution's own padding, if they hold its zero.

use std::collections::HashSet;

use apu_kernels::{conv_2d, depthwise_conv_2d};
use apu_proto::program::{Conv2d, DepthwiseConv2d, OP_RANK, Pad, Window, opcode};

use crate::{
    legalise::{Operand, Record},
    storage::{Home, Storage},
};

/// Where batch, height, width and channels stand in a shape of [`OP_RANK`] dimensions.
const BATCH: usize = OP_RANK - 4;
const HEIGHT: usize = OP_RANK - 3;
const WIDTH: usize = OP_RANK - 2;
const CHANNELS: usize = OP_RANK - 1;

pub(super) fn fuse(storage: &mut Storage) {
    let readers = storage.readers();
    let mut gone = HashSet::new();
    for index in 0..storage.records.len() {
        let pad = &storage.records[index];
        let (opcode::PAD, [input, Operand::Write(padded)]) = (pad.opcode, pad.operands.as_slice())
        else {
            continue;
        };
        let (root, home) = storage.home(*padded);
        let Some(&[reader]) = readers.get(&root).map(Vec::as_slice) else {
            continue;
        };
        let fused = pad
            .params::<Pad>()
            .and_then(|pad| with_padding(&storage.records[reader], &pad));
        if let (Home::Arena, Some(mut fused)) = (home, fused) {
            fused.operands[0] = input.clone();
            storage.records[reader] = fused;
            gone.insert(index);
        }
    }
    let mut index = 0..;
    storage
        .records
        .retain(|_| index.next().is_none_or(|index| !gone.contains(&index)));
}

/// The convolution that reads what the padding reads.
fn with_padding(record: &Record, pad: &Pad) -> Option<Record> {
    let mut fused = record.clone();
    match record.opcode {
        opcode::CONV_2D => {
            let mut conv: Conv2d = record.params()?;
            conv.window = padded(&conv.window, pad, conv.input_zero_point)?;
            let sizes = conv_2d::sizes(&conv).ok()?;
            fused.set_params(&conv);
            fused.set_scratch(&sizes);
        }
        opcode::DEPTHWISE_CONV_2D => {
            let mut conv: DepthwiseConv2d = record.params()?;
            conv.window = padded(&conv.window, pad, conv.input_zero_point)?;
            depthwise_conv_2d::sizes(&conv).ok()?;
            fused.set_params(&conv);
        }
        _ => return None,
    }
    Some(fused)
}

/// The window over the image without its edges, if those are of rows and columns alone.
fn padded(window: &Window, pad: &Pad, zero_point: i32) -> Option<Window> {
    let sides = |dim: usize| pad.before[dim] + pad.in_shape[dim] + pad.after[dim];
    let edges = (0..OP_RANK).filter(|&dim| pad.before[dim] + pad.after[dim] > 0);
    let is_image = pad.element_size == 1
        && pad.in_shape[..BATCH].iter().all(|&size| size == 1)
        && [BATCH, HEIGHT, WIDTH, CHANNELS].map(sides)
            == [window.batch, window.in_h, window.in_w, window.in_c];
    let zero = zero_point.to_le_bytes()[0];
    if !is_image || pad.value[0] != zero || edges.into_iter().any(|d| d != HEIGHT && d != WIDTH) {
        return None;
    }
    Some(Window {
        in_h: pad.in_shape[HEIGHT],
        in_w: pad.in_shape[WIDTH],
        pad_top: window.pad_top + pad.before[HEIGHT],
        pad_left: window.pad_left + pad.before[WIDTH],
        ..*window
    })
}
