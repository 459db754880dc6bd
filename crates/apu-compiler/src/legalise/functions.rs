//! Functions of one quantised number, as TFLite's reference kernels compute them.
//!
//! Most are real functions: dequantised, computed in float32, and rounded. The rest is integer
//! arithmetic of its own, taken over with all its roundings.

use apu_kernels::{
    fixed_point::inverse_sqrt,
    float_math::{exp, tanh},
    requant::{Rescale, doubling_high_mul, rounding_divide_by_pot},
};

use super::wide_functions::{self, samples};
use crate::requantise::Multiplier;

/// Scale and zero point of input and output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub input: (f32, i32),
    pub output: (f32, i32),
}

impl Scales {
    /// A real function (`LUTPopulate`).
    pub fn real(self, function: impl Fn(f32) -> f32) -> impl Fn(i32) -> i32 {
        let (scale, zero_point) = self.input;
        let inverse = 1.0 / self.output.0;
        move |x| {
            let rounded = (function(scale * (x - zero_point) as f32) * inverse).round();
            (rounded + self.output.1 as f32) as i32
        }
    }

    /// A real function of int16, interpolated (`LUTPopulateInt16`).
    pub fn interpolated(self, function: impl Fn(f32) -> f32) -> impl Fn(i32) -> i32 {
        wide_functions::interpolated(samples(self.input, self.output.0, function))
    }

    /// `√x`, which is cut off and not rounded; 0 below 0, where the reference fails.
    pub fn sqrt(self) -> impl Fn(i32) -> i32 {
        let (scale, zero_point) = self.input;
        move |x| {
            let real = scale * (x - zero_point) as f32;
            (real.max(0.0).sqrt() / self.output.0) as i32 + self.output.1
        }
    }

    /// The factor from one scale to the other.
    fn ratio(self) -> Option<Rescale> {
        multiplier((self.input.0 / self.output.0).into())
    }

    /// RELU and its kin: rescaled; the bounds are those of the output.
    pub fn rescaled(self) -> Option<impl Fn(i32) -> i32> {
        let ratio = self.ratio()?;
        Some(move |x| ratio.apply(x - self.input.1) + self.output.1)
    }

    /// `|x|`, rescaled only where the scales differ.
    pub fn abs(self) -> Option<impl Fn(i32) -> i32> {
        let ratio = self.ratio()?;
        let same = self.input.0 == self.output.0;
        Some(move |x: i32| {
            let distance = (x - self.input.1).abs();
            self.output.1
                + if same {
                    distance
                } else {
                    ratio.apply(distance)
                }
        })
    }

    /// `x`, below 0 times `alpha`.
    pub fn leaky_relu(self, alpha: f32) -> Option<impl Fn(i32) -> i32> {
        let ratio = self.ratio()?;
        let below = multiplier((self.input.0 * alpha.abs() / self.output.0).into())?;
        Some(move |x| {
            let x = x - self.input.1;
            let scaled = match x {
                0.. => ratio.apply(x),
                _ if alpha < 0.0 => -below.apply(x),
                _ => below.apply(x),
            };
            scaled + self.output.1
        })
    }

    /// `1 / √x`; the largest number for 0 and below, where the reference fails.
    pub fn rsqrt(self) -> Option<impl Fn(i32) -> i32> {
        const HEADROOM: i32 = 20;
        // The root is taken in float32.
        let real = 1.0 / f64::from(self.input.0.sqrt() * self.output.0);
        let ratio = Multiplier::new(real)?;
        let ratio = Rescale::from_words(ratio.multiplier, ratio.shift - HEADROOM);
        Some(move |x| {
            let x = x - self.input.1;
            if x <= 0 {
                return i32::MAX;
            }
            let (multiplier, shift) = inverse_sqrt(x);
            let root = Rescale::from_words(multiplier, shift + HEADROOM).apply(1);
            ratio.apply(root) + self.output.1
        })
    }

    /// `x · min(max(x + 3, 0), 6) / 6` in 16-bit fixed point (`hard_swish.h`). `None` when the output's
    /// scale is too fine for it.
    pub fn hard_swish(self) -> Option<impl Fn(i32) -> i32> {
        // The scales' ratios are float32, as in the reference.
        let fine = self.input.0 * (1.0 / 128.0);
        let output = Multiplier::new((fine / self.output.0).into()).filter(|m| m.shift <= 0)?;
        let relu = Multiplier::new((fine / (3.0 / 32768.0)).into())?;
        let output_factor = to_16_bits(output.multiplier);
        let relu_factor = to_16_bits(relu.multiplier);
        Some(move |x: i32| {
            let wide = ((x - self.input.1) << 7) as i16;
            let scaled = doubling_high_mul_16(wide, output_factor);
            let weight = rescale_16(wide, relu_factor, relu.shift);
            let weight = ((i32::from(weight) + (1 << 15)) >> 1) as i16;
            // Towards zero, unlike the other products.
            let product = i32::from(weight) * i32::from(scaled) / (1 << 15);
            rounding_divide_by_pot(product, output.shift.unsigned_abs()) + self.output.1
        })
    }
}

fn multiplier(real: f64) -> Option<Rescale> {
    Multiplier::new(real).map(|m| Rescale::from_words(m.multiplier, m.shift))
}

/// The upper half of a multiplier, rounded (`DownScaleInt32ToInt16Multiplier`).
fn to_16_bits(multiplier: i32) -> i16 {
    let rounded = multiplier.saturating_add(1 << 15) >> 16;
    rounded as i16
}

/// `a · b / 2¹⁵`, rounded with ties up, on 16 bits.
fn doubling_high_mul_16(a: i16, b: i16) -> i16 {
    doubling_high_mul(i32::from(a) << 16, i32::from(b)).clamp(i16::MIN.into(), i16::MAX.into())
        as i16
}

/// `x · factor · 2^(shift − 15)` that saturates: the last of the shifts to the left comes last.
fn rescale_16(x: i16, factor: i16, shift: i32) -> i16 {
    let left = |x: i16, by: i32| {
        let wide = i64::from(x) << by.clamp(0, 40);
        wide.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    };
    if shift > 0 {
        left(doubling_high_mul_16(left(x, shift - 1), factor), 1)
    } else {
        let scaled = doubling_high_mul_16(x, factor).into();
        rounding_divide_by_pot(scaled, shift.unsigned_abs().min(31)) as i16
    }
}

pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// GELU, exact.
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * libm::erfcf(x * -std::f32::consts::FRAC_1_SQRT_2)
}

/// GELU by its approximation with tanh.
pub(super) fn gelu_approximate(x: f32) -> f32 {
    const SQRT_2_BY_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    0.5 * x * (1.0 + tanh(SQRT_2_BY_PI * (x + 0.044715 * x * x * x)))
}
