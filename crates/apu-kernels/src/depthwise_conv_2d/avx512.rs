//! The depthwise convolution for 32 channels at once, two taps an instruction (AVX512-VNNI).

use super::{
    DepthwiseConv2d,
    strips::{MAX_PAIRS, Places, Strip, each_strip},
};
use crate::{
    channel_table::ChannelTable,
    x86::avx512::{Finish, Lanes32, Rescale, load_32, load_halves, load_words, store_32},
};
use core::arch::x86_64::*;

/// Channels worked on at once.
const BLOCK: usize = 32;

#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let convolution = Convolution {
        conv,
        input,
        weights: weights.as_chunks().0,
        table,
        flip: _mm256_set1_epi8(conv.byte.flip() as i8),
        padding: [conv.input_zero_point as u8; BLOCK],
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let taps = conv.window.kernel_h * conv.window.kernel_w;
    // The weights of a 3x3 window stay in registers, those of a 5x5 one near.
    each_strip(&conv.window, output, |strip, output| match taps {
        0..=10 => convolution.strip::<5>(strip, output),
        11..=26 => convolution.strip::<13>(strip, output),
        _ => convolution.strip::<MAX_PAIRS>(strip, output),
    });
}

/// What is the same for all strips.
struct Convolution<'a> {
    conv: &'a DepthwiseConv2d,
    input: &'a [u8],
    weights: &'a [[u8; 2]],
    table: ChannelTable<'a>,
    flip: __m256i,
    /// What the taps in the padding count as.
    padding: [u8; BLOCK],
    finish: Finish,
}

impl Convolution<'_> {
    /// All channels of a strip's pixels; windows have at most `P` pairs of taps.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn strip<const P: usize>(&self, strip: &Strip, output: &mut [u8]) {
        let channels = self.conv.window.out_c;
        for channel in (0..channels).step_by(BLOCK) {
            let block = Block::<P>::new(self, channel);
            let end = channels.min(channel + BLOCK);
            let lanes = Lanes32::first(end - channel);
            for (places, pixel) in strip.pixels().zip(output.chunks_exact_mut(channels)) {
                let (low, high) = self.sums(&block, places, channel, lanes);
                let (low, high) = (block.low.apply(low), block.high.apply(high));
                store_32(&mut pixel[channel..end], self.finish.bytes_32(low, high));
            }
        }
    }

    /// The sums of one pixel.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn sums<const P: usize>(
        &self,
        block: &Block<P>,
        places: Places<'_>,
        channel: usize,
        lanes: Lanes32,
    ) -> (__m512i, __m512i) {
        let (start, pairs) = places.pairs();
        let input = self.input.get(start + channel..).unwrap_or_default();
        match places {
            Places::Inside(_, offsets) if lanes.fit(input, offsets.furthest()) => {
                block.sums(pairs, |offset| {
                    // SAFETY: the lanes fit at the furthest offset, and none is above that.
                    let bytes = unsafe { lanes.load_at(input, offset as usize) };
                    _mm256_xor_si256(bytes, self.flip)
                })
            }
            _ => block.sums(pairs, |place| {
                let bytes = input.get(place as usize..).unwrap_or(&self.padding);
                _mm256_xor_si256(load_32(bytes), self.flip)
            }),
        }
    }
}

/// Weights and factors of 32 channels. `low` has the channels that an unpacking of low halves
/// leaves, 0…3, 8…11, 16…19 and 24…27; `high` the others.
struct Block<const P: usize> {
    weights: [(__m512i, __m512i); P],
    start: (__m512i, __m512i),
    low: Rescale,
    high: Rescale,
}

impl<const P: usize> Block<P> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(convolution: &Convolution<'_>, channel: usize) -> Self {
        let (conv, table) = (convolution.conv, &convolution.table);
        let zero = _mm512_setzero_si512();
        let zero_points = _mm512_set1_epi16((conv.input_zero_point - conv.byte.min()) as i16);
        let words = |words: &[[u8; 4]]| {
            let [first, second] =
                [0, 16].map(|lane| load_words(words.get(channel + lane..).unwrap_or_default()));
            (
                _mm512_shuffle_i32x4::<0b10_00_10_00>(first, second),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(first, second),
            )
        };
        let (mut bias, multiplier, shift) = (
            words(table.bias),
            words(table.multiplier),
            words(table.shift),
        );
        let mut pairs = [(zero, zero); P];
        let mut taps = convolution
            .weights
            .chunks_exact(table.bias.len())
            .map(|tap| load_halves(&tap[channel..]));
        for pair in &mut pairs {
            let first = taps.next().unwrap_or(zero);
            let second = taps.next().unwrap_or(zero);
            *pair = (
                _mm512_unpacklo_epi16(first, second),
                _mm512_unpackhi_epi16(first, second),
            );
            // The zero point of the input is the same in every tap, so it goes into the bias.
            bias.0 = _mm512_sub_epi32(bias.0, _mm512_madd_epi16(zero_points, pair.0));
            bias.1 = _mm512_sub_epi32(bias.1, _mm512_madd_epi16(zero_points, pair.1));
        }
        Self {
            weights: pairs,
            start: bias,
            low: Rescale::from_words(multiplier.0, shift.0),
            high: Rescale::from_words(multiplier.1, shift.1),
        }
    }

    /// The sums of a window whose taps `load` gets as unsigned bytes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn sums(&self, pairs: &[[u32; 2]], load: impl Fn(u32) -> __m256i) -> (__m512i, __m512i) {
        let (mut low, mut high) = self.start;
        for (&[first, second], &(low_weights, high_weights)) in pairs.iter().zip(&self.weights) {
            let first = _mm512_cvtepu8_epi16(load(first));
            let second = _mm512_cvtepu8_epi16(load(second));
            low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(first, second), low_weights);
            high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(first, second), high_weights);
        }
        (low, high)
    }
}
