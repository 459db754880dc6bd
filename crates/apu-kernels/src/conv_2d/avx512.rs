//! The convolution as a matrix product, four taps of sixteen channels an instruction (AVX512-VNNI).

use super::{
    Conv2d,
    rows::{Rows, Tile},
    unfold::each_panel,
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::avx512::{Finish, Lanes32, Rescale, load, load_32, load_words, store_16},
};
use apu_proto::program::CONV_TILE;
use core::arch::x86_64::*;

/// Blocks of channels that a tile works on.
const BLOCKS: usize = 3;

/// Packed weights: four taps of sixteen channels in each element.
type Weights<'a> = &'a [[u8; 64]];

#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let product = Product {
        conv,
        depth: conv.depth / 4,
        table,
        flip: _mm512_set1_epi8(conv.byte.flip() as i8),
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let weights = weights.as_chunks().0;
    each_panel(conv, input, output, scratch, |panel, output| {
        product.panel(panel, weights, output)
    });
}

/// What is the same for all tiles.
struct Product<'a> {
    conv: &'a Conv2d,
    /// Groups of four taps.
    depth: usize,
    table: ChannelTable<'a>,
    flip: __m512i,
    finish: Finish,
}

impl Product<'_> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn panel(&self, panel: &[[u8; 4]], weights: Weights<'_>, output: &mut [u8]) {
        let mut corrections = [0; CONV_TILE];
        if self.conv.weight_zero_point != 0 {
            let rows = panel.chunks_exact(self.depth);
            for (correction, row) in corrections.iter_mut().zip(rows) {
                *correction = self.conv.weight_zero_point.wrapping_mul(self.sum(row));
            }
        }
        for (index, group) in weights.chunks(BLOCKS * self.depth).enumerate() {
            let (depth, channels) = (self.depth, self.conv.window.out_c);
            let rows = Rows {
                panel,
                corrections: &corrections,
                output,
                depth,
                channels,
            };
            let channel = index * BLOCKS * LANES;
            match group.len() / depth {
                3 => self.column::<3>(rows, group, channel),
                2 => self.column::<2>(rows, group, channel),
                _ => self.column::<1>(rows, group, channel),
            }
        }
    }

    /// The sum of a row, its bytes taken as unsigned.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn sum(&self, row: &[[u8; 4]]) -> i32 {
        let (vectors, rest) = row.as_flattened().as_chunks::<64>();
        let ones = _mm512_set1_epi8(1);
        let mut sums = _mm512_setzero_si512();
        for bytes in vectors {
            sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(load(bytes), self.flip), ones);
        }
        for half in rest.chunks(32) {
            // The bytes past the end count for nothing.
            let ones = Lanes32::first(half.len()).fill(1);
            let bytes = _mm256_xor_si256(load_32(half), _mm512_castsi512_si256(self.flip));
            let part = _mm256_dpbusd_epi32(_mm256_setzero_si256(), bytes, ones);
            sums = _mm512_add_epi32(sums, _mm512_zextsi256_si512(part));
        }
        _mm512_reduce_add_epi32(sums)
    }

    /// All rows times `B` blocks of channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn column<const B: usize>(&self, mut rows: Rows<'_>, weights: Weights<'_>, channel: usize) {
        while let Some(tile) = rows.take::<8>() {
            self.tile::<8, B>(tile, weights, channel);
        }
        if let Some(tile) = rows.take::<4>() {
            self.tile::<4, B>(tile, weights, channel);
        }
        if let Some(tile) = rows.take::<2>() {
            self.tile::<2, B>(tile, weights, channel);
        }
        if let Some(tile) = rows.take::<1>() {
            self.tile::<1, B>(tile, weights, channel);
        }
    }

    /// `R` rows times `B` blocks of channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn tile<const R: usize, const B: usize>(
        &self,
        tile: Tile<'_, R>,
        weights: Weights<'_>,
        channel: usize,
    ) {
        let depth = self.depth;
        let blocks: [_; B] = core::array::from_fn(|block| &weights[block * depth..][..depth]);
        let mut sums = [[_mm512_setzero_si512(); R]; B];
        for (block, sums) in sums.iter_mut().enumerate() {
            let bias = load_words(&self.table.bias[channel + block * LANES..]);
            for (sum, &correction) in sums.iter_mut().zip(&tile.corrections) {
                *sum = _mm512_sub_epi32(bias, _mm512_set1_epi32(correction));
            }
        }
        for k in 0..depth {
            let w = blocks.map(|block| load(&block[k]));
            for (row, taps) in tile.rows.iter().enumerate() {
                let taps = _mm512_set1_epi32(i32::from_le_bytes(taps[k]));
                let taps = _mm512_xor_si512(taps, self.flip);
                for (sums, w) in sums.iter_mut().zip(w) {
                    sums[row] = _mm512_dpbusd_epi32(sums[row], taps, w);
                }
            }
        }
        for (block, sums) in sums.into_iter().enumerate() {
            self.store(sums, channel + block * LANES, tile.output);
        }
    }

    /// Rescales and stores the sums of a block of channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn store<const R: usize>(&self, sums: [__m512i; R], channel: usize, output: &mut [u8]) {
        let rescale = Rescale::of(&self.table, channel);
        let channels = self.conv.window.out_c;
        let end = channels.min(channel + LANES);
        for (sums, rows) in sums.chunks(4).zip(output.chunks_mut(4 * channels)) {
            let mut four = [_mm512_setzero_si512(); 4];
            for (scaled, &sum) in four.iter_mut().zip(sums) {
                *scaled = rescale.apply(sum);
            }
            let bytes = split(self.finish.bytes_4x16(four));
            for (row, bytes) in rows.chunks_exact_mut(channels).zip(bytes) {
                store_16(&mut row[channel..end], bytes);
            }
        }
    }
}

/// The quarters of a vector.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn split(bytes: __m512i) -> [__m128i; 4] {
    [
        _mm512_castsi512_si128(bytes),
        _mm512_extracti32x4_epi32::<1>(bytes),
        _mm512_extracti32x4_epi32::<2>(bytes),
        _mm512_extracti32x4_epi32::<3>(bytes),
    ]
}
