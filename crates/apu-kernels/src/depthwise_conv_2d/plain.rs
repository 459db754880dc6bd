//! The depthwise convolution as [`apu_proto::program`] defines it.

use super::DepthwiseConv2d;
use crate::{
    channel_table::{ChannelTable, LANES},
    window::Pixel,
};

pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let window = &conv.window;
    let weights = weights.as_chunks::<2>().0;
    for (pixel, pixel_output) in window.pixels().zip(output.chunks_exact_mut(window.out_c)) {
        for (index, block_output) in pixel_output.chunks_mut(LANES).enumerate() {
            let first = index * LANES;
            let sums = accumulate(conv, pixel, first, input, weights);
            for (lane, (out, sum)) in block_output.iter_mut().zip(sums).enumerate() {
                let acc = sum.wrapping_add(table.bias(first + lane));
                let scaled = table.rescale(first + lane, acc);
                *out = conv
                    .clamp
                    .store(scaled.saturating_add(conv.output_zero_point));
            }
        }
    }
}

/// `Σ (x − input zero point)·w` of the channels from `first` on.
fn accumulate(
    conv: &DepthwiseConv2d,
    pixel: Pixel,
    first: usize,
    input: &[u8],
    weights: &[[u8; 2]],
) -> [i32; LANES] {
    let window = &conv.window;
    let multiplier = window.out_c / window.in_c;
    let lanes = LANES.min(window.out_c - first);
    let mut sums = [0i32; LANES];
    let mut taps = weights.chunks_exact(window.out_c.next_multiple_of(LANES));
    for kernel_y in 0..window.kernel_h {
        for (kernel_x, tap_weights) in (0..window.kernel_w).zip(&mut taps) {
            let Some(at) = window.tap(pixel, kernel_y, kernel_x) else {
                continue;
            };
            for (lane, sum) in sums[..lanes].iter_mut().enumerate() {
                let x = conv.byte.widen(input[at + (first + lane) / multiplier])
                    - conv.input_zero_point;
                let w = i32::from(i16::from_le_bytes(tap_weights[first + lane]));
                *sum = sum.wrapping_add(x * w);
            }
        }
    }
    sums
}
