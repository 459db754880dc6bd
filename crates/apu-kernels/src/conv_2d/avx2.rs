//! The convolution as a matrix product of eight channels an instruction: four taps with AVX2-VNNI,
//! two with AVX2 alone.

use super::{
    Conv2d, row_sums,
    rows::{Rows, Tile},
    unfold::each_panel,
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::avx2::{Finish, Rescale, interleave, load, load_half, load_words, store_16},
};
use apu_proto::program::CONV_TILE;
use core::arch::x86_64::*;

/// Packed weights: four taps of sixteen channels in each element.
type Weights<'a> = &'a [[[u8; 32]; 2]];

/// Sums of sixteen channels.
type Sums = [__m256i; 2];

/// With AVX2 alone.
#[target_feature(enable = "avx2")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let product = Product::new(conv, table);
    each_panel(conv, input, output, scratch, |panel, output| {
        product.panel(panel, weights, output, |mut rows, weights, channel| {
            while let Some(tile) = rows.take::<2>() {
                product.store(&pairs(&tile.rows, weights, product.flip), channel, tile);
            }
            if let Some(tile) = rows.take::<1>() {
                product.store(&pairs(&tile.rows, weights, product.flip), channel, tile);
            }
        });
    });
}

/// With AVX2-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn run_vnni(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let product = Product::new(conv, table);
    each_panel(conv, input, output, scratch, |panel, output| {
        product.panel(panel, weights, output, |mut rows, weights, channel| {
            while let Some(tile) = rows.take::<6>() {
                product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
            }
            if let Some(tile) = rows.take::<4>() {
                product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
            }
            while let Some(tile) = rows.take::<1>() {
                product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
            }
        });
    });
}

/// `R` rows times sixteen channels, two taps at once in 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs<const R: usize>(rows: &[&[[u8; 4]]; R], weights: Weights<'_>, flip: __m256i) -> [Sums; R] {
    // Each vector sums two pairs of taps of four channels apart.
    let mut sums = [[_mm256_setzero_si256(); 4]; R];
    let depth = weights.len();
    let rows = rows.map(|row| &row[..depth]);
    for (k, w) in weights.iter().enumerate() {
        let w: [_; 4] = core::array::from_fn(|quarter| {
            let half = &w[quarter / 2].as_chunks::<16>().0[quarter % 2];
            _mm256_cvtepi8_epi16(load_half(half))
        });
        for row in 0..R {
            let taps = _mm256_set1_epi32(i32::from_le_bytes(rows[row][k]));
            let taps = _mm256_castsi256_si128(_mm256_xor_si256(taps, flip));
            let taps = _mm256_cvtepu8_epi16(taps);
            for (sum, w) in sums[row].iter_mut().zip(w) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(taps, w));
            }
        }
    }
    sums.map(|[a, b, c, d]| [join(a, b), join(c, d)])
}

/// Sums of eight channels from two vectors of pairs of sums.
#[inline]
#[target_feature(enable = "avx2")]
fn join(first: __m256i, second: __m256i) -> __m256i {
    // The horizontal sum works in each half: channels 0, 1, 4, 5, 2, 3, 6, 7.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second))
}

/// `R` rows times sixteen channels, four taps at once.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn quads<const R: usize>(rows: &[&[[u8; 4]]; R], weights: Weights<'_>, flip: __m256i) -> [Sums; R] {
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    let depth = weights.len();
    let rows = rows.map(|row| &row[..depth]);
    for (k, [low, high]) in weights.iter().enumerate() {
        let (low, high) = (load(low), load(high));
        for row in 0..R {
            let taps = _mm256_set1_epi32(i32::from_le_bytes(rows[row][k]));
            let taps = _mm256_xor_si256(taps, flip);
            sums[row][0] = _mm256_dpbusd_avx_epi32(sums[row][0], taps, low);
            sums[row][1] = _mm256_dpbusd_avx_epi32(sums[row][1], taps, high);
        }
    }
    sums
}

/// What is the same for all tiles.
struct Product<'a> {
    conv: &'a Conv2d,
    /// Groups of four taps.
    depth: usize,
    table: ChannelTable<'a>,
    flip: __m256i,
    finish: Finish,
}

impl<'a> Product<'a> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(conv: &'a Conv2d, table: ChannelTable<'a>) -> Self {
        Self {
            conv,
            depth: conv.depth / 4,
            table,
            flip: _mm256_set1_epi8(conv.byte.flip() as i8),
            finish: Finish::new(conv.output_zero_point, conv.clamp),
        }
    }

    /// Calls `column` for each block of sixteen channels.
    #[inline(always)]
    fn panel(
        &self,
        panel: &[[u8; 4]],
        weights: &[u8],
        output: &mut [u8],
        column: impl Fn(Rows<'_>, Weights<'_>, usize),
    ) {
        let mut corrections = [0; CONV_TILE];
        row_sums(self.conv, panel, &mut corrections);
        let (depth, channels) = (self.depth, self.conv.window.out_c);
        let halves = weights.as_chunks::<32>().0.as_chunks::<2>().0;
        for (index, block) in halves.chunks_exact(depth).enumerate() {
            let rows = Rows {
                panel,
                corrections: &corrections,
                output,
                depth,
                channels,
            };
            column(rows, block, index * LANES);
        }
    }

    /// Rescales and stores the sums of a block of channels.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn store<const R: usize>(&self, sums: &[Sums; R], channel: usize, tile: Tile<'_, R>) {
        let bias = [0, 8].map(|lane| load_words(&self.table.bias[channel + lane..]));
        let rescale = [0, 8].map(|lane| Rescale::of(&self.table, channel + lane));
        let rows = tile.output.chunks_exact_mut(self.conv.window.out_c);
        for ((sums, &correction), row) in sums.iter().zip(tile.corrections).zip(rows) {
            let correction = _mm256_set1_epi32(correction);
            let [low, high]: [_; 2] = core::array::from_fn(|half| {
                let start = _mm256_sub_epi32(bias[half], correction);
                rescale[half].apply(_mm256_add_epi32(sums[half], start))
            });
            let (first, second) = interleave(low, high);
            let end = row.len().min(channel + LANES);
            store_16(&mut row[channel..end], self.finish.bytes(first, second));
        }
    }
}
