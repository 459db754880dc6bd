//! Functions of one float32 number, each rounded as glibc's, which is where LiteRT's plain kernels take
//! them from.
//!
//! [`exp`] and [`log`] are those of Arm's optimized routines, which glibc has since 2.27 and musl since
//! 1.2; they agree for all numbers. [`tanh`] rests on Sun's `expm1`, as up to glibc 2.40.

use core::f64::consts::{LN_2, LOG2_E};

/// Steps of a power of two in the table of [`exp`].
const STEPS: f64 = 32.0;
/// `2^(i/32)` with the exponent less what `i << 47` adds to it, as bits of a float64.
const POWERS: [u64; 32] = [
    0x3ff0000000000000,
    0x3fefd9b0d3158574,
    0x3fefb5586cf9890f,
    0x3fef9301d0125b51,
    0x3fef72b83c7d517b,
    0x3fef54873168b9aa,
    0x3fef387a6e756238,
    0x3fef1e9df51fdee1,
    0x3fef06fe0a31b715,
    0x3feef1a7373aa9cb,
    0x3feedea64c123422,
    0x3feece086061892d,
    0x3feebfdad5362a27,
    0x3feeb42b569d4f82,
    0x3feeab07dd485429,
    0x3feea47eb03a5585,
    0x3feea09e667f3bcd,
    0x3fee9f75e8ec5f74,
    0x3feea11473eb0187,
    0x3feea589994cce13,
    0x3feeace5422aa0db,
    0x3feeb737b0cdc5e5,
    0x3feec49182a3f090,
    0x3feed503b23e255d,
    0x3feee89f995ad3ad,
    0x3feeff76f2fb5e47,
    0x3fef199bdd85529c,
    0x3fef3720dcef9069,
    0x3fef5818dcfba487,
    0x3fef7c97337b9b5f,
    0x3fefa4afa2a490da,
    0x3fefd0765b6e4540,
];
/// Of `2^r`, for the cube, the square and `r` itself.
const EXP2: [f64; 3] = [0.05550361559341535, 0.2402284522445722, 0.6931471806916203];
/// Added and taken away again, it leaves a float64 without fraction, and that in its lowest bits.
const ROUND: f64 = (3u64 << 51) as f64;
/// The largest number whose exponential is finite.
const EXP_MAX: f32 = f32::from_bits(0x42b1_7217);
/// The least number whose exponential isn't zero.
const EXP_MIN: f32 = f32::from_bits(0xc2cf_f1b4);

/// `e^x`: a step of a 32nd of an octave from the table, times a polynomial of what is left.
pub fn exp(x: f32) -> f32 {
    match x {
        _ if x.is_nan() => return x,
        _ if x > EXP_MAX => return f32::INFINITY,
        _ if x < EXP_MIN => return 0.0,
        _ => (),
    }
    let steps = f64::from(x) * (LOG2_E * STEPS);
    let rounded = steps + ROUND;
    let (step, rest) = (rounded.to_bits(), steps - (rounded - ROUND));
    let power = f64::from_bits(POWERS[(step % 32) as usize].wrapping_add(step << 47));
    let [cube, square, linear] = EXP2;
    let high = cube / STEPS / STEPS / STEPS * rest + square / STEPS / STEPS;
    let polynomial = high * (rest * rest) + (linear / STEPS * rest + 1.0);
    (polynomial * power) as f32
}

/// For the 16 parts of an octave `1/c` and `ln c` of a number `c` in it.
const LOGARITHMS: [(f64, f64); 16] = [
    (1.398907162146528, -0.33569133332882284),
    (1.3403141896637998, -0.2929040563774074),
    (1.286432210124115, -0.2518726580937369),
    (1.2367150214269895, -0.21245868807117255),
    (1.1906977166711752, -0.17453945183745634),
    (1.1479821020556429, -0.1380057072319758),
    (1.1082251448272158, -0.10275976698545139),
    (1.0711297413057381, -0.06871392447020525),
    (1.036437278977283, -0.0357891387398228),
    (1.0, 0.0),
    (0.9492859795739057, 0.05204517742929496),
    (0.8951049428609004, 0.11081431298787942),
    (0.8476821620351103, 0.1652495223695143),
    (0.8050314851692001, 0.21687389031699977),
    (0.7664671008843108, 0.2659635028121397),
    (0.731428603316328, 0.3127556664073557),
];
/// Of `ln(1 + r)`, for the fourth, third and second power.
const LOG1P: [f64; 3] = [-0.25089342214237154, 0.333456765744066, -0.4999997485802103];
/// Where the octaves begin of which [`LOGARITHMS`] has the parts, as bits of a float32: about 0.7.
const OCTAVE: u32 = 0x3f33_0000;

