//! The depthwise convolution for 32 channels at once, two taps an instruction (AVX512-VNNI).

use super::{
    DepthwiseConv2d,
    strips::{MAX_PAIRS, each_strip},
};
use crate::{
    channel_table::ChannelTable,
    x86::avx512::{Finish, Rescale, load_32, load_halves, load_words, store_32},
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
    let window = &conv.window;
    let finish = Finish::new(conv.output_zero_point, conv.clamp);
    let flip = _mm256_set1_epi8(conv.byte.flip() as i8);
    let padding = [conv.input_zero_point as u8; BLOCK];
    let weights = weights.as_chunks().0;
    each_strip(window, output, |places, output| {
        for channel in (0..window.out_c).step_by(BLOCK) {
            let block = Block::new(conv, weights, &table, channel);
            let pixels = output.chunks_exact_mut(window.out_c);
            for (places, pixel_output) in places.pixels().zip(pixels) {
                let taps = |place: u32| {
                    let bytes = input.get(place as usize + channel..).unwrap_or(&padding);
                    _mm512_cvtepu8_epi16(_mm256_xor_si256(load_32(bytes), flip))
                };
                let (mut low, mut high) = block.start;
                for (&[first, second], &(low_weights, high_weights)) in
                    places.iter().zip(&block.weights)
                {
                    let (first, second) = (taps(first), taps(second));
                    low =
                        _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(first, second), low_weights);
                    high = _mm512_dpwssd_epi32(
                        high,
                        _mm512_unpackhi_epi16(first, second),
                        high_weights,
                    );
                }
                let low = finish.apply(block.low.apply(low));
                let high = finish.apply(block.high.apply(high));
                let bytes = _mm512_cvtepi16_epi8(_mm512_packs_epi32(low, high));
                let end = pixel_output.len().min(channel + BLOCK);
                store_32(&mut pixel_output[channel..end], bytes);
            }
        }
    });
}

/// Weights and factors of 32 channels. `low` has the channels that an unpacking of low halves
/// leaves, 0…3, 8…11, 16…19 and 24…27; `high` the others.
struct Block {
    weights: [(__m512i, __m512i); MAX_PAIRS],
    start: (__m512i, __m512i),
    low: Rescale,
    high: Rescale,
}

impl Block {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(
        conv: &DepthwiseConv2d,
        weights: &[[u8; 2]],
        table: &ChannelTable<'_>,
        channel: usize,
    ) -> Self {
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
        let mut pairs = [(zero, zero); MAX_PAIRS];
        let padded = table.bias.len();
        let mut taps = weights
            .chunks_exact(padded)
            .map(|tap| load_halves(&tap[channel..]));
        for pair in &mut pairs {
            let Some(first) = taps.next() else { break };
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
}
