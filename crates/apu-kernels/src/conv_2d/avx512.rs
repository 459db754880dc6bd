//! The convolution as a matrix product, four taps of sixteen channels an instruction (AVX512-VNNI).

use super::{
    Conv2d,
    rows::{Rows, Tile},
    unfold::{each_panel, row_sums},
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::avx512::{Finish, Rescale, load, load_words, store_16},
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
        finish: Finish::new(conv.output_zero_point, conv.clamp),
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
        row_sums(self.conv, panel, &mut corrections);
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
        let mut sums = [[_mm512_setzero_si512(); B]; R];
        for k in 0..depth {
            let w = blocks.map(|block| load(&block[k]));
            for (sums, row) in sums.iter_mut().zip(tile.rows) {
                let taps = _mm512_set1_epi32(i32::from_le_bytes(row[k]));
                let taps = _mm512_xor_si512(taps, self.flip);
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = _mm512_dpbusd_epi32(*sum, taps, w);
                }
            }
        }
        for block in 0..B {
            let mut column = [_mm512_setzero_si512(); R];
            for (column, sums) in column.iter_mut().zip(&sums) {
                *column = sums[block];
            }
            self.store(
                column,
                channel + block * LANES,
                &tile.corrections,
                tile.output,
            );
        }
    }

    /// Rescales and stores the sums of a block of channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn store<const R: usize>(
        &self,
        sums: [__m512i; R],
        channel: usize,
        corrections: &[i32; R],
        output: &mut [u8],
    ) {
        let bias = load_words(&self.table.bias[channel..]);
        let rescale = Rescale::of(&self.table, channel);
        let mut results = [_mm_setzero_si128(); R];
        for ((result, sum), &correction) in results.iter_mut().zip(sums).zip(corrections) {
            let start = _mm512_sub_epi32(bias, _mm512_set1_epi32(correction));
            let scaled = rescale.apply(_mm512_add_epi32(sum, start));
            *result = _mm512_cvtepi32_epi8(self.finish.apply(scaled));
        }
        let end = self.conv.window.out_c.min(channel + LANES);
        let rows = output.chunks_exact_mut(self.conv.window.out_c);
        rows.zip(results)
            .for_each(|(row, result)| store_16(&mut row[channel..end], result));
    }
}
