//! 3x3 windows that slide along a row (AVX512-VNNI): each column of the input becomes words of its three rows' bytes
//! once, stays in registers while windows are over it, and meets four vectors of weights, so that 64 sums, of 64
//! channels or of 32 or 16 of some pixels, are bytes side by side after packing.

mod input;
mod kernel;

use self::{
    input::{Column, Input},
    kernel::Kernel,
};
use super::DepthwiseConv2d;
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::{
        avx512::{Finish, quarters, store_16, store_64},
        ramp::{BENT, FINE, Factors, STRAIGHT, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Rows and columns of a window.
const SIDE: usize = 3;
/// Bytes of a vector.
const VECTOR: usize = 64;
/// Pixels of a row that is not short.
const NARROW: usize = 16;

/// Whether [`run`] takes a convolution whose weights are sums of two signed bytes.
pub(super) fn takes(conv: &DepthwiseConv2d) -> bool {
    let window = &conv.window;
    (window.kernel_h, window.kernel_w) == (SIDE, SIDE)
        && (window.dilation_h, window.dilation_w) == (1, 1)
        && window.stride_w <= 2
        && window.in_c == window.out_c
        && window.out_c.is_multiple_of(LANES)
        // To bring short rows' pixels together isn't worth it.
        && (window.out_c >= 3 * LANES || window.stride_w * window.out_w >= NARROW)
        && conv.is_rounded_by_vectors()
}

/// Computes the output of what it [`takes`]. Weights come with whether some aren't signed bytes.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: (&[u8], bool),
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let slide = Slide {
        conv,
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let (channels, mut done) = (conv.window.out_c, 0);
    while done < channels {
        let (channel, width) = block(channels, done, conv.window.out_w);
        let kernel = Kernel::new(conv, weights, &table, channel, width);
        match (VECTOR / width, conv.window.stride_w) {
            (1, 1) => slide.block::<1, 1>(&kernel, input, output),
            (1, _) => slide.block::<1, 2>(&kernel, input, output),
            (2, 1) => slide.block::<2, 1>(&kernel, input, output),
            (2, _) => slide.block::<2, 2>(&kernel, input, output),
            (_, 1) => slide.block::<4, 1>(&kernel, input, output),
            (_, _) => slide.block::<4, 2>(&kernel, input, output),
        }
        done = channel + width;
    }
}

/// The first of the next channels, `done` of which are done, and how many are computed at once.
fn block(channels: usize, done: usize, pixels: usize) -> (usize, usize) {
    match channels - done {
        VECTOR.. => (done, VECTOR),
        // To do some again takes less than to bring short rows' pixels together.
        _ if channels >= VECTOR && pixels < NARROW => (channels - VECTOR, VECTOR),
        rest @ (48.. | 32 | LANES) => (done, rest),
        _ => (done, 32),
    }
}

/// What is the same for all channels.
struct Slide<'a> {
    conv: &'a DepthwiseConv2d,
    finish: Finish,
}

impl Slide<'_> {
    /// The channels of a kernel, which with those of `P` pixels fill a vector, of windows `S` pixels apart.
    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn block<const P: usize, const S: usize>(
        &self,
        kernel: &Kernel,
        input: &[u8],
        output: &mut [u8],
    ) {
        let window = &self.conv.window;
        let positions = window.out_w.div_ceil(P);
        let mut outputs = output.chunks_exact_mut(window.out_w * window.out_c);
        for batch in 0..window.batch {
            for (y, output) in outputs.by_ref().take(window.out_h).enumerate() {
                let input = Input::<P, S>::new(self.conv, input, (batch, y), kernel.channel);
                let output = &mut output[kernel.channel..];
                self.row(kernel, &input, positions, output);
            }
        }
    }

    /// The positions of a row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn row<const P: usize, const S: usize>(
        &self,
        kernel: &Kernel,
        input: &Input<'_, P, S>,
        positions: usize,
        output: &mut [u8],
    ) {
        match &kernel.factors {
            Factors::Straight(ramps) => self.positions(kernel, input, positions, output, |sums| {
                packed_4x16::<STRAIGHT>(&self.finish, ramps.each_ref(), sums)
            }),
            Factors::Bent(ramps) => self.positions(kernel, input, positions, output, |sums| {
                packed_4x16::<BENT>(&self.finish, ramps.each_ref(), sums)
            }),
            Factors::Fine(ramps) => self.positions(kernel, input, positions, output, |sums| {
                packed_4x16::<FINE>(&self.finish, ramps.each_ref(), sums)
            }),
            Factors::Exact(factors) => {
                self.positions(kernel, input, positions, output, |mut sums| {
                    for (sum, factors) in sums.iter_mut().zip(factors) {
                        *sum = factors.apply(*sum);
                    }
                    self.finish.packed_4x16(sums)
                });
            }
        }
    }

    /// As [`Self::row`], with what makes bytes of sums.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn positions<const P: usize, const S: usize>(
        &self,
        kernel: &Kernel,
        input: &Input<'_, P, S>,
        end: usize,
        output: &mut [u8],
        bytes: impl Fn([__m512i; 4]) -> __m512i,
    ) {
        let weights = kernel.weights;
        let mut columns = input.first(0);
        let inner = input.inner();
        let mut position = 0;
        macro_rules! next {
            ($edge:literal) => {
                // SAFETY: the inner positions are those without an edge.
                let (taps, ahead) = unsafe { input.next::<$edge>(position, columns) };
                columns = ahead;
                let mut sums = kernel.start;
                for (taps, weights) in taps.iter().zip(&weights) {
                    add_products(&mut sums, taps, weights);
                }
                if kernel.is_wide {
                    for (taps, rest) in taps.iter().zip(&kernel.rest) {
                        if let Some(rest) = rest {
                            add_products(&mut sums, taps, rest);
                        }
                    }
                }
                self.store::<P>(position, kernel.channels, bytes(sums), output);
                position += 1;
            };
        }
        while position < end {
            if inner.contains(&position) {
                let end = end.min(inner.end);
                while position < end {
                    next!(false);
                }
            } else {
                next!(true);
            }
        }
    }

    /// Stores the bytes of a position of a row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn store<const P: usize>(
        &self,
        position: usize,
        width: usize,
        bytes: __m512i,
        output: &mut [u8],
    ) {
        let channels = self.conv.window.out_c;
        let pixels = self.conv.window.out_w - position * P;
        let output = &mut output[position * P * channels..];
        if P == 1 || (P * channels == VECTOR && pixels >= P) {
            return store_64(&mut output[..P * width], bytes);
        }
        let quarters = quarters(bytes);
        let pixels = quarters.chunks_exact(4 / P).take(pixels);
        for (index, quarters) in pixels.enumerate() {
            let output = &mut output[index * channels..][..VECTOR / P];
            for (output, &quarter) in output.chunks_exact_mut(LANES).zip(quarters) {
                store_16(output, quarter);
            }
        }
    }
}

/// Adds the products of a column and its weights.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn add_products(sums: &mut Column, taps: &Column, weights: &Column) {
    for (sum, (&taps, &weights)) in sums.iter_mut().zip(taps.iter().zip(weights)) {
        *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
    }
}
