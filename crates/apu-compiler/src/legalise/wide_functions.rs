//! Functions of one int16 number, as TFLite's reference kernels compute them: by interpolation between samples.

use apu_kernels::float_math::exp;
use num_traits::{AsPrimitive, Float, clamp};

/// Places where a function of int16 is sampled: one a 128 steps, and the end.
const SAMPLES: usize = 512;

/// Samples of a function of real numbers for int16 on both sides, each raised by half the error that
/// interpolation makes behind it (`LUTPopulateInt16`). Scales and zero points are of input and output.
pub(super) fn samples<F: Float + AsPrimitive<i16>>(
    input: (F, i32),
    output_scale: F,
    function: impl Fn(F) -> F,
) -> [i16; SAMPLES + 1]
where
    i32: AsPrimitive<F>,
    usize: AsPrimitive<F>,
{
    let two: F = 2.as_();
    let [least, most]: [F; 2] = [i16::MIN, i16::MAX].map(|end| i32::from(end).as_());
    let real = |x: i16| input.0 * (i32::from(x) - input.1).as_();
    let (first, last) = (real(i16::MIN), real(i16::MAX));
    let step = (last - first) / SAMPLES.as_();
    let inverse = 65536.as_() / (output_scale * most - output_scale * least);
    std::array::from_fn(|i| {
        if i == SAMPLES {
            return clamp((function(last) * inverse).round(), least, most).as_();
        }
        let at = first + i.as_() * step;
        let here = (function(at) * inverse).round();
        let next = function(first + (i + 1).as_() * step) * inverse;
        let between = ((next + here) / two).round();
        let error = between - (function(at + step / two) * inverse).round();
        clamp(here - (error / two).round(), least, most).as_()
    })
}

/// What lies between samples, by the lower 7 bits of the number (`LUTLookup`).
pub(super) fn interpolated(samples: [i16; SAMPLES + 1]) -> impl Fn(i32) -> i32 {
    move |x| {
        let (index, offset) = ((256 + (x >> 7)) as usize, x & 127);
        let here = samples[index];
        let slope = i32::from(samples[index + 1].wrapping_sub(here));
        let between = (slope * offset + 64) >> 7;
        (i32::from(here) + between) as i16 as i32
    }
}

/// What brings an int16 of some scale to 2⁻¹⁷ of 32/3, in which the logistic function is sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    multiplier: i64,
    shift: u32,
}

/// Whether TFLite's optimised kernels have arithmetic of their own for an input of this scale.
pub(crate) fn is_shifted(scale: f32) -> bool {
    power_of_two(scale).is_some_and(|exponent| matches!(exponent, -12 | -11))
}

/// The exponent of a scale that is a power of two, or nearly so (`CheckedLog2`).
fn power_of_two(scale: f32) -> Option<i32> {
    let exponent = scale.ln() * (1.0 / std::f32::consts::LN_2);
    ((exponent - exponent.round()).abs() < 1e-3).then(|| exponent.round() as i32)
}

impl Argument {
    pub fn new(scale: f32) -> Self {
        if let Some(exponent @ (-12 | -11)) = power_of_two(scale) {
            return Self {
                multiplier: 3 << (exponent + 12),
                shift: 0,
            };
        }
        let (mut multiplier, mut shift) = (f64::from(scale) * 4096.0 * 3.0, 0);
        while multiplier <= 32767.0 / 2.0 && shift <= 30 {
            multiplier *= 2.0;
            shift += 1;
        }
        // C's cast to 32 bits of what the loop leaves.
        Self {
            multiplier: multiplier as i32 as i64,
            shift,
        }
    }

    fn of(self, x: i32) -> i64 {
        (i64::from(x) * self.multiplier + ((1 << self.shift) >> 1)) >> self.shift
    }
}

/// `65536 / (1 + e^(−i / 24))` for TFLite's interpolation, and the largest number that 16 bits hold at the end.
pub(super) fn sigmoids() -> [i64; 256] {
    let sigmoid = |i: f64| 65536.0 / (1.0 + f64::exp(-i / 24.0));
    std::array::from_fn(|i| {
        let i = i as f64;
        let chord = (sigmoid(i) + sigmoid(i + 1.0)) / 2.0;
        match i {
            255.0 => 65535,
            _ => (sigmoid(i) + (sigmoid(i + 0.5) - chord) / 2.0).round() as i64,
        }
    })
}

/// LOGISTIC of int16; the output's scale is 2⁻¹⁵.
pub(super) fn logistic(argument: Argument) -> impl Fn(i32) -> i32 {
    let table = sigmoids();
    move |x| {
        let x = argument.of(x);
        let distance = x.unsigned_abs() as usize;
        let result = match table.get(distance >> 9..=(distance >> 9) + 1) {
            Some(&[here, next]) => (here << 9) + (distance & 511) as i64 * (next - here),
            _ => 0x7fff << 10,
        };
        let signed = match x {
            0.. => result + (1 << 9),
            _ => (1 << 25) - result + (1 << 9) - 1,
        };
        (signed >> 10) as i16 as i32
    }
}

/// TANH of int16, as twice the logistic function of the double; the output's scale is 2⁻¹⁵.
pub(super) fn tanh(argument: Argument) -> impl Fn(i32) -> i32 {
    let table = sigmoids();
    move |x| {
        let x = argument.of(x);
        let distance = x.unsigned_abs() as usize;
        let result = match table.get(distance >> 8..=(distance >> 8) + 1) {
            Some(&[here, next]) => (here << 8) + (distance & 255) as i64 * (next - here),
            _ => 0xffff << 8,
        };
        let signed = match x {
            0.. => result - (1 << 23) + (1 << 7),
            _ => (1 << 23) - result + (1 << 7) - 1,
        };
        (signed >> 8) as i16 as i32
    }
}

/// The two tables of SOFTMAX of int16: exponentials from −10 to 0, and `1 / (1 + x)` from 0 to 1.
pub(super) fn softmax_tables() -> Vec<u8> {
    const RANGE: f64 = 65535.0;
    let exps = samples((10.0 / RANGE, i16::MAX.into()), 2.0 / RANGE, |x| x.exp());
    let reciprocals = samples((1.0 / RANGE, i16::MIN.into()), 2.0 / RANGE, |x| {
        1.0 / (1.0 + x)
    });
    let entries = exps.into_iter().chain(reciprocals);
    entries.flat_map(i16::to_le_bytes).collect()
}

/// The table of SOFTMAX of bytes: the exponential of each distance to the largest element.
pub(super) fn exponentials(scale: f32, beta: f32) -> Vec<u8> {
    let step = -scale * beta;
    (0..256u16)
        .map(|distance| exp(step * f32::from(distance)))
        .flat_map(f32::to_le_bytes)
        .collect()
}
