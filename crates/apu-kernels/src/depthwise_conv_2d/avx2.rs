//! The depthwise convolution for sixteen channels at once, two taps an instruction (AVX2).

use super::{
    DepthwiseConv2d,
    strips::{MAX_PAIRS, each_strip},
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::avx2::{Finish, Scale, interleave, load, load_16, load_words, store_16},
};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let window = &conv.window;
    let finish = Finish::new(conv.output_zero_point, conv.clamp);
    let flip = _mm_set1_epi8(conv.byte.flip() as i8);
    let padding = [conv.input_zero_point as u8; LANES];
    let weights = weights.as_chunks().0;
    each_strip(window, output, |strip, output| {
        for channel in (0..window.out_c).step_by(LANES) {
            let block = Block::new(conv, weights, &table, channel);
            let pixels = output.chunks_exact_mut(window.out_c);
            for (places, pixel_output) in strip.pixels().zip(pixels) {
                let (start, places) = places.pairs();
                let start = start + channel;
                let taps = |place: u32| {
                    let bytes = input.get(start + place as usize..).unwrap_or(&padding);
                    _mm256_cvtepu8_epi16(_mm_xor_si128(load_16(bytes), flip))
                };
                let (mut low, mut high) = block.start;
                for (&[first, second], &(low_weights, high_weights)) in
                    places.iter().zip(&block.weights)
                {
                    let (first, second) = (taps(first), taps(second));
                    let pairs = _mm256_unpacklo_epi16(first, second);
                    low = _mm256_add_epi32(low, _mm256_madd_epi16(pairs, low_weights));
                    let pairs = _mm256_unpackhi_epi16(first, second);
                    high = _mm256_add_epi32(high, _mm256_madd_epi16(pairs, high_weights));
                }
                let bytes = finish.bytes(block.low.apply(low), block.high.apply(high));
                let end = pixel_output.len().min(channel + LANES);
                store_16(&mut pixel_output[channel..end], bytes);
            }
        }
    });
}

/// Weights and factors of sixteen channels. `low` has the channels that an unpacking of low halves
/// leaves, 0…3 and 8…11; `high` the others.
struct Block {
    weights: [(__m256i, __m256i); MAX_PAIRS],
    start: (__m256i, __m256i),
    low: Scale,
    high: Scale,
}

impl Block {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(
        conv: &DepthwiseConv2d,
        weights: &[[u8; 2]],
        table: &ChannelTable<'_>,
        channel: usize,
    ) -> Self {
        let zero = _mm256_setzero_si256();
        let zero_points = _mm256_set1_epi16((conv.input_zero_point - conv.byte.min()) as i16);
        let words = |words: &[[u8; 4]]| {
            interleave(
                load_words(&words[channel..]),
                load_words(&words[channel + 8..]),
            )
        };
        let (mut bias, multiplier, shift) = (
            words(table.bias),
            words(table.multiplier),
            words(table.shift),
        );
        let mut pairs = [(zero, zero); MAX_PAIRS];
        let mut taps = weights.chunks_exact(table.bias.len()).map(|tap| {
            let block: &[u8; 32] = tap[channel..]
                .as_flattened()
                .first_chunk()
                .unwrap_or(&[0; 32]);
            load(block)
        });
        for pair in &mut pairs {
            let Some(first) = taps.next() else { break };
            let second = taps.next().unwrap_or(zero);
            *pair = (
                _mm256_unpacklo_epi16(first, second),
                _mm256_unpackhi_epi16(first, second),
            );
            // The zero point of the input is the same in every tap, so it goes into the bias.
            bias.0 = _mm256_sub_epi32(bias.0, _mm256_madd_epi16(zero_points, pair.0));
            bias.1 = _mm256_sub_epi32(bias.1, _mm256_madd_epi16(zero_points, pair.1));
        }
        Self {
            weights: pairs,
            start: bias,
            low: Scale::from_words(conv.ties, multiplier.0, shift.0),
            high: Scale::from_words(conv.ties, multiplier.1, shift.1),
        }
    }
}
