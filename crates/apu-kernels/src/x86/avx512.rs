//! Vectors of 64 bytes, for AVX-512 with BW, VL and VNNI.

use crate::{
    byte::{Byte, Clamp},
    channel_table::ChannelTable,
    requant::Ties,
};
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

/// The first bytes of a vector of 32.
#[derive(Clone, Copy)]
pub struct Lanes32 {
    count: usize,
    /// Its lowest `count` bits are set.
    mask: __mmask32,
}

impl Lanes32 {
    /// The first `count` of 32.
    pub fn first(count: usize) -> Self {
        let count = count.min(32);
        Self {
            count,
            mask: ((1u64 << count) - 1) as __mmask32,
        }
    }

    /// `value` in these lanes, zero in the others.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn fill(self, value: i8) -> __m256i {
        _mm256_maskz_set1_epi8(self.mask, value)
    }

    /// Whether there are bytes for all lanes from `offset` on.
    #[inline]
    pub fn fit(self, bytes: &[u8], offset: usize) -> bool {
        bytes.len().checked_sub(offset) >= Some(self.count)
    }

    /// Loads the lanes from `offset` on; the others are zero.
    ///
    /// # Safety
    ///
    /// The lanes must [`fit`](Self::fit) there.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub unsafe fn load_at(self, bytes: &[u8], offset: usize) -> __m256i {
        // SAFETY: the caller promises `count` bytes there, and the mask selects no more.
        unsafe { _mm256_maskz_loadu_epi8(self.mask, bytes.as_ptr().add(offset).cast()) }
    }
}

/// What follows the rescaling of sums: zero point and clamp. Works on bytes less 128 if they are
/// unsigned, since signed arithmetic saturates at both ends of a byte then.
#[derive(Clone, Copy)]
pub struct Finish {
    zero_point: __m512i,
    min: __m512i,
    max: __m512i,
    flip: __m512i,
    /// The order that puts what was packed from four rows into rows.
    rows: __m512i,
}

impl Finish {
    /// The same for every lane.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(byte: Byte, zero_point: i32, clamp: Clamp) -> Self {
        let middle = byte.min() + 128;
        Self {
            zero_point: _mm512_set1_epi16((zero_point - middle) as i16),
            min: _mm512_set1_epi8((clamp.min - middle) as i8),
            max: _mm512_set1_epi8((clamp.max - middle) as i8),
            flip: _mm512_set1_epi8(middle as u8 as i8),
            rows: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        }
    }

    /// The bytes of 32 channels; `low` and `high` as an unpacking of halves leaves them.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn bytes_32(&self, low: __m512i, high: __m512i) -> __m256i {
        let shifted = _mm512_adds_epi16(_mm512_packs_epi32(low, high), self.zero_point);
        let bytes = _mm512_castsi256_si512(_mm512_cvtsepi16_epi8(shifted));
        _mm512_castsi512_si256(self.clamp(bytes))
    }

    /// The bytes of sixteen channels of four rows, row after row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn bytes_4x16(&self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zero_point);
        let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zero_point);
        let bytes = self.clamp(_mm512_packs_epi16(ab, cd));
        _mm512_permutexvar_epi32(self.rows, bytes)
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn clamp(&self, bytes: __m512i) -> __m512i {
        let clamped = _mm512_min_epi8(_mm512_max_epi8(bytes, self.min), self.max);
        _mm512_xor_si512(clamped, self.flip)
    }
}
