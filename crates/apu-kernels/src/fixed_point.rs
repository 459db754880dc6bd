//! Exponential, reciprocal and inverse square root in gemmlowp's fixed point. Qm.n has m integer and n fractional bits
//! and a sign.

use crate::requant::{doubling_high_mul as mul, rounding_divide_by_pot};

/// Fractional bits of the exponential's argument, Q5.26.
const ARGUMENT_BITS: u32 = 26;

/// `exp(a)` in Q0.31 for `a` in Q5.26, at most 0.
#[inline(always)]
pub(crate) fn exp_on_negative_values(a: i32) -> i32 {
    const QUARTER: i32 = 1 << (ARGUMENT_BITS - 2);
    // exp of −1/4, −1/2, −1, −2, −4, −8 and −16 in Q0.31, by the bits of what is left of `a`.
    const FACTORS: [i32; 7] = [
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
    ];
    if a == 0 {
        return i32::MAX;
    }
    let small = (a & (QUARTER - 1)) - QUARTER;
    let rest = small.wrapping_sub(a);
    let mut result = exp_of_small(small << 5);
    for (bit, &factor) in (ARGUMENT_BITS - 2..).zip(&FACTORS) {
        if rest >> bit & 1 == 1 {
            result = mul(result, factor);
        }
    }
    result
}

/// `exp(a)` in Q0.31 for `a` in Q0.31 from −1/4 to 0: four terms of the series around −1/8.
#[inline(always)]
fn exp_of_small(a: i32) -> i32 {
    const EXP_OF_MINUS_EIGHTH: i32 = 1895147668;
    const THIRD: i32 = 715827883;
    let x = a + (1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    let higher = rounding_divide_by_pot(mul(rounding_divide_by_pot(x4, 2) + x3, THIRD) + x2, 1);
    EXP_OF_MINUS_EIGHTH + mul(EXP_OF_MINUS_EIGHTH, x + higher)
}

/// `1 / x`, as a mantissa and an exponent.
pub(crate) struct Reciprocal {
    /// The mantissa in Q0.31.
    pub scale: i32,
    /// The factor that is missing from `scale`, as a power of two.
    pub bits_over_unit: i32,
}

impl Reciprocal {
    /// Of a positive `x` with that many integer bits.
    pub fn of(x: i32, integer_bits: u32) -> Self {
        let headroom = x.max(1).leading_zeros();
        let normal = (x.max(1) as u32) << headroom;
        Self {
            scale: one_over_one_plus((normal - (1 << 31)) as i32),
            bits_over_unit: integer_bits as i32 - headroom as i32,
        }
    }
}

/// `1 / (1 + a)` in Q0.31 for `a` in Q0.31 from 0 to 1: Newton's division.
fn one_over_one_plus(a: i32) -> i32 {
    // 48/17 and −32/17 in Q2.29, the best linear start.
    const START: i32 = 1515870810;
    const SLOPE: i32 = -1010580540;
    const ONE: i32 = 1 << 29;
    let half = ((i64::from(a) + i64::from(i32::MAX) + 1) / 2) as i32;
    let mut x = START + mul(half, SLOPE);
    for _ in 0..3 {
        let error = ONE - mul(half, x);
        x = x.wrapping_add(shift_left_2(mul(x, error)));
    }
    shift_left_1(x)
}

/// `ln(x)` in Q5.26 for `x` in Q12.19, at least 1: `x` is brought near 1 by a power of two, in two ways of
/// which the better counts, and a quotient of polynomials does the rest.
pub(crate) fn log_of_at_least_one(x: i32) -> i32 {
    const LOG_2: i32 = 1488522236;
    const SQRT_HALF: i32 = 1518500250;
    const FOURTH_ROOT_HALF: i32 = 1805811301;
    // 11/240, 1/20 and 1/4 times the fourth root of two, and what is left of the denominator.
    const NUMERATOR: i32 = 117049297;
    const SQUARE: i32 = 127690142;
    const LINEAR: i32 = 638450708;
    const CONSTANT: i32 = 1057819769;
    /// 1/4 in Q6.25, in which powers of two are counted.
    const QUARTER: i32 = 1 << 23;
    let power = |bits: i32| bits << 25;
    let zeros = x.leading_zeros() as i32;
    let [r_a, power_a] = [
        shift_left_1(mul(shift_left(x, zeros - 1), SQRT_HALF)),
        power(12 - zeros) + QUARTER,
    ];
    let headroom = mul(x, SQRT_HALF).leading_zeros() as i32 - 1;
    let [r_b, power_b] = [shift_left(x, headroom), power(12 - headroom) - QUARTER];
    let r = r_a.min(r_b);
    let power = power_a.max(power_b);

    let half_sum = ((i64::from(r) + i64::from(FOURTH_ROOT_HALF) + 1) / 2) as i32;
    let q = r.wrapping_sub(FOURTH_ROOT_HALF).wrapping_mul(2);
    let square = mul(q, q);
    let numerator = mul(q, r).wrapping_add(mul(mul(q, square), NUMERATOR));
    let denominator = CONSTANT.wrapping_add(q).wrapping_add(mul(SQUARE, square));
    let denominator = mul(half_sum, denominator).wrapping_add(mul(LINEAR, q));
    let rest = mul(
        rounding_divide_by_pot(numerator, 6),
        one_over_one_plus(denominator),
    );
    shift_left_1(mul(power, LOG_2).wrapping_add(rest))
}

/// `x · 2^by`, saturating, for shifts 0…31.
fn shift_left(x: i32, by: i32) -> i32 {
    let wide = i64::from(x) << by;
    wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// `4x`, saturating.
fn shift_left_2(x: i32) -> i32 {
    x.saturating_mul(4)
}

/// `2x`, saturating: Q1.30 to Q0.31.
fn shift_left_1(x: i32) -> i32 {
    x.saturating_mul(2)
}

/// `1 / √x` as a multiplier and a shift to the left, for [`Rescale`](crate::requant::Rescale): five
/// steps of Newton's iteration, as TFLite's `GetInvSqrtQuantizedMultiplierExp`. 0 counts as 1.
pub fn inverse_sqrt(x: i32) -> (i32, i32) {
    const HALF_SQRT_2: i32 = 1518500250;
    const ONE_AND_A_HALF: i32 = (1 << 28) + (1 << 27);
    if x <= 1 {
        return (i32::MAX, 0);
    }
    let (mut input, mut right) = (x, 11);
    while input >= 1 << 29 {
        input /= 4;
        right += 1;
    }
    let pairs = (input.leading_zeros() as i32 - 1) / 2 - 1;
    right -= pairs;
    input <<= 2 * pairs;
    // All in Q3.28 from here; a product of such numbers has more integer bits and is shifted back.
    let half = rounding_divide_by_pot(input >> 1, 1);
    let mut estimate = 1i32 << 28;
    for _ in 0..5 {
        let cube = mul(mul(estimate, estimate), estimate).saturating_mul(1 << 6);
        let next = mul(ONE_AND_A_HALF, estimate) - mul(half, cube);
        estimate = next.saturating_mul(1 << 3);
    }
    let multiplier = mul(estimate, HALF_SQRT_2);
    if right < 0 {
        (multiplier << -right, 0)
    } else {
        (multiplier, -right)
    }
}
