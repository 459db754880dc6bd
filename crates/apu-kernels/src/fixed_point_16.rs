//! Logistic and tanh in gemmlowp's fixed point of 16 bits: Qm.n with m + n = 15.

/// 1 as nearly as Q0.15 has it.
const ONE: i16 = i16::MAX;

/// `round(a · b / 2¹⁵)` with ties up.
const fn mul(a: i16, b: i16) -> i16 {
    let product = a as i32 * b as i32;
    // The one product that doesn't fit is −1 · −1.
    let high = (product + (1 << 14)) >> 15;
    if high > i16::MAX as i32 {
        i16::MAX
    } else {
        high as i16
    }
}

/// `x · 2^by`, saturating.
fn shift_left(x: i16, by: u32) -> i16 {
    (i32::from(x) << by).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// `round(x / 2^exponent)` with ties away from zero.
fn shift_right(x: i16, exponent: u32) -> i16 {
    crate::requant::rounding_divide_by_pot(x.into(), exponent) as i16
}

/// `1 / (1 + e^−x)` in Q0.15 for `x` in Q3.12.
pub(crate) fn logistic(x: i16) -> i16 {
    const HALF: i16 = 1 << 14;
    if x == 0 {
        return HALF;
    }
    let distance = if x > 0 { x } else { x.wrapping_neg() };
    let above = one_over_one_plus(exp_on_negative_values(distance.wrapping_neg(), 3));
    if x > 0 { above } else { ONE - above }
}

/// `tanh x` in Q0.15 for `x` with that many integer bits, 0…6.
pub(crate) fn tanh(x: i16, integer_bits: u32) -> i16 {
    if x == 0 {
        return 0;
    }
    let below = if x < 0 { x } else { x.wrapping_neg() };
    // The same bits are twice the number with one more integer bit.
    let above = one_minus_over_one_plus(exp_on_negative_values(below, integer_bits + 1));
    if x < 0 { above.wrapping_neg() } else { above }
}

/// `exp(a)` in Q0.15 for `a` below 0 with that many integer bits.
fn exp_on_negative_values(a: i16, integer_bits: u32) -> i16 {
    // exp of −1/4, −1/2, −1, −2, −4, −8 and −16, by the bits of what is left of `a`.
    const FACTORS: [i16; 7] = [25520, 19875, 12055, 4435, 600, 11, 0];
    let fraction_bits = 15 - integer_bits;
    let quarter = 1i16 << (fraction_bits - 2);
    let small = (a & (quarter - 1)) - quarter;
    let rest = small.wrapping_sub(a);
    let mut result = exp_of_small(shift_left(small, integer_bits));
    for (&factor, bit) in FACTORS.iter().zip(fraction_bits - 2..15) {
        if rest >> bit & 1 == 1 {
            result = mul(result, factor);
        }
    }
    // e^−32 and less is nothing.
    let negligible = integer_bits > 5 && i32::from(a) < -(1 << (20 - integer_bits.min(20)));
    if negligible { 0 } else { result }
}

/// `exp(a)` for `a` from −1/4 to 0: four terms of the series around −1/8.
fn exp_of_small(a: i16) -> i16 {
    const EXP_OF_MINUS_EIGHTH: i16 = 28918;
    const THIRD: i16 = 10923;
    let x = a + (1 << 12);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    let higher = shift_right(mul(shift_right(x4, 2) + x3, THIRD) + x2, 1);
    EXP_OF_MINUS_EIGHTH.saturating_add(mul(EXP_OF_MINUS_EIGHTH, x + higher))
}

/// `1 / (1 + a)` for `a` from 0 to 1.
fn one_over_one_plus(a: i16) -> i16 {
    shift_left(twice_reciprocal(a), 1)
}

/// `(1 − a) / (1 + a)` for `a` from 0 to 1.
fn one_minus_over_one_plus(a: i16) -> i16 {
    const ONE_IN_Q2: i16 = 1 << 13;
    shift_left(twice_reciprocal(a).wrapping_sub(ONE_IN_Q2), 2)
}

/// `2 / (1 + a)` in Q2.13: Newton's division.
fn twice_reciprocal(a: i16) -> i16 {
    // 48/17 and −32/17, the best linear start.
    const START: i16 = 23130;
    const SLOPE: i16 = -15420;
    const ONE_IN_Q2: i16 = 1 << 13;
    let half = ((i32::from(a) + i32::from(ONE) + 1) / 2) as i16;
    let mut x = START.wrapping_add(mul(half, SLOPE));
    for _ in 0..3 {
        let error = ONE_IN_Q2.wrapping_sub(mul(half, x));
        x = x.wrapping_add(shift_left(mul(x, error), 2));
    }
    x
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn both_stay_near_the_real_functions() {
        for x in (i16::MIN..=i16::MAX).step_by(7) {
            let real = f64::from(x) / 4096.0;
            let logistic = f64::from(logistic(x)) / 32768.0;
            assert!((logistic - 1.0 / (1.0 + (-real).exp())).abs() < 1e-3, "{x}");
            let tanh = f64::from(tanh(x, 3)) / 32768.0;
            assert!((tanh - real.tanh()).abs() < 2e-3, "{x}");
        }
    }
}
