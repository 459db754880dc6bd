//! The depthwise convolution for sixteen channels at once (NEON).

use super::{
    DepthwiseConv2d,
    strips::{Places, each_strip},
};
use crate::{
    aarch64::{
        bytes::{load, load_16, store_16},
        scale::{Factors, Finish, Sums, channels},
    },
    channel_table::{ChannelTable, LANES},
};
use core::arch::aarch64::*;

/// Weights of all channels for one tap, padded to a multiple of [`LANES`].
type Tap<'a> = &'a [[u8; 2]];

#[target_feature(enable = "neon")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let window = &conv.window;
    let finish = Finish::new(conv.output_zero_point, conv.clamp);
    let padded = window.out_c.next_multiple_of(LANES);
    let taps = weights.as_chunks().0.chunks_exact(padded);
    each_strip(window, output, |strip, output| {
        for channel in (0..window.out_c).step_by(LANES) {
            let block = Block::new(conv, &table, channel);
            let pixels = output.chunks_exact_mut(window.out_c);
            for (places, pixel_output) in strip.pixels().zip(pixels) {
                let sums = block.sums(places, input, taps.clone());
                let bytes = finish.bytes(block.factors.apply(sums));
                let end = pixel_output.len().min(channel + LANES);
                store_16(&mut pixel_output[channel..end], bytes);
            }
        }
    });
}

/// Sixteen channels.
struct Block {
    channel: usize,
    bias: Sums,
    factors: Factors,
    /// Makes stored bytes unsigned.
    flip: uint8x16_t,
    /// Of unsigned bytes.
    zero_point: uint8x16_t,
    /// What is stored in the padding.
    padding: [u8; LANES],
}

impl Block {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(conv: &DepthwiseConv2d, table: &ChannelTable<'_>, channel: usize) -> Self {
        let padding = conv.input_zero_point as u8;
        Self {
            channel,
            bias: channels(table.bias, channel),
            factors: Factors::of(table, channel),
            flip: vdupq_n_u8(conv.byte.flip()),
            zero_point: vdupq_n_u8(padding ^ conv.byte.flip()),
            padding: [padding; LANES],
        }
    }

    /// The sums of one output pixel.
    #[inline]
    #[target_feature(enable = "neon")]
    fn sums<'w>(
        &self,
        places: Places<'_>,
        input: &[u8],
        taps: impl Iterator<Item = Tap<'w>>,
    ) -> Sums {
        let [mut a, mut b, mut c, mut d] = self.bias;
        let (start, places) = places.pairs();
        let start = start + self.channel;
        for (&place, weights) in places.as_flattened().iter().zip(taps) {
            let bytes = input.get(start + place as usize..).unwrap_or(&self.padding);
            let bytes = veorq_u8(load_16(bytes), self.flip);
            let [low, high] = self.widen(bytes);
            let [low_weights, high_weights] = halves(&weights[self.channel..]);
            a = vmlal_s16(a, vget_low_s16(low), vget_low_s16(low_weights));
            b = vmlal_high_s16(b, low, low_weights);
            c = vmlal_s16(c, vget_low_s16(high), vget_low_s16(high_weights));
            d = vmlal_high_s16(d, high, high_weights);
        }
        [a, b, c, d]
    }

    /// Bytes less their zero point.
    #[inline]
    #[target_feature(enable = "neon")]
    fn widen(&self, bytes: uint8x16_t) -> [int16x8_t; 2] {
        let low = vsubl_u8(vget_low_u8(bytes), vget_low_u8(self.zero_point));
        let high = vsubl_high_u8(bytes, self.zero_point);
        [vreinterpretq_s16_u16(low), vreinterpretq_s16_u16(high)]
    }
}

/// The weights of the first sixteen channels, or zeros if there are fewer.
#[inline]
#[target_feature(enable = "neon")]
fn halves(weights: Tap<'_>) -> [int16x8_t; 2] {
    let mut halves = [vdupq_n_s16(0); 2];
    for (half, bytes) in halves.iter_mut().zip(weights.as_flattened().as_chunks().0) {
        *half = vreinterpretq_s16_u8(load(bytes));
    }
    halves
}
