//! Vectors of 64 bytes, for AVX-512 with BW, VL and VNNI.

use crate::{
    byte::{Byte, Clamp},
    channel_table::{ChannelTable, Words},
    requant::Ties,
};
use core::{arch::x86_64::*, hint::black_box};

/// Loads a whole vector.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference covers 64 readable bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Loads the first 64 bytes, or as many as there are, and those of `rest` for the others.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn load_64(bytes: &[u8], rest: __m512i) -> __m512i {
    match bytes.first_chunk() {
        Some(bytes) => load(bytes),
        None => {
            let mask = (1 << bytes.len()) - 1;
            // SAFETY: the mask selects bytes of the slice only; others aren't touched.
            unsafe { _mm512_mask_loadu_epi8(rest, mask, bytes.as_ptr().cast()) }
        }
    }
}

/// Stores the first bytes of a vector: 64, or as many as `bytes` has.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn store_64(bytes: &mut [u8], vector: __m512i) {
    match bytes.first_chunk_mut::<64>() {
        // SAFETY: the reference covers 64 writable bytes, and the store asks for no alignment.
        Some(bytes) => unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) },
        None => {
            let mask = (1 << bytes.len()) - 1;
            // SAFETY: the mask selects bytes of the slice only; others aren't touched.
            unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), mask, vector) }
        }
    }
}

/// The quarters of a vector.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn quarters(bytes: __m512i) -> [__m128i; 4] {
    [
        _mm512_castsi512_si128(bytes),
        _mm512_extracti32x4_epi32::<1>(bytes),
        _mm512_extracti32x4_epi32::<2>(bytes),
        _mm512_extracti32x4_epi32::<3>(bytes),
    ]
}

/// For each of eight vectors the sum of its eight 64-bit lanes, as 32 bits.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn sums_of_8(vectors: [__m512i; 8]) -> __m256i {
    let mut halves = [_mm512_setzero_si512(); 4];
    for (half, [a, b]) in halves.iter_mut().zip(vectors.as_chunks().0) {
        *half = _mm512_add_epi64(_mm512_unpacklo_epi64(*a, *b), _mm512_unpackhi_epi64(*a, *b));
    }
    let fold = |a, b| {
        let even = _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b);
        _mm512_add_epi64(even, _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b))
    };
    let [ab, cd, ef, gh] = halves;
    _mm512_cvtepi64_epi32(fold(fold(ab, cd), fold(ef, gh)))
}

/// Sums of pairs of lanes: of the first vector in the lower half of each four lanes, of the second in
/// the upper half.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn sums_of_pairs(first: __m512i, second: __m512i) -> __m512i {
    let (first, second) = (_mm512_castsi512_ps(first), _mm512_castsi512_ps(second));
    let even = _mm512_shuffle_ps::<0b10_00_10_00>(first, second);
    let odd = _mm512_shuffle_ps::<0b11_01_11_01>(first, second);
    _mm512_add_epi32(_mm512_castps_si512(even), _mm512_castps_si512(odd))
}

/// The upper words of two vectors' lanes, in the order that packing them would have.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn upper_words(a: __m512i, b: __m512i) -> __m512i {
    let lane = |lane: i64| 0x0007_0005_0003_0001 + lane * 0x0008_0008_0008_0008;
    let (a_words, b_words) = (lane, |index| lane(index) + 0x0020_0020_0020_0020);
    let order = _mm512_setr_epi64(
        a_words(0),
        b_words(0),
        a_words(1),
        b_words(1),
        a_words(2),
        b_words(2),
        a_words(3),
        b_words(3),
    );
    _mm512_permutex2var_epi16(a, order, b)
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

    /// The same factors with ties away from zero or else up.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn with_ties(self, ties: Ties) -> Self {
        Self {
            away: _mm512_set1_epi32(-i32::from(ties == Ties::Away)),
            ..self
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

/// Sixteen factors in f32, with ties to even; see [`crate::requant::round_even`].
#[derive(Clone, Copy)]
pub struct Even {
    scale: __m512,
}

impl Even {
    /// Of the bits of sixteen scales.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn from_words(scale: __m512i) -> Self {
        Self {
            scale: _mm512_castsi512_ps(scale),
        }
    }

    /// Each lane times its factor; what is beyond 2²⁰ has no meaning but that.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn apply(&self, x: __m512i) -> __m512i {
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(x), self.scale);
        let numbers = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(scaled, scaled);
        // What is too small becomes the least number anyway.
        let scaled = _mm512_min_ps(scaled, _mm512_set1_ps(1048576.0));
        _mm512_maskz_cvtps_epi32(numbers, scaled)
    }
}