/// The natural logarithm: of a number near by from the table, and a polynomial of the ratio to it.
pub fn log(x: f32) -> f32 {
    match x {
        _ if x == 1.0 => return 0.0,
        _ if x == 0.0 => return f32::NEG_INFINITY,
        _ if x.is_nan() || x == f32::INFINITY => return x,
        _ if x < 0.0 => return f32::NAN,
        _ => (),
    }
    let bits = match x < f32::MIN_POSITIVE {
        true => (x * (1 << 23) as f32).to_bits().wrapping_sub(23 << 23),
        false => x.to_bits(),
    };
    let offset = bits.wrapping_sub(OCTAVE);
    let octave = f64::from((offset as i32) >> 23);
    let mantissa = f64::from(f32::from_bits(bits.wrapping_sub(offset & 0xff80_0000)));
    let (inverse, logarithm) = LOGARITHMS[(offset >> 19) as usize % 16];
    let rest = mantissa * inverse - 1.0;
    let [fourth, cube, square] = LOG1P;
    let square_of_rest = rest * rest;
    let high = fourth * square_of_rest + (cube * rest + square);
    (high * square_of_rest + (logarithm + octave * LN_2 + rest)) as f32
}

/// The hyperbolic tangent by `e^2x - 1`, or `e^-2x - 1` where that is the small one.
pub fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let result = match magnitude {
        _ if x.is_nan() => return x,
        22.0.. => 1.0,
        1.0.. => 1.0 - 2.0 / (expm1(2.0 * magnitude) + 2.0),
        _ => {
            let t = expm1(-2.0 * magnitude);
            -t / (t + 2.0)
        }
    };
    result.copysign(x)
}

/// ln 2 in two parts, of which the first times an exponent is exact.
const LN_2_PARTS: [f32; 2] = [f32::from_bits(0x3f31_7180), f32::from_bits(0x3717_f7d1)];
/// Of the rational approximation, for the first to fifth power of x²/2.
const EXPM1: [f32; 5] = [
    f32::from_bits(0xbd08_8889),
    f32::from_bits(0x3ad0_0d01),
    f32::from_bits(0xb8a6_70cd),
    f32::from_bits(0x3686_7e54),
    f32::from_bits(0xb457_edbb),
];
/// Half of ln 2, one and a half of it, and 27 of it.
const HALF_LN_2: f32 = f32::from_bits(0x3eb1_7218);
const LN_2_AND_HALF: f32 = f32::from_bits(0x3f85_1592);
const MANY_LN_2: f32 = f32::from_bits(0x4195_b844);

/// `e^x - 1`, without the digits that a subtraction would lose.
pub fn expm1(x: f32) -> f32 {
    let magnitude = x.abs();
    match x {
        _ if x > EXP_MAX => return f32::INFINITY,
        _ if x <= -MANY_LN_2 => return -1.0,
        _ if x.is_nan() || magnitude < f32::EPSILON / 4.0 => return x,
        _ => (),
    }
    // x = octaves · ln 2 + rest, and `lost` is what rounding that took from it.
    let octaves = match magnitude {
        _ if magnitude <= HALF_LN_2 => 0,
        _ if magnitude < LN_2_AND_HALF => 1f32.copysign(x) as i32,
        _ => (core::f32::consts::LOG2_E * x + 0.5f32.copysign(x)) as i32,
    };
    let [high, low] = LN_2_PARTS.map(|part| octaves as f32 * part);
    let (high, rest) = (x - high, x - high - low);
    let lost = high - rest - low;
    let half = 0.5 * rest;
    let square = rest * half;
    let series = EXPM1.iter().rev().fold(0.0, |sum, &q| square * (q + sum)) + 1.0;
    let t = 3.0 - series * half;
    let e = square * ((series - t) / (6.0 - rest * t));
    if octaves == 0 {
        return rest - (rest * e - square);
    }
    let e = rest * (e - lost) - lost - square;
    let exponent = octaves << 23;
    let scaled = |y: f32| f32::from_bits(y.to_bits().wrapping_add_signed(exponent));
    match octaves {
        -1 => 0.5 * (rest - e) - 0.5,
        1 if rest < -0.25 => -2.0 * (e - (rest + 0.5)),
        1 => 1.0 + 2.0 * (rest - e),
        ..=-2 | 57.. => scaled(1.0 - (e - rest)) - 1.0,
        _ => {
            let inverse = f32::from_bits(0x3f80_0000u32.wrapping_add_signed(-exponent));
            match octaves {
                ..23 => scaled(1.0 - inverse - (e - rest)),
                _ => scaled(rest - (e + inverse) + 1.0),
            }
        }
    }
}

/// `e^x - 1` below 0, else the number itself.
pub fn elu(x: f32) -> f32 {
    if x < 0.0 { expm1(x) } else { x }
}

/// As TFLite's plain kernel has it: without the exponential that would overflow or make no difference.
pub fn logistic(x: f32) -> f32 {
    if x > 16.619_047 {
        1.0
    } else if x < -9.0 {
        exp(x)
    } else {
        1.0 / (1.0 + exp(-x))
    }
}

/// On a system with glibc, whose functions these are.
#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A function of ours, and the C library's.
    type Pair = (fn(f32) -> f32, fn(f32) -> f32);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn each_is_that_of_the_c_library(bits: u32) {
            let x = f32::from_bits(bits);
            let pairs: [Pair; 4] = [(exp, f32::exp), (log, f32::ln), (expm1, f32::exp_m1), (tanh, f32::tanh)];
            for (ours, libc) in pairs {
                let (ours, libc) = (ours(x), libc(x));
                prop_assert!(ours.to_bits() == libc.to_bits() || ours.is_nan() && libc.is_nan(), "{x}: {ours} {libc}");
            }
        }
    }
}
