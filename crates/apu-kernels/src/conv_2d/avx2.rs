//! The convolution as a matrix product of eight channels an instruction: four taps with AVX2-VNNI,
//! two with AVX2 alone.

use super::{
    Conv2d,
    outliers::Outliers,
    rows::{Tile, Weights, each_block, equally_long},
    unfold::each_panel,
};
use crate::{
    channel_table::{ChannelTable, LANES},
    requant::Ties,
    x86::avx2::{Even, Finish, Rescale, interleave, load, load_words, store_16},
};
use core::arch::x86_64::*;

/// Sums of sixteen channels.
type Sums = [__m256i; 2];

/// With AVX2 alone.
#[target_feature(enable = "avx2")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let product = Product::new(conv, table, outliers);
    each_panel(conv, input, output, scratch, |panel, output| {
        each_block(
            conv,
            panel,
            weights,
            output,
            |mut rows, weights, channel| {
                while let Some(tile) = rows.take::<2>() {
                    product.store(&pairs(&tile.rows, weights, product.flip), channel, tile);
                }
                if let Some(tile) = rows.take::<1>() {
                    product.store(&pairs(&tile.rows, weights, product.flip), channel, tile);
                }
            },
        );
    });
}

/// With AVX2-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn run_vnni(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let product = Product::new(conv, table, outliers);
    each_panel(conv, input, output, scratch, |panel, output| {
        each_block(
            conv,
            panel,
            weights,
            output,
            |mut rows, weights, channel| {
                while let Some(tile) = rows.take::<6>() {
                    product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
                }
                if let Some(tile) = rows.take::<4>() {
                    product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
                }
                while let Some(tile) = rows.take::<1>() {
                    product.store(&quads(&tile.rows, weights, product.flip), channel, tile);
                }
            },
        );
    });
}

/// `R` rows times sixteen channels, two taps at once in 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs<const R: usize>(rows: &[&[[u8; 4]]; R], weights: Weights<'_>, flip: __m256i) -> [Sums; R] {
    // Each vector sums two pairs of taps of four channels apart.
    let mut sums = [[_mm256_setzero_si256(); 4]; R];
    let rows = equally_long(rows, weights.len());
    for (k, weights) in weights.iter().enumerate() {
        let (low, high) = halves(weights);
        let w = [
            _mm256_cvtepi8_epi16(_mm256_castsi256_si128(low)),
            _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(low)),
            _mm256_cvtepi8_epi16(_mm256_castsi256_si128(high)),
            _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(high)),
        ];
        for (sums, row) in sums.iter_mut().zip(rows) {
            let taps = _mm256_set1_epi32(i32::from_le_bytes(row[k]));
            let taps = _mm256_castsi256_si128(_mm256_xor_si256(taps, flip));
            let taps = _mm256_cvtepu8_epi16(taps);
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(taps, w));
            }
        }
    }
    let mut joined = [[_mm256_setzero_si256(); 2]; R];
    for (joined, [a, b, c, d]) in joined.iter_mut().zip(sums) {
        *joined = [join(a, b), join(c, d)];
    }
    joined
}

/// The weights of eight channels each.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(weights: &[u8; 64]) -> (__m256i, __m256i) {
    let [low, high] = weights.as_chunks().0 else {
        unreachable!("64 bytes are twice 32");
    };
    (load(low), load(high))
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
    let rows = equally_long(rows, weights.len());
    for (k, weights) in weights.iter().enumerate() {
        let (low, high) = halves(weights);
        for ([sum_low, sum_high], row) in sums.iter_mut().zip(rows) {
            let taps = _mm256_set1_epi32(i32::from_le_bytes(row[k]));
            let taps = _mm256_xor_si256(taps, flip);
            *sum_low = _mm256_dpbusd_avx_epi32(*sum_low, taps, low);
            *sum_high = _mm256_dpbusd_avx_epi32(*sum_high, taps, high);
        }
    }
    sums
}

/// What is the same for all tiles.
struct Product<'a> {
    conv: &'a Conv2d,
    table: ChannelTable<'a>,
    outliers: Outliers<'a>,
    flip: __m256i,
    finish: Finish,
}

impl<'a> Product<'a> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(conv: &'a Conv2d, table: ChannelTable<'a>, outliers: Outliers<'a>) -> Self {
        Self {
            conv,
            table,
            outliers,
            flip: _mm256_set1_epi8(conv.byte.flip() as i8),
            finish: Finish::new(conv.output_zero_point, conv.clamp),
        }
    }

    /// Rescales and stores the sums of a block of channels.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn store<const R: usize>(&self, sums: &[Sums; R], channel: usize, tile: Tile<'_, R>) {
        let mut sums = *sums;
        for outlier in self.outliers.of(channel..channel + LANES) {
            for ([low, high], row) in sums.iter_mut().zip(tile.rows) {
                let tap = row.as_flattened()[outlier.tap] ^ self.conv.byte.flip();
                let mut more = [[0; 4]; LANES];
                more[outlier.lane] = outlier.times(tap).to_le_bytes();
                *low = _mm256_add_epi32(*low, load_words(&more));
                *high = _mm256_add_epi32(*high, load_words(&more[8..]));
            }
        }
        let [bias_low, bias_high] = [
            load_words(&self.table.bias[channel..]),
            load_words(&self.table.bias[channel + 8..]),
        ];
        for ([low, high], correction) in sums.iter_mut().zip(tile.corrections) {
            let correction = _mm256_set1_epi32(correction);
            *low = _mm256_add_epi32(*low, _mm256_sub_epi32(bias_low, correction));
            *high = _mm256_add_epi32(*high, _mm256_sub_epi32(bias_high, correction));
        }
        let results = match self.table.ties {
            Ties::Even => self.rounded_to_even(sums, channel),
            _ => self.rescaled(sums, channel),
        };
        let end = self.conv.window.out_c.min(channel + LANES);
        let rows = tile.output.chunks_exact_mut(self.conv.window.out_c);
        rows.zip(results)
            .for_each(|(row, result)| store_16(&mut row[channel..end], result));
    }

    /// Sums times their factors, as bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rescaled<const R: usize>(&self, sums: [Sums; R], channel: usize) -> [__m128i; R] {
        let low_factors = Rescale::of(&self.table, channel);
        let high_factors = Rescale::of(&self.table, channel + 8);
        let mut results = [_mm_setzero_si128(); R];
        // Without a branch, so that it is unrolled and its multiplications stay 32 bits wide.
        for (result, [low, high]) in results.iter_mut().zip(sums) {
            let (first, second) = interleave(low_factors.apply(low), high_factors.apply(high));
            *result = self.finish.bytes(first, second);
        }
        results
    }

    /// The same with factors in f32.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rounded_to_even<const R: usize>(&self, sums: [Sums; R], channel: usize) -> [__m128i; R] {
        let low_factors = Even::of(&self.table, channel);
        let high_factors = Even::of(&self.table, channel + 8);
        let mut results = [_mm_setzero_si128(); R];
        for (result, [low, high]) in results.iter_mut().zip(sums) {
            let (first, second) = interleave(low_factors.apply(low), high_factors.apply(high));
            *result = self.finish.bytes(first, second);
        }
        results
    }
}