/// Sixteen factors as a channel table has them.
#[derive(Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack of one call, where no heap is"
)]
pub enum Exact {
    /// In fixed point.
    Fixed(Rescale),
    /// In f32.
    Even(Even),
}

impl Exact {
    /// Those of channels whose words `lanes` takes from each array, for one vector after the other.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn all<const N: usize>(
        table: &ChannelTable<'_>,
        lanes: impl Fn(Words<'_>) -> [__m512i; N],
    ) -> [Self; N] {
        let (multipliers, shifts) = (lanes(table.multiplier), lanes(table.shift));
        let one = |index: usize| match table.ties {
            Ties::Even => Self::Even(Even::from_words(multipliers[index])),
            ties => {
                Self::Fixed(Rescale::from_words(multipliers[index], shifts[index]).with_ties(ties))
            }
        };
        let mut all = [one(0); N];
        for (index, factors) in all.iter_mut().enumerate().skip(1) {
            *factors = one(index);
        }
        all
    }

    /// Each lane times its factor.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn apply(&self, x: __m512i) -> __m512i {
        match self {
            Self::Fixed(factors) => factors.apply(x),
            Self::Even(factors) => factors.apply(x),
        }
    }
}

/// Sixteen factors that shift right, with the output's zero point folded in. With a factor `m` and a
/// shift `s`, both roundings of `x` are one: the first adds 2³⁰ and drops 31 bits, the second adds
/// 2^(s − 1) and drops `s` more, so both together add 2³⁰ + 2^(s + 30) and drop `s` + 31. A zero point
/// is 2^(s + 31) times itself more.
#[derive(Clone, Copy)]
pub struct Folded {
    multiplier: __m512i,
    odd_multiplier: __m512i,
    /// What is added to the products of even and of odd lanes.
    even: __m512i,
    odd: __m512i,
    /// What is left to shift of the products' upper halves.
    right: __m512i,
}

impl Folded {
    /// Of factors that shift right, by less than 23 bits so that the zero point has room; others have no meaning.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(factors: &Rescale, byte: Byte, zero_point: i32) -> Self {
        let zero_point = _mm512_set1_epi64((zero_point - byte.min() - 128).into());
        let one = _mm512_set1_epi64(1);
        let addend = |shift: __m512i| {
            let half = _mm512_sllv_epi64(one, _mm512_add_epi64(shift, _mm512_set1_epi64(30)));
            let offset =
                _mm512_sllv_epi64(zero_point, _mm512_add_epi64(shift, _mm512_set1_epi64(31)));
            let both = _mm512_add_epi64(half, offset);
            _mm512_add_epi64(both, _mm512_set1_epi64(1 << 30))
        };
        let low = _mm512_set1_epi64(0xffff_ffff);
        Self {
            multiplier: factors.multiplier,
            odd_multiplier: factors.odd_multiplier,
            even: addend(_mm512_and_si512(factors.right, low)),
            odd: addend(_mm512_srli_epi64::<32>(factors.right)),
            right: _mm512_sub_epi32(factors.right, _mm512_set1_epi32(1)),
        }
    }
}

