//! The weights and factors of up to 64 channels, in the order of columns.

use super::{SIDE, input::Column};
use crate::{
    channel_table::{ChannelTable, LANES},
    depthwise_conv_2d::DepthwiseConv2d,
    x86::{
        avx512::{load_32, load_words},
        ramp::Factors,
    },
};
use core::arch::x86_64::*;

/// The weights and factors of some channels.
pub(super) struct Kernel {
    /// The first, and how many: 64, 48, 32 or 16.
    pub channel: usize,
    pub channels: usize,
    /// What sums begin with.
    pub start: Column,
    /// Of each kernel column, one byte a row: the nearest to the weights.
    pub weights: [Column; SIDE],
    /// Whether weights are more than those anywhere, and in which kernel columns.
    pub is_wide: bool,
    pub rest: [Option<Column>; SIDE],
    pub factors: Factors<4>,
}

impl Kernel {
    /// Of some channels, again and again.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(
        conv: &DepthwiseConv2d,
        weights: (&[u8], bool),
        table: &ChannelTable<'_>,
        channel: usize,
        channels: usize,
    ) -> Self {
        let (weights, is_wide) = weights;
        let (near, mut sums) = packed::<false>(weights, table.bias.len(), channel, channels);
        let mut rest = [None; SIDE];
        if is_wide {
            let (more, more_sums) = packed::<true>(weights, table.bias.len(), channel, channels);
            for (rest, more) in rest.iter_mut().zip(more) {
                let lanes = more.map(|words| _mm512_test_epi32_mask(words, words));
                *rest = (lanes != [0; 4]).then_some(more);
            }
            for (sum, more) in sums.iter_mut().zip(more_sums) {
                *sum = _mm512_add_epi32(*sum, more);
            }
        }
        // The zero point of the input is the same in every tap, so it goes into the bias.
        let zero_point = _mm512_set1_epi32(conv.input_zero_point - conv.byte.min());
        let mut start = ordered(&table.bias[channel..][..channels]);
        for (start, sum) in start.iter_mut().zip(sums) {
            *start = _mm512_sub_epi32(*start, _mm512_mullo_epi32(sum, zero_point));
        }
        Self {
            channel,
            channels,
            start,
            weights: near,
            is_wide: rest.iter().any(Option::is_some),
            rest,
            factors: Factors::new(table, |words| ordered(&words[channel..][..channels])),
        }
    }
}

/// The weights of some channels as [`Kernel`] has them, or what is missing with `REST`, and their sums.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn packed<const REST: bool>(
    weights: &[u8],
    padded: usize,
    channel: usize,
    channels: usize,
) -> ([Column; SIDE], Column) {
    let mut packed = [[_mm512_setzero_si512(); 4]; SIDE];
    let mut sums = [_mm512_setzero_si512(); 4];
    for (kernel_x, packed) in packed.iter_mut().enumerate() {
        let mut rows = [_mm512_setzero_si512(); SIDE];
        for (kernel_y, row) in rows.iter_mut().enumerate() {
            let tap = (kernel_y * SIDE + kernel_x) * padded + channel;
            *row = bytes::<REST>(&weights[2 * tap..][..2 * channels]);
        }
        *packed = interleaved(rows);
        for (sum, &weights) in sums.iter_mut().zip(&*packed) {
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi8(1), weights);
        }
    }
    (packed, sums)
}

/// Which of `count` sixteens of channels a quarter of a vector is of; of three the last has no meaning.
const fn again(quarter: usize, count: usize) -> usize {
    match count {
        3 => [0, 1, 2, 2][quarter],
        _ => quarter & (count - 1),
    }
}

/// The nearest signed bytes to 16-bit words of some channels, or those of what is missing with `REST`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn bytes<const REST: bool>(words: &[u8]) -> __m512i {
    let halves = words.as_chunks::<32>().0;
    let half = |index| load_32(&halves[again(index, halves.len())]);
    let both = |index| {
        let first = _mm512_castsi256_si512(half(index));
        let words = _mm512_inserti64x4::<1>(first, half(index + 1));
        if REST {
            let least = _mm512_max_epi16(words, _mm512_set1_epi16(-128));
            _mm512_sub_epi16(words, _mm512_min_epi16(least, _mm512_set1_epi16(127)))
        } else {
            words
        }
    };
    let packed = _mm512_packs_epi16(both(0), both(2));
    _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), packed)
}

/// Words of one byte of each row and a zero, in the order of unpacking.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn interleaved([a, b, c]: [__m512i; SIDE]) -> Column {
    let zero = _mm512_setzero_si512();
    let (low_ab, high_ab) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (low_c, high_c) = (_mm512_unpacklo_epi8(c, zero), _mm512_unpackhi_epi8(c, zero));
    [
        _mm512_unpacklo_epi16(low_ab, low_c),
        _mm512_unpackhi_epi16(low_ab, low_c),
        _mm512_unpacklo_epi16(high_ab, high_c),
        _mm512_unpackhi_epi16(high_ab, high_c),
    ]
}

/// Words of some channels, again and again, in the same order: a quarter of each sixteen.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn ordered(words: &[[u8; 4]]) -> Column {
    let lanes = words.as_chunks::<LANES>().0;
    let load = |index| load_words(&lanes[again(index, lanes.len())]);
    let (a, b, c, d) = (load(0), load(1), load(2), load(3));
    let (ab_low, ab_high) = (
        _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b),
        _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b),
    );
    let (cd_low, cd_high) = (
        _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d),
        _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d),
    );
    [
        _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0b10_00_10_00>(ab_high, cd_high),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(ab_high, cd_high),
    ]
}
