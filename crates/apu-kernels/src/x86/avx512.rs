//! Vectors of 64 bytes, for AVX-512 with BW, VL and VNNI.

use crate::{channel_table::ChannelTable, requant::Ties};
use core::arch::x86_64::*;

/// Loads a whole vector.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference covers 64 readable bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Loads the first 32 bytes, or as many as there are, and zeros for the rest.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load_32(bytes: &[u8]) -> __m256i {
    match bytes.first_chunk::<32>() {
        // SAFETY: the reference covers 32 readable bytes, and the load asks for no alignment.
        Some(bytes) => unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) },
        // SAFETY: the mask selects bytes of the slice only; others aren't touched.
        None => unsafe { _mm256_maskz_loadu_epi8(first_bits(bytes.len()), bytes.as_ptr().cast()) },
    }
}

/// Stores the first bytes of a vector: 32, or as many as `bytes` has.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn store_32(bytes: &mut [u8], vector: __m256i) {
    match bytes.first_chunk_mut::<32>() {
        // SAFETY: the reference covers 32 writable bytes, and the store asks for no alignment.
        Some(bytes) => unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) },
        // SAFETY: the mask selects bytes of the slice only; others aren't touched.
        None => unsafe {
            _mm256_mask_storeu_epi8(bytes.as_mut_ptr().cast(), first_bits(bytes.len()), vector)
        },
    }
}

/// Stores the first bytes of a vector: 16, or as many as `bytes` has.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn store_16(bytes: &mut [u8], vector: __m128i) {
    match bytes.first_chunk_mut::<16>() {
        // SAFETY: the reference covers 16 writable bytes, and the store asks for no alignment.
        Some(bytes) => unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) },
        None => {
            let mask = first_bits(bytes.len()) as __mmask16;
            // SAFETY: the mask selects bytes of the slice only; others aren't touched.
            unsafe { _mm_mask_storeu_epi8(bytes.as_mut_ptr().cast(), mask, vector) }
        }
    }
}

/// A mask of the first `count` lanes, for fewer than 32.
#[inline]
fn first_bits(count: usize) -> __mmask32 {
    (1 << (count & 31)) - 1
}

/// Loads sixteen 32-bit words, or zeros if the slice has fewer.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load_words(words: &[[u8; 4]]) -> __m512i {
    match words.as_flattened().first_chunk() {
        Some(bytes) => load(bytes),
        None => _mm512_setzero_si512(),
    }
}

/// Loads 32 16-bit numbers, the second half zeros if the slice has only 16.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load_halves(numbers: &[[u8; 2]]) -> __m512i {
    match numbers.as_flattened().first_chunk() {
        Some(bytes) => load(bytes),
        None => _mm512_zextsi256_si512(load_32(numbers.as_flattened())),
    }
}

/// Sixteen factors at once; see [`crate::requant::Rescale`].
#[derive(Clone, Copy)]
pub struct Rescale {
    multiplier: __m512i,
    odd_multiplier: __m512i,
    left: __m512i,
    right: __m512i,
    /// All ones where ties go away from zero, zeros where they go up.
    away: __m512i,
}

impl Rescale {
    /// The factors that sixteen pairs of words from a program's constants stand for.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn from_words(multiplier: __m512i, shift: __m512i) -> Self {
        let zero = _mm512_setzero_si512();
        let multiplier = _mm512_max_epi32(multiplier, zero);
        let right = _mm512_sub_epi32(zero, _mm512_max_epi32(shift, _mm512_set1_epi32(-31)));
        Self {
            multiplier,
            odd_multiplier: _mm512_srli_epi64::<32>(multiplier),
            left: _mm512_min_epi32(_mm512_max_epi32(shift, zero), _mm512_set1_epi32(30)),
            right: _mm512_max_epi32(right, zero),
            away: _mm512_set1_epi32(-1),
        }
    }

    /// The factors of the sixteen channels from `channel` on.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn of(table: &ChannelTable<'_>, channel: usize) -> Self {
        let words = |words: &[[u8; 4]]| load_words(words.get(channel..).unwrap_or_default());
        Self {
            away: _mm512_set1_epi32(-i32::from(table.ties == Ties::Away)),
            ..Self::from_words(words(table.multiplier), words(table.shift))
        }
    }

    /// Each lane times its factor.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn apply(&self, x: __m512i) -> __m512i {
        let nudge = _mm512_set1_epi64(1 << 30);
        let x = _mm512_sllv_epi32(x, self.left);
        let even = _mm512_add_epi64(_mm512_mul_epi32(x, self.multiplier), nudge);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(x), self.odd_multiplier);
        let odd = _mm512_add_epi64(odd, nudge);
        // Bits 31…62 of each product, at the place of its factor.
        let high = _mm512_mask_mov_epi32(
            _mm512_srli_epi64::<31>(even),
            0xaaaa,
            _mm512_slli_epi64::<1>(odd),
        );
        self.divide(high)
    }

    /// See [`crate::requant::rounding_divide_by_pot`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn divide(&self, x: __m512i) -> __m512i {
        let one = _mm512_set1_epi32(1);
        let mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, self.right), one);
        let below = _mm512_and_si512(_mm512_srai_epi32::<31>(x), self.away);
        let threshold = _mm512_sub_epi32(_mm512_srli_epi32::<1>(mask), below);
        let up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, mask), threshold);
        let quotient = _mm512_srav_epi32(x, self.right);
        _mm512_mask_add_epi32(quotient, up, quotient, one)
    }
}

/// What follows the rescaling of sums: zero point and clamp.
#[derive(Clone, Copy)]
pub struct Finish {
    zero_point: __m512i,
    min: __m512i,
    max: __m512i,
}

impl Finish {
    /// The same for every lane.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(zero_point: i32, clamp: crate::byte::Clamp) -> Self {
        Self {
            zero_point: _mm512_set1_epi32(zero_point),
            min: _mm512_set1_epi32(clamp.min),
            max: _mm512_set1_epi32(clamp.max),
        }
    }

    /// Results as 32-bit numbers in the range of a byte.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn apply(&self, scaled: __m512i) -> __m512i {
        let shifted = _mm512_add_epi32(scaled, self.zero_point);
        _mm512_min_epi32(_mm512_max_epi32(shifted, self.min), self.max)
    }
}
