//! The convolution as [`apu_proto::program`] defines it.

use super::{
    Conv2d,
    outliers::{Outlier, Outliers},
};
use crate::{
    channel_table::{ChannelTable, LANES},
    window::Pixel,
};

pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
) {
    let window = &conv.window;
    let block_bytes = weights.len() / window.out_c.div_ceil(LANES);
    for (pixel, pixel_output) in window.pixels().zip(output.chunks_exact_mut(window.out_c)) {
        let blocks = pixel_output
            .chunks_mut(LANES)
            .zip(weights.chunks_exact(block_bytes));
        for (index, (block_output, block_weights)) in blocks.enumerate() {
            let (mut sums, taps) = accumulate(conv, pixel, input, block_weights);
            let channels = index * LANES..(index + 1) * LANES;
            for outlier in outliers.of(channels) {
                let more = outlier.times(byte_of(conv, pixel, input, &outlier));
                sums[outlier.lane] = sums[outlier.lane].wrapping_add(more);
            }
            for (lane, (out, sum)) in block_output.iter_mut().zip(sums).enumerate() {
                let channel = index * LANES + lane;
                let correction = taps.wrapping_mul(conv.weight_zero_point);
                let acc = sum
                    .wrapping_sub(correction)
                    .wrapping_add(table.bias(channel));
                let scaled = table.rescale(channel, acc);
                *out = conv
                    .clamp
                    .store(scaled.saturating_add(conv.output_zero_point));
            }
        }
    }
}

/// The unsigned byte that an outlier is multiplied by.
fn byte_of(conv: &Conv2d, pixel: Pixel, input: &[u8], outlier: &Outlier) -> u8 {
    let channels = conv.window.in_c;
    let (kernel_x, channel) = (outlier.offset / channels, outlier.offset % channels);
    let at = conv.window.tap(pixel, outlier.kernel_y, kernel_x);
    let byte = at.map(|at| input[at + channel]);
    byte.unwrap_or(conv.input_zero_point as u8) ^ conv.byte.flip()
}

/// `Σ a·w` of the channels of a block, and `Σ a`.
fn accumulate(conv: &Conv2d, pixel: Pixel, input: &[u8], weights: &[u8]) -> ([i32; LANES], i32) {
    let window = &conv.window;
    let flip = conv.byte.flip();
    let weights = weights.as_chunks::<4>().0;
    let zero = conv.input_zero_point as u8;
    let mut sums = [0i32; LANES];
    let mut taps = 0i32;
    for kernel_y in 0..window.kernel_h {
        let mut k = kernel_y * conv.pitch;
        for kernel_x in 0..window.kernel_w {
            let tap = window
                .tap(pixel, kernel_y, kernel_x)
                .map(|at| &input[at..][..window.in_c]);
            for channel in 0..window.in_c {
                let a = i32::from(tap.map_or(zero, |tap| tap[channel]) ^ flip);
                taps = taps.wrapping_add(a);
                for (sum, lane) in sums.iter_mut().zip(&weights[k / 4 * LANES..]) {
                    *sum = sum.wrapping_add(a * i32::from(lane[k % 4] as i8));
                }
                k += 1;
            }
        }
    }
    (sums, taps)
}
