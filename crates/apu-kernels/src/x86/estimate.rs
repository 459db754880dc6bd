//! Rescaling by one multiplication in f32 that is right unless a result is close to the next one (AVX-512): that is seen,
//! and what it concerns is rescaled exactly then.

use super::avx512::{Finish, Rescale};
use crate::byte::Byte;
use core::arch::{asm, x86_64::*};

/// Bits of an estimate below its point.
const FRACTION: i32 = 16;
/// How far an estimate may be from what it stands for, in its own units of 2⁻¹⁶. Of results that aren't clamped
/// the product is within ±2⁸ steps, or 2²⁴ units: sum and factor are each wrong by 2⁻²⁴ of it at most, so by one unit.
/// The start, the product with it and that without a step are about 2²³ at most, and rounded by less than half a unit
/// each; so is what becomes an integer. That is less than four.
const ERROR: i32 = 4;

/// Sixteen factors that shift right, with the output's zero point. With a factor `m` and a shift `s`, a sum's
/// two roundings are `floor(x · m / 2^(s + 31) + 2^-(s + 1) + 1/2)`, as the first adds half of what the
/// second one drops 2^s of. Ties away from zero count a sum below zero for one step, 2^-s, less: that is what a tie of
/// the second rounding takes to be one no more.
#[derive(Clone, Copy)]
pub struct Estimate {
    scale: __m512,
    /// What doesn't depend on the sum, and [`ERROR`].
    start: __m512,
    step: __m512,
}

impl Estimate {
    /// Of factors that [`Rescale::shifts_right`]; lanes of others have no meaning.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(factors: &Rescale, byte: Byte, zero_point: i32) -> Self {
        let (multiplier, right) = factors.multiplier_and_right();
        // 2 to the power of what is in the lanes of an f32's exponent.
        let power = |exponent: i32| {
            let biased = _mm512_sub_epi32(_mm512_set1_epi32(127 + exponent), right);
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        };
        let middle = ((zero_point - byte.min() - 128) << FRACTION) + (1 << (FRACTION - 1)) + ERROR;
        let middle = _mm512_cvtepi32_ps(_mm512_set1_epi32(middle));
        // Lanes without a meaning aren't to be close to anything.
        let shifts = _mm512_test_epi32_mask(right, right);
        Self {
            scale: _mm512_mul_ps(_mm512_cvtepi32_ps(multiplier), power(FRACTION - 31)),
            start: _mm512_mask_add_ps(middle, shifts, middle, power(FRACTION - 1)),
            step: power(FRACTION),
        }
    }

    /// Estimates with [`FRACTION`] bits below the point, rounded when those are dropped. What doesn't fit, which is
    /// above, is the least number, and so close to a whole one.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn of<const AWAY: bool>(&self, sums: __m512i) -> __m512i {
        let scaled = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), self.scale, self.start);
        let scaled = if AWAY {
            let below = _mm512_cmplt_epi32_mask(sums, _mm512_setzero_si512());
            _mm512_mask_sub_ps(scaled, below, scaled, self.step)
        } else {
            scaled
        };
        _mm512_cvtps_epi32(scaled)
    }
}

/// The words above the points of two vectors of estimates, in the order that packing them would have.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn whole(a: __m512i, b: __m512i) -> __m512i {
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

/// The bytes of sixteen sums times each of four factors, in the order of packing, and how close they are to others.
/// `AWAY` is for ties away from zero; where results below zero are clamped, they may as well go up.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn estimated_4x16<const AWAY: bool>(
    finish: &Finish,
    factors: [&Estimate; 4],
    sums: [__m512i; 4],
) -> (__m512i, Margin) {
    let mut estimates = sums;
    for (estimate, factors) in estimates.iter_mut().zip(factors) {
        *estimate = factors.of::<AWAY>(*estimate);
    }
    let [a, b, c, d] = estimates;
    let bytes = finish.clamp(_mm512_packs_epi16(whole(a, b), whole(c, d)));
    (bytes, Margin(a).or(Margin(b)).or(Margin(c).or(Margin(d))))
}

