//! One window times all channels (AVX512-VNNI): each weight is used once, so what counts is how fast
//! they come from memory.

use super::{Conv2d, outliers::Outliers};
use crate::{
    channel_table::{ChannelTable, LANES},
    requant::Ties,
    x86::avx512::{Even, Finish, Rescale, load, load_64, load_words, store_64},
};
use core::arch::x86_64::*;

/// Sums at once: enough to hide how long a multiplication takes.
const SUMS: usize = 8;

/// Whether [`run`] takes a convolution: one with a single window, which needn't be unfolded.
pub(super) fn takes(conv: &Conv2d) -> bool {
    !conv.unfolds && conv.window.out_bytes() as usize == conv.window.out_c
}

/// Computes what it [`takes`].
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
) {
    let flip = _mm512_set1_epi8(conv.byte.flip() as i8);
    let product = Vector {
        conv,
        taps: input.as_chunks().0,
        flip,
        correction: _mm512_set1_epi32(correction(conv, input, flip)),
        table,
        outliers,
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let weights = weights.as_chunks::<64>().0;
    let columns = weights.chunks(4 * product.taps.len());
    let mut channel = 0;
    for (weights, output) in columns.zip(output.chunks_mut(4 * LANES)) {
        match weights.len() / product.taps.len() {
            4 => product.column::<4, { SUMS / 4 }>(channel, weights, output),
            3 => product.column::<3, { SUMS / 3 }>(channel, weights, output),
            2 => product.column::<2, { SUMS / 2 }>(channel, weights, output),
            _ => product.column::<1, SUMS>(channel, weights, output),
        }
        channel += 4 * LANES;
    }
}

/// `zero point of the weights · Σ a`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn correction(conv: &Conv2d, input: &[u8], flip: __m512i) -> i32 {
    if conv.weight_zero_point == 0 {
        return 0;
    }
    let mut sum = _mm512_setzero_si512();
    for bytes in input.chunks(64) {
        let unsigned = _mm512_xor_si512(load_64(bytes, flip), flip);
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(unsigned, _mm512_setzero_si512()));
    }
    conv.weight_zero_point
        .wrapping_mul(_mm512_reduce_add_epi64(sum) as i32)
}

/// What is the same for all channels.
struct Vector<'a> {
    conv: &'a Conv2d,
    taps: &'a [[u8; 4]],
    flip: __m512i,
    correction: __m512i,
    table: ChannelTable<'a>,
    outliers: Outliers<'a>,
    finish: Finish,
}

impl Vector<'_> {
    /// `B` blocks of channels; each has `P` sums, of every `P`th group of taps.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn column<const B: usize, const P: usize>(
        &self,
        channel: usize,
        weights: &[[u8; 64]],
        output: &mut [u8],
    ) {
        let depth = self.taps.len();
        let mut blocks = [weights; B];
        for (index, block) in blocks.iter_mut().enumerate() {
            *block = &weights[index * depth..][..depth];
        }
        let mut sums = [[_mm512_setzero_si512(); B]; P];
        let (steps, rest) = self.taps.as_chunks::<P>();
        for (step, taps) in steps.iter().enumerate() {
            for part in 0..P {
                self.add(&mut sums[part], taps[part], &blocks, step * P + part);
            }
        }
        for (index, &taps) in rest.iter().enumerate() {
            self.add(&mut sums[0], taps, &blocks, steps.len() * P + index);
        }
        let mut totals = [_mm512_setzero_si512(); 4];
        for block in 0..B {
            let bias = self.table.bias.get(channel + block * LANES..);
            let mut total = _mm512_sub_epi32(load_words(bias.unwrap_or_default()), self.correction);
            for sums in &sums {
                total = _mm512_add_epi32(total, sums[block]);
            }
            totals[block] = total;
        }
        for outlier in self.outliers.of(channel..channel + B * LANES) {
            let tap = self.taps.as_flattened()[outlier.tap] ^ self.conv.byte.flip();
            let more = _mm512_set1_epi32(outlier.times(tap));
            let total = &mut totals[outlier.lane / LANES];
            *total = _mm512_mask_add_epi32(*total, 1 << (outlier.lane % LANES), *total, more);
        }
        for (block, total) in totals.iter_mut().enumerate().take(B) {
            *total = self.rescale(*total, channel + block * LANES);
        }
        store_64(output, self.finish.bytes_4x16(totals));
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add<const B: usize>(
        &self,
        sums: &mut [__m512i; B],
        taps: [u8; 4],
        blocks: &[&[[u8; 64]]; B],
        group: usize,
    ) {
        let taps = _mm512_set1_epi32(i32::from_le_bytes(taps));
        let taps = _mm512_xor_si512(taps, self.flip);
        for (sum, block) in sums.iter_mut().zip(blocks) {
            *sum = _mm512_dpbusd_epi32(*sum, taps, load(&block[group]));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn rescale(&self, total: __m512i, channel: usize) -> __m512i {
        if self.table.ties == Ties::Even {
            Even::of(&self.table, channel).apply(total)
        } else {
            Rescale::of(&self.table, channel).apply(total)
        }
    }
}
