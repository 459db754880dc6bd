//! Vectors of 32 bytes, for AVX2.

use crate::{channel_table::ChannelTable, requant::Ties};
use core::arch::x86_64::*;

/// Loads a whole vector.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference covers 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Loads half a vector.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_half(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference covers 16 readable bytes, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Loads the first 16 bytes, or as many as there are, and zeros for the rest.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_16(bytes: &[u8]) -> __m128i {
    match bytes.first_chunk::<16>() {
        Some(bytes) => load_half(bytes),
        None => {
            let mut whole = [0; 16];
            whole[..bytes.len()].copy_from_slice(bytes);
            load_half(&whole)
        }
    }
}

/// Stores the first bytes of a vector: 16, or as many as `bytes` has.
#[inline]
#[target_feature(enable = "avx2")]
pub fn store_16(bytes: &mut [u8], vector: __m128i) {
    let mut whole = [0; 16];
    let part = bytes.len() < 16;
    let target = bytes.first_chunk_mut::<16>().unwrap_or(&mut whole);
    // SAFETY: the reference covers 16 writable bytes, and the store asks for no alignment.
    unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), vector) };
    if part {
        bytes.copy_from_slice(&whole[..bytes.len()]);
    }
}

/// Loads eight 32-bit words, or zeros if the slice has fewer.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_words(words: &[[u8; 4]]) -> __m256i {
    match words.as_flattened().first_chunk() {
        Some(bytes) => load(bytes),
        None => _mm256_setzero_si256(),
    }
}

/// Eight factors at once; see [`crate::requant::Rescale`].
#[derive(Clone, Copy)]
pub struct Rescale {
    multiplier: __m256i,
    left: __m256i,
    right: __m256i,
    /// All ones where ties go away from zero, zeros where they go up.
    away: __m256i,
}

impl Rescale {
    /// The factors that eight pairs of words from a program's constants stand for.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn from_words(multiplier: __m256i, shift: __m256i) -> Self {
        let zero = _mm256_setzero_si256();
        let right = _mm256_sub_epi32(zero, _mm256_max_epi32(shift, _mm256_set1_epi32(-31)));
        Self {
            multiplier: _mm256_max_epi32(multiplier, zero),
            left: _mm256_min_epi32(_mm256_max_epi32(shift, zero), _mm256_set1_epi32(30)),
            right: _mm256_max_epi32(right, zero),
            away: _mm256_set1_epi32(-1),
        }
    }

    /// The factors of the eight channels from `channel` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn of(table: &ChannelTable<'_>, channel: usize) -> Self {
        let words = |words: &[[u8; 4]]| load_words(&words[channel..]);
        Self {
            away: _mm256_set1_epi32(-i32::from(table.ties == Ties::Away)),
            ..Self::from_words(words(table.multiplier), words(table.shift))
        }
    }

    /// Each lane times its factor.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn apply(&self, x: __m256i) -> __m256i {
        let nudge = _mm256_set1_epi64x(1 << 30);
        let x = _mm256_sllv_epi32(x, self.left);
        let even = _mm256_add_epi64(_mm256_mul_epi32(x, self.multiplier), nudge);
        let odd_multiplier = _mm256_srli_epi64::<32>(self.multiplier);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(x), odd_multiplier);
        let odd = _mm256_add_epi64(odd, nudge);
        // Bits 31…62 of each product, at the place of its factor.
        let high =
            _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<31>(even), _mm256_slli_epi64::<1>(odd));
        self.divide(high)
    }

    /// See [`crate::requant::rounding_divide_by_pot`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn divide(&self, x: __m256i) -> __m256i {
        let one = _mm256_set1_epi32(1);
        let mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, self.right), one);
        let below = _mm256_and_si256(_mm256_srai_epi32::<31>(x), self.away);
        let threshold = _mm256_sub_epi32(_mm256_srli_epi32::<1>(mask), below);
        let up = _mm256_cmpgt_epi32(_mm256_and_si256(x, mask), threshold);
        _mm256_sub_epi32(_mm256_srav_epi32(x, self.right), up)
    }
}

/// Eight factors in f32, with ties to even; see [`crate::requant::round_even`].
#[derive(Clone, Copy)]
pub struct Even {
    scale: __m256,
}

impl Even {
    /// Of the bits of eight scales.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn from_words(scale: __m256i) -> Self {
        Self {
            scale: _mm256_castsi256_ps(scale),
        }
    }

    /// The factors of the eight channels from `channel` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn of(table: &ChannelTable<'_>, channel: usize) -> Self {
        Self::from_words(load_words(&table.multiplier[channel..]))
    }

    /// Each lane times its factor; what is beyond 2²⁰ has no meaning but that.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn apply(&self, x: __m256i) -> __m256i {
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(x), self.scale);
        let numbers = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_ORD_Q>(scaled, scaled));
        // What is too small becomes the least number anyway.
        let scaled = _mm256_min_ps(scaled, _mm256_set1_ps(1048576.0));
        _mm256_and_si256(_mm256_cvtps_epi32(scaled), numbers)
    }
}

/// Eight factors of either kind.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Of fixed point.
    Fixed(Rescale),
    /// In f32.
    Even(Even),
}

impl Scale {
    /// The factors that eight pairs of words from a program's constants stand for.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn from_words(ties: Ties, multiplier: __m256i, shift: __m256i) -> Self {
        match ties {
            Ties::Even => Self::Even(Even::from_words(multiplier)),
            _ => Self::Fixed(Rescale::from_words(multiplier, shift)),
        }
    }

    /// Each lane times its factor.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn apply(&self, x: __m256i) -> __m256i {
        match self {
            Self::Fixed(factors) => factors.apply(x),
            Self::Even(factors) => factors.apply(x),
        }
    }
}

/// What follows the rescaling of sums: zero point and clamp. The clamp comes first, less the zero point,
/// so that no sum is too large for it.
#[derive(Clone, Copy)]
pub struct Finish {
    zero_point: __m256i,
    min: __m256i,
    max: __m256i,
}

impl Finish {
    /// The same for every lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn new(zero_point: i32, clamp: crate::byte::Clamp) -> Self {
        Self {
            zero_point: _mm256_set1_epi32(zero_point),
            min: _mm256_set1_epi32(clamp.min - zero_point),
            max: _mm256_set1_epi32(clamp.max - zero_point),
        }
    }

    /// Results as 32-bit numbers in the range of a byte.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn apply(&self, scaled: __m256i) -> __m256i {
        let clamped = _mm256_min_epi32(_mm256_max_epi32(scaled, self.min), self.max);
        _mm256_add_epi32(clamped, self.zero_point)
    }

    /// Sixteen results as bytes, from lanes 0…3 and 8…11, and 4…7 and 12…15.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn bytes(&self, first: __m256i, second: __m256i) -> __m128i {
        let halves = _mm256_packs_epi32(self.apply(first), self.apply(second));
        // The low byte of each half: the clamp has made them fit.
        let low = _mm256_and_si256(halves, _mm256_set1_epi16(0xff));
        _mm_packus_epi16(
            _mm256_castsi256_si128(low),
            _mm256_extracti128_si256::<1>(low),
        )
    }
}

/// Turns channels 0…7 and 8…15 into the order of [`Finish::bytes`].
#[inline]
#[target_feature(enable = "avx2")]
pub fn interleave(first: __m256i, second: __m256i) -> (__m256i, __m256i) {
    (
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x31>(first, second),
    )
}