/// How close estimates are to where others begin: in each lane the least of what they have below their points, with
/// something above that has no meaning.
#[derive(Clone, Copy)]
pub struct Margin(__m512i);

impl Margin {
    /// That of results without a doubt.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn certain() -> Self {
        Self(_mm512_set1_epi32(-1))
    }

    /// That of both.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn or(self, other: Self) -> Self {
        Self(_mm512_min_epu16(self.0, other.0))
    }

    /// Whether one of the results may be wrong.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn is_close(self) -> bool {
        // Twice the error, but a power of two.
        let far = _mm512_set1_epi32((1 << FRACTION) - 2 * ERROR);
        _mm512_testn_epi32_mask(self.0, far) != 0
    }

    /// The same, computed where this is called. The compiler would rather keep estimates until somebody asks whether
    /// they are close, in registers that there aren't enough of.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn now(mut self) -> Self {
        // SAFETY: there is no instruction between the vector's coming and its going.
        unsafe {
            asm!("/* {0} */", inout(zmm_reg) self.0, options(nomem, nostack, preserves_flags))
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        byte::Clamp,
        isa::{Isa, Level},
        requant::{self, Ties},
        x86::avx512::store_64,
    };

    /// What estimates say of sixteen sums from `first` on, with a multiplier and a shift to the right.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn estimated<const AWAY: bool>(
        multiplier: i32,
        right: i32,
        zero_point: i32,
        first: i32,
    ) -> Option<[u8; 64]> {
        let ascending = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let sums = _mm512_add_epi32(_mm512_set1_epi32(first), ascending);
        let (multiplier, shift) = (_mm512_set1_epi32(multiplier), _mm512_set1_epi32(-right));
        let factors = Rescale::from_words(multiplier, shift);
        let estimate = Estimate::new(&factors, Byte::UInt8, zero_point);
        let finish = Finish::new(Byte::UInt8, zero_point, Clamp { min: 0, max: 255 });
        let (bytes, close) = estimated_4x16::<AWAY>(&finish, [&estimate; 4], [sums; 4]);
        let mut stored = [0; 64];
        store_64(&mut stored, finish.in_rows(bytes));
        (!close.is_close()).then_some(stored)
    }

    #[test]
    fn what_is_not_close_is_right() {
        if Isa::detect().level() != Level::Avx512Vnni {
            return;
        }
        let mut state = 1u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as i32
        };
        let (mut right, mut far) = (0, 0);
        const ROUNDS: u32 = 300_000;
        for _ in 0..ROUNDS {
            right = right % 31 + 1;
            let multiplier = 1 << 30 | random() >> 2 & 0x3fff_ffff;
            let zero_point = random() & 0xff;
            // Most results are between the ends of a byte, some beyond.
            let first = random() >> (22 - right.min(22));
            for ties in [Ties::Up, Ties::Away] {
                // SAFETY: the level is a proof that the processor has these instructions.
                let bytes = unsafe {
                    match ties {
                        Ties::Up => estimated::<false>(multiplier, right, zero_point, first),
                        _ => estimated::<true>(multiplier, right, zero_point, first),
                    }
                };
                let Some(bytes) = bytes else { continue };
                far += 1;
                let exact = requant::Rescale::from_words(multiplier, -right);
                for (lane, &byte) in bytes.iter().enumerate() {
                    let sum = first.wrapping_add(lane as i32 % 16);
                    let scaled = match ties {
                        Ties::Up => exact.apply_up(sum),
                        _ => exact.apply(sum),
                    };
                    let want = (i64::from(scaled) + i64::from(zero_point)).clamp(0, 255);
                    assert_eq!(i64::from(byte), want, "{sum} {multiplier} {right} {ties:?}");
                }
            }
        }
        assert!(far > ROUNDS, "most of them are certain");
    }
}
