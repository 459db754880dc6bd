//! One window times all channels (AVX512-VNNI): each weight is used once, so what counts is how fast
//! they come from memory.

use super::{
    Conv2d,
    outliers::Outliers,
    store::{self, again},
};
use crate::{
    channel_table::{ChannelTable, LANES, Ramps},
    x86::{
        avx512::{Finish, load, load_64, load_words, store_64},
        ramp::{BENT, FINE, Factors, Ramp, STRAIGHT, kind, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Sums at once of a single block of channels, of every so manieth group of taps each: enough to hide how
/// long a multiplication takes.
const SUMS: usize = 4;
/// Groups of taps that stay in registers while blocks are multiplied: a load for each would halve the rate
/// at which weights come from the second cache.
const NEAR: usize = 16;
/// Vectors of weights that are on their way while the sums before become bytes.
const SOON: usize = 24;
/// Blocks whose bytes fill a vector.
const BLOCKS: usize = 4;

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
    let mut rest: &[[u8; 64]] = weights.as_chunks().0;
    let channels = (0..).step_by(BLOCKS * LANES);
    for (channel, output) in channels.zip(output.chunks_mut(BLOCKS * LANES)) {
        let weights;
        (weights, rest) = rest.split_at(rest.len().min(BLOCKS * product.taps.len()));
        let weights = (weights, rest);
        match output.len().div_ceil(LANES) {
            4 => product.column::<4>(channel, weights, output),
            3 => product.column::<3>(channel, weights, output),
            2 => product.column::<2>(channel, weights, output),
            _ => product.column::<1>(channel, weights, output),
        }
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

/// Has lines come to the nearest cache.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn prefetch(lines: &[[u8; 64]]) {
    for line in lines {
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
    }
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
    /// As many channels from `channel` on as `output` has bytes, those of `N` blocks, with their weights.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn column<const N: usize>(
        &self,
        channel: usize,
        (weights, next): (&[[u8; 64]], &[[u8; 64]]),
        output: &mut [u8],
    ) {
        let mut totals = [_mm512_setzero_si512(); BLOCKS];
        for (block, total) in totals.iter_mut().enumerate().take(N) {
            *total = self.start(channel + block * LANES);
        }
        if N == 1 {
            totals[0] = _mm512_add_epi32(totals[0], self.block(weights));
        } else {
            self.blocks::<N>(&mut totals, weights);
        }
        prefetch(&next[..next.len().min(SOON)]);
        for outlier in self.outliers.of(channel..channel + N * LANES) {
            let tap = self.taps.as_flattened()[outlier.tap] ^ self.conv.byte.flip();
            let more = _mm512_set1_epi32(outlier.times(tap));
            let lanes = 1 << (outlier.lane % LANES);
            for (block, total) in totals.iter_mut().enumerate().take(N) {
                let lanes = if outlier.lane / LANES == block {
                    lanes
                } else {
                    0
                };
                *total = _mm512_mask_add_epi32(*total, lanes, *total, more);
            }
        }
        store_64(
            output,
            self.finish.in_rows(self.packed::<N>(totals, channel)),
        );
    }

    /// The bytes of `N` blocks in the order of packing.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn packed<const N: usize>(&self, totals: [__m512i; BLOCKS], channel: usize) -> __m512i {
        let Some(ramps) = &self.table.ramps else {
            // The sums get an address here alone: elsewhere they stay in registers.
            let [a, b, c, d] = totals;
            return self.exactly::<N>(&[a, b, c, d], channel);
        };
        match kind(&self.table) {
            STRAIGHT => self.on_ramps::<N, STRAIGHT>(ramps, totals, channel),
            BENT => self.on_ramps::<N, BENT>(ramps, totals, channel),
            _ => self.on_ramps::<N, FINE>(ramps, totals, channel),
        }
    }

    /// As [`Self::packed`]. Each ramp is used once, and so loaded where it is.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn on_ramps<const N: usize, const KIND: u32>(
        &self,
        ramps: &Ramps<'_>,
        totals: [__m512i; BLOCKS],
        channel: usize,
    ) -> __m512i {
        let block = |block| Ramp::of(ramps, channel + if block < N { block * LANES } else { 0 });
        let (a, b, c, d) = (block(0), block(1), block(2), block(3));
        packed_4x16::<KIND>(&self.finish, [&a, &b, &c, &d], totals)
    }

    /// As [`Self::packed`], without ramps.
    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn exactly<const N: usize>(&self, totals: &[__m512i; BLOCKS], channel: usize) -> __m512i {
        let mut steps = *totals;
        if let Factors::Exact(factors) = &store::factors::<N>(&self.table, channel) {
            for (steps, factors) in steps.iter_mut().zip(again(factors)) {
                *steps = factors.apply(*steps);
            }
        }
        self.finish.packed_4x16(steps)
    }

    /// What the sums of the block of channels from `channel` on begin with.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn start(&self, channel: usize) -> __m512i {
        let bias = self.table.bias.get(channel..).unwrap_or_default();
        _mm512_sub_epi32(load_words(bias), self.correction)
    }

    /// Adds the sums of `N` blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn blocks<const N: usize>(&self, totals: &mut [__m512i; BLOCKS], weights: &[[u8; 64]]) {
        let depth = self.taps.len();
        let (near, rest) = self.taps.as_chunks::<NEAR>();
        // Sums of every other group of taps: one after the other they would take longer than their weights to come.
        let mut others = [_mm512_setzero_si512(); BLOCKS];
        for (index, near) in near.iter().enumerate() {
            let mut taps = [_mm512_setzero_si512(); NEAR];
            for (taps, &bytes) in taps.iter_mut().zip(near) {
                *taps = self.broadcast(bytes);
            }
            for (block, (total, other)) in totals.iter_mut().zip(&mut others).enumerate().take(N) {
                let weights = &weights[block * depth + index * NEAR..][..NEAR];
                let pairs = taps.as_chunks::<2>().0.iter();
                for (&[a, b], [first, second]) in pairs.zip(weights.as_chunks::<2>().0) {
                    *total = _mm512_dpbusd_epi32(*total, a, load(first));
                    *other = _mm512_dpbusd_epi32(*other, b, load(second));
                }
            }
        }
        for (total, other) in totals.iter_mut().zip(others) {
            *total = _mm512_add_epi32(*total, other);
        }
        let done = depth - rest.len();
        for (index, &bytes) in (done..).zip(rest) {
            let taps = self.broadcast(bytes);
            for (block, total) in totals.iter_mut().enumerate().take(N) {
                let weights = load(&weights[block * depth + index]);
                *total = _mm512_dpbusd_epi32(*total, taps, weights);
            }
        }
    }

    /// The sums of a single block.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn block(&self, weights: &[[u8; 64]]) -> __m512i {
        let mut sums = [_mm512_setzero_si512(); SUMS];
        let (steps, rest) = self.taps.as_chunks::<SUMS>();
        let (weights, weights_rest) = weights.split_at(SUMS * steps.len());
        for (taps, weights) in steps.iter().zip(weights.as_chunks::<SUMS>().0) {
            for part in 0..SUMS {
                let taps = self.broadcast(taps[part]);
                sums[part] = _mm512_dpbusd_epi32(sums[part], taps, load(&weights[part]));
            }
        }
        for (&taps, weights) in rest.iter().zip(weights_rest) {
            sums[0] = _mm512_dpbusd_epi32(sums[0], self.broadcast(taps), load(weights));
        }
        let [a, b, c, d] = sums;
        _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d))
    }

    /// A group of taps again and again, as unsigned bytes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn broadcast(&self, taps: [u8; 4]) -> __m512i {
        let taps = _mm512_set1_epi32(i32::from_le_bytes(taps));
        _mm512_xor_si512(taps, self.flip)
    }
}
