//! The sum of bytes, 64 at once (AVX-512).

use super::{
    Operands,
    quantised::{Input, Scalars},
};
use crate::{
    byte::{Byte, Clamp},
    requant,
    x86::avx512::{Finish, Folded, Rescale, Rounds, load_64, quarters, store_64, upper_words},
};
use core::arch::x86_64::*;

/// Elements worked on at once.
const AT_ONCE: usize = 64;

/// Whether [`add`] takes a sum: one of whole rows, with a factor that is less than a half.
pub(super) fn takes(scalars: &Scalars, operands: &Operands<'_>) -> bool {
    let (_, shift) = scalars.output.words();
    operands.frame.steps() == [1, 1] && (-22..0).contains(&shift)
}

/// Computes what [`takes`] says yes to.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn add(byte: Byte, scalars: &Scalars, operands: Operands<'_>) {
    let Operands {
        frame,
        a,
        b,
        output,
        ..
    } = operands;
    // The term that costs less comes first; a sum is the same either way.
    let swaps = halves(&scalars.b);
    let scalars = if swaps { &scalars.swapped() } else { scalars };
    let (left, right) = (Term::new(byte, &scalars.a), Term::new(byte, &scalars.b));
    let clamp = Clamp {
        min: scalars.min,
        max: scalars.max,
    };
    let factor = rescale(scalars.output);
    let sum = Sum {
        flip: _mm512_set1_epi8((byte.flip() ^ 0x80) as i8),
        near: Near::new(byte, scalars),
        factor: Folded::new(&factor, byte, scalars.output_zero_point),
        finish: Finish::new(byte, scalars.output_zero_point, clamp),
    };
    for (row, output) in output.chunks_exact_mut(frame.columns()).enumerate() {
        let [a_start, b_start] = frame.starts(row);
        let mut inputs = [&a[a_start..], &b[b_start..]];
        if swaps {
            inputs.reverse();
        }
        if left.halves {
            sum.row::<true>([&left, &right], inputs, output);
        } else {
            sum.row::<false>([&left, &right], inputs, output);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn rescale(factor: requant::Rescale) -> Rescale {
    let (multiplier, shift) = factor.words();
    Rescale::from_words(_mm512_set1_epi32(multiplier), _mm512_set1_epi32(shift))
}

/// Whether an input's factor is a half: that with the larger scale has it, and both do if their
/// scales are the same.
fn halves(input: &Input) -> bool {
    input.rescale.words() == (1 << 30, 0) && input.left_shift > 0
}

/// An input in the scale that both share.
struct Term {
    /// Of bytes taken as unsigned.
    zero_point: __m512i,
    left_shift: __m512i,
    rescale: Rescale,
    /// See [`halves`].
    halves: bool,
    /// One less than `left_shift`, which does what the factor does if that is a half.
    halving_shift: __m512i,
}

impl Term {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(byte: Byte, input: &Input) -> Self {
        let halves = halves(input);
        let left_shift = input.left_shift as i32;
        Self {
            zero_point: _mm512_set1_epi32(input.zero_point - byte.min()),
            left_shift: _mm512_set1_epi32(left_shift),
            rescale: rescale(input.rescale),
            halves,
            halving_shift: _mm512_set1_epi32(left_shift - i32::from(halves)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn of<const HALVES: bool>(&self, bytes: __m128i) -> __m512i {
        let difference = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), self.zero_point);
        if HALVES {
            _mm512_sllv_epi32(difference, self.halving_shift)
        } else {
            let shifted = _mm512_sllv_epi32(difference, self.left_shift);
            self.rescale.apply(shifted)
        }
    }
}

/// Bits of a [`Near`] sum below its point.
const FRACTION: u32 = 21;
/// What a [`Near`] sum may be wrong by: 255 steps, as each input has up to 255 times a factor that
/// is wrong by a half, and 160 for what the exact one rounds on its way. In steps of the output
/// that is 2.5 · 2⁻¹⁵: one for each input and a half for the product, before the last shift.
const ERROR: i32 = 512;

/// Bits of the lower part of a factor. Both parts are positive words, as factors are less than 3 · 2^[`FRACTION`].
const LOW: u32 = 8;

/// The sum by one factor for each input, which needs no more than 32 bits and is right but close to
/// a tie.
struct Near {
    /// The factors of both inputs as pairs of words: what is above their lower [`LOW`] bits, and those.
    high: __m512i,
    low: __m512i,
    /// Zero points, and what rounds: a half and [`ERROR`].
    start: __m512i,
}

impl Near {
    /// Unless factors are too large.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(byte: Byte, scalars: &Scalars) -> Option<Self> {
        let (output, output_shift) = scalars.output.words();
        // This bounds `ERROR`.
        if output_shift > -15 {
            return None;
        }
        let factor = |input: &Input| {
            let (multiplier, shift) = input.rescale.words();
            let point = input.left_shift as i32 + shift + output_shift + FRACTION as i32;
            let drop = 62 - point;
            if shift > 0 || !(1..=62).contains(&drop) {
                return None;
            }
            let product = i64::from(multiplier) * i64::from(output);
            i32::try_from((product + (1 << (drop - 1))) >> drop).ok()
        };
        let (a, b) = (factor(&scalars.a)?, factor(&scalars.b)?);
        // Differences are at most 255: then a sum with the output's zero point has 32 bits.
        if a.checked_add(b)? > 3 << FRACTION {
            return None;
        }
        let zero_point = |input: &Input| input.zero_point - byte.min();
        let output_zero_point = scalars.output_zero_point - byte.min() - 128;
        let start = (output_zero_point << FRACTION) + (1 << (FRACTION - 1)) + ERROR;
        let start = start - a * zero_point(&scalars.a) - b * zero_point(&scalars.b);
        // Bytes are multiplied as signed ones, of which those taken as unsigned are 128 more. Only the whole has to fit.
        let start = start.wrapping_add((a + b).wrapping_mul(128));
        let pair = |a: i32, b: i32| _mm512_set1_epi32((b << 16) | a);
        let low = |factor| factor & ((1 << LOW) - 1);
        Some(Self {
            high: pair(a >> LOW, b >> LOW),
            low: pair(low(a), low(b)),
            start: _mm512_set1_epi32(start),
        })
    }

    /// The rounded sums of signed bytes, with the zero point, as words in the order that packing ends; none if one may
    /// be wrong.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn sums(&self, a: __m512i, b: __m512i) -> Option<[__m512i; 2]> {
        let zero = _mm512_setzero_si512();
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let fraction = _mm512_set1_epi32((1 << FRACTION) - 2 * ERROR);
        // Pairs of words that are 2^LOW times their bytes.
        let mut sums = [
            _mm512_unpacklo_epi8(zero, low),
            _mm512_unpackhi_epi8(zero, low),
            _mm512_unpacklo_epi8(zero, high),
            _mm512_unpackhi_epi8(zero, high),
        ];
        let mut close = 0;
        for sum in &mut sums {
            let bytes = _mm512_srai_epi16::<LOW>(*sum);
            let low = _mm512_dpwssd_epi32(self.start, bytes, self.low);
            *sum = _mm512_dpwssd_epi32(low, *sum, self.high);
            // Where the fraction is less than twice the error, a tie is near.
            close |= _mm512_testn_epi32_mask(*sum, fraction);
        }
        let [a, b, c, d] = sums;
        let word = |sum| _mm512_srai_epi16::<{ FRACTION - 16 }>(sum);
        (close == 0).then(|| [word(upper_words(a, b)), word(upper_words(c, d))])
    }
}

/// What is the same for all elements.
struct Sum {
    /// What makes bytes signed.
    flip: __m512i,
    near: Option<Near>,
    factor: Folded,
    finish: Finish,
}

impl Sum {
    /// A row; `HALVES` says that the first term does.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn row<const HALVES: bool>(&self, terms: [&Term; 2], inputs: [&[u8]; 2], output: &mut [u8]) {
        let rounds = Rounds::<true>::new();
        let [a, b] = inputs.map(|input| &input[..output.len()]);
        let inputs = a.chunks(AT_ONCE).zip(b.chunks(AT_ONCE));
        for (output, (a, b)) in output.chunks_mut(AT_ONCE).zip(inputs) {
            let a = _mm512_xor_si512(load_64(a, self.flip), self.flip);
            let b = _mm512_xor_si512(load_64(b, self.flip), self.flip);
            if let Some(sums) = self.near.as_ref().and_then(|near| near.sums(a, b)) {
                store_64(output, self.finish.folded_words(sums));
                continue;
            }
            let to_unsigned = _mm512_set1_epi8(i8::MIN);
            let (a, b) = (
                _mm512_xor_si512(a, to_unsigned),
                _mm512_xor_si512(b, to_unsigned),
            );
            let mut sums = [_mm512_setzero_si512(); 4];
            let rows = quarters(a).into_iter().zip(quarters(b));
            for (sum, (a, b)) in sums.iter_mut().zip(rows) {
                let (a, b) = (terms[0].of::<HALVES>(a), terms[1].of::<false>(b));
                *sum = rounds.apply(&self.factor, _mm512_add_epi32(a, b));
            }
            store_64(output, self.finish.folded_4x16(sums));
        }
    }
}