/// How [`Folded`] factors round ties: away from zero, or up.
#[derive(Clone, Copy)]
pub struct Rounds<const AWAY: bool> {
    /// The sign of a 64-bit lane's lower half.
    sign: __m512i,
    /// The even lanes. A mask that the compiler knows makes it blend by two shuffles.
    even: __mmask16,
}

impl<const AWAY: bool> Rounds<AWAY> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new() -> Self {
        Self {
            sign: _mm512_set1_epi64(1 << 31),
            even: black_box(0x5555),
        }
    }

    /// Each lane times its factor, plus the zero point.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn apply(self, factors: &Folded, x: __m512i) -> __m512i {
        let x_odd = _mm512_srli_epi64::<32>(x);
        let even = self.round(x, _mm512_mul_epi32(x, factors.multiplier), factors.even);
        let odd = self.round(
            x_odd,
            _mm512_mul_epi32(x_odd, factors.odd_multiplier),
            factors.odd,
        );
        // The upper halves of all products, at the places of their factors.
        let high = _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, self.even, even);
        _mm512_srav_epi32(high, factors.right)
    }

    /// Away from zero, a sum below zero counts for one step less after the first rounding. That
    /// rounding may have made it 0; then the step is too small to matter.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn round(self, x: __m512i, product: __m512i, addend: __m512i) -> __m512i {
        let sum = _mm512_add_epi64(product, addend);
        if AWAY {
            _mm512_sub_epi64(sum, _mm512_and_si512(x, self.sign))
        } else {
            sum
        }
    }
}

/// What follows the rescaling of sums: zero point and clamp. Works on bytes less 128 if they are
/// unsigned, since signed arithmetic saturates at both ends of a byte then.
#[derive(Clone, Copy)]
pub struct Finish {
    zero_point: __m512i,
    /// Whether results are signed bytes, any that there are.
    is_plain: bool,
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
            is_plain: middle == 0 && (clamp.min, clamp.max) == (byte.min(), byte.max()),
            min: _mm512_set1_epi8((clamp.min - middle) as i8),
            max: _mm512_set1_epi8((clamp.max - middle) as i8),
            flip: _mm512_set1_epi8(middle as u8 as i8),
            rows: _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        }
    }

    /// The bytes of sixteen channels of four rows, row after row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn bytes_4x16(&self, rows: [__m512i; 4]) -> __m512i {
        self.in_rows(self.packed_4x16(rows))
    }

    /// The same in the order of packing: four channels of each row, then the next four.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn packed_4x16(&self, rows: [__m512i; 4]) -> __m512i {
        self.clamp(self.saturated_4x16(rows))
    }

    /// The same, which looks first whether bytes are clamped already. That is faster where there are registers enough.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn packed_4x16_if_needed(&self, rows: [__m512i; 4]) -> __m512i {
        let bytes = self.saturated_4x16(rows);
        if self.is_plain {
            bytes
        } else {
            self.clamp(bytes)
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn saturated_4x16(&self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zero_point);
        let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zero_point);
        _mm512_packs_epi16(ab, cd)
    }

    /// What was packed, row after row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn in_rows(&self, packed: __m512i) -> __m512i {
        _mm512_permutexvar_epi32(self.rows, packed)
    }

    /// As [`Self::bytes_4x16`], of results that have the zero point already.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn folded_4x16(&self, rows: [__m512i; 4]) -> __m512i {
        self.in_rows(self.folded(rows))
    }

    /// The same in the order of packing.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn folded(&self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        self.folded_words([_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)])
    }

    /// The same of words, in the order of packing.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn folded_words(&self, [ab, cd]: [__m512i; 2]) -> __m512i {
        self.clamp(_mm512_packs_epi16(ab, cd))
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub(super) fn clamp(&self, bytes: __m512i) -> __m512i {
        let clamped = _mm512_min_epi8(_mm512_max_epi8(bytes, self.min), self.max);
        _mm512_xor_si512(clamped, self.flip)
    }
}
