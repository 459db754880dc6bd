//! Real scale ratios as the integer multipliers and ranges that TFLite's kernels use.
//!
//! The formulas are those of TFLite's `quantization_util.cc` and `kernel_util.cc` in the default
//! build with double rounding; where they mix `float` and `double`, so does this.

use crate::graph::{Activation, Element};

/// `real ≈ multiplier · 2^(shift − 31)`, with `multiplier` in [2³⁰, 2³¹) or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Multiplier {
    pub multiplier: i32,
    /// Positive to the left, −31…30.
    pub shift: i32,
}

impl Multiplier {
    /// `QuantizeMultiplier`. `None` when `real` is not finite, is negative, or is 2³⁰ or more,
    /// which no shift reaches.
    pub fn new(real: f64) -> Option<Self> {
        let quantised = Self::unlimited(real)?;
        (quantised.shift <= 30).then_some(quantised)
    }

    fn unlimited(real: f64) -> Option<Self> {
        if !real.is_finite() || real < 0.0 {
            return None;
        }
        let (fraction, mut shift) = frexp(real);
        let mut multiplier = (fraction * (1u64 << 31) as f64).round() as i64;
        if multiplier == 1 << 31 {
            multiplier /= 2;
            shift += 1;
        }
        if multiplier == 0 || shift < -31 {
            return Some(Self {
                multiplier: 0,
                shift: 0,
            });
        }
        Some(Self {
            multiplier: i32::try_from(multiplier).ok()?,
            shift,
        })
    }

    /// As a channel table has it.
    pub fn words(self) -> [i32; 2] {
        [self.multiplier, self.shift]
    }

    /// MEAN's multiplier: the division by `count` folded in, as `QuantizedMeanOrSum` does.
    pub fn divided(self, count: u64) -> Option<Self> {
        let shift = i32::try_from(count.checked_ilog2()?)
            .ok()?
            .min(32)
            .min(31 + self.shift);
        let widened = i64::from(self.multiplier).checked_shl(shift.try_into().ok()?)?;
        let multiplier = i32::try_from(widened / i64::try_from(count).ok()?).ok()?;
        Some(Self {
            multiplier,
            shift: self.shift - shift,
        })
    }
}

/// `real = fraction · 2^exponent` with the fraction in [0.5, 1), or both 0; C's `frexp` for `real ≥
/// 0`.
fn frexp(real: f64) -> (f64, i32) {
    const EXPONENT: u64 = 0x7ff << 52;
    if real == 0.0 {
        return (0.0, 0);
    }
    if real < f64::MIN_POSITIVE {
        let (fraction, exponent) = frexp(real * (1u64 << 54) as f64);
        return (fraction, exponent - 54);
    }
    let bits = real.to_bits();
    let exponent = ((bits & EXPONENT) >> 52) as i32 - 1022;
    (f64::from_bits(bits & !EXPONENT | 1022 << 52), exponent)
}

/// Ratio of a convolution with one weight scale in TFLite's older form, whose product is a `float`:
/// uint8 convolutions, and FULLY_CONNECTED that isn't per-channel
/// (`GetQuantizedConvolutionMultipler`).
pub(crate) fn product_ratio(input: f32, weight: f32, output: f32) -> f64 {
    f64::from(input * weight) / f64::from(output)
}

/// A scale in floating point as a channel table has it: the low and the high half of its bits.
pub(crate) fn float_words(scale: f64) -> [i32; 2] {
    let bits = scale.to_bits();
    [bits as i32, (bits >> 32) as i32]
}

/// Ratio of one channel of an int8 convolution (`PopulateConvolutionQuantizationParams`).
pub(crate) fn channel_ratio(input: f32, weight: f32, output: f32) -> f64 {
    f64::from(input) * f64::from(weight) / f64::from(output)
}

/// Least and largest stored value under a fused activation (`CalculateActivationRangeQuantized`).
/// `None` for an activation that is no clamp, a type that isn't quantised, or a bound that doesn't fit
/// 32 bits.
pub(crate) fn activation_range(
    activation: Activation,
    element: Element,
    scale: f32,
    zero_point: i32,
) -> Option<(i32, i32)> {
    let (low, high) = element.range()?;
    let (least, largest) = activation.interval()?;
    let stored = |real: f32| {
        let steps = (real / scale).round();
        let fits = steps >= i32::MIN as f32 && steps <= i32::MAX as f32;
        // Beyond i32 the cast saturates, as the sum then does.
        fits.then(|| zero_point.saturating_add(steps as i32))
    };
    let least = least.map_or(Some(low), |real| Some(stored(real)?.max(low)))?;
    let largest = largest.map_or(Some(high), |real| Some(stored(real)?.min(high)))?;
    Some((least, largest))
}

/// The exponent of a scale that is nearly a power of two (`CheckedLog2`).
pub(crate) fn exponent(scale: f32) -> Option<i32> {
    let log2 = libm::logf(scale) * (1.0 / std::f32::consts::LN_2);
    let exponent = log2.round();
    ((log2 - exponent).abs() < 1e-3).then_some(exponent as i32)
}

/// The three multipliers of a function of two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinaryScales {
    pub left_shift: u32,
    pub a: Multiplier,
    pub b: Multiplier,
    pub output: Multiplier,
}

impl BinaryScales {
    const NONE: Multiplier = Multiplier {
        multiplier: 0,
        shift: 0,
    };

    /// ADD and SUB: both inputs against twice the larger scale, with 20 bits of headroom, 15 for
    /// int16 (`add.cc`, `sub.cc`).
    pub fn sum(a: f32, b: f32, output: f32, wide: bool) -> Option<Self> {
        let left_shift: u32 = if wide { 15 } else { 20 };
        let twice_max = f64::from(2.0 * a.max(b));
        let unit = f64::from((1u32 << left_shift) as f32 * output);
        Some(Self {
            left_shift,
            a: Multiplier::new(f64::from(a) / twice_max)?,
            b: Multiplier::new(f64::from(b) / twice_max)?,
            output: Multiplier::new(twice_max / unit)?,
        })
    }

    /// MUL (`mul.cc`).
    pub fn product(a: f32, b: f32, output: f32) -> Option<Self> {
        Some(Self {
            left_shift: 0,
            a: Self::NONE,
            b: Self::NONE,
            output: Multiplier::new(f64::from(a * b / output))?,
        })
    }

    /// DIV of 8-bit types (`div.cc`).
    pub fn quotient(a: f32, b: f32, output: f32) -> Option<Self> {
        Some(Self {
            left_shift: 0,
            a: Self::NONE,
            b: Self::NONE,
            output: Multiplier::new(f64::from(a / (b * output)))?,
        })
    }

    /// PRELU: the factor of inputs above zero is that of `a` (`activations.cc`).
    pub fn prelu(a: f32, alpha: f32, output: f32) -> Option<Self> {
        Some(Self {
            a: Multiplier::new(f64::from(a / output))?,
            ..Self::product(a, alpha, output)?
        })
    }

    /// SQUARED_DIFFERENCE, with 7 bits of headroom before the square (`squared_difference.cc`).
    pub fn squared_difference(a: f32, b: f32, output: f32) -> Option<Self> {
        const LEFT_SHIFT: u32 = 7;
        let twice_max = f64::from(2.0 * a.max(b));
        let unit = f64::from((1u32 << (2 * LEFT_SHIFT)) as f32 * output);
        Some(Self {
            left_shift: LEFT_SHIFT,
            a: Multiplier::new(f64::from(a) / twice_max)?,
            b: Multiplier::new(f64::from(b) / twice_max)?,
            output: Multiplier::new(twice_max * twice_max / unit)?,
        })
    }

    /// Comparisons: each input by its own scale, with 8 bits of headroom (`comparisons.cc`).
    pub fn comparison(a: f32, b: f32) -> Option<Self> {
        Some(Self {
            left_shift: 8,
            a: Multiplier::new(a.into())?,
            b: Multiplier::new(b.into())?,
            output: Self::NONE,
        })
    }
}

/// SOFTMAX's scaling of differences to Q5.26.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SoftmaxScale {
    pub multiplier: i32,
    /// 0…31.
    pub left_shift: i32,
    /// Differences to the maximum below this count as zero.
    pub diff_min: i32,
}

impl SoftmaxScale {
    /// `PreprocessSoftmaxScaling` and `CalculateInputRadius` with five integer bits. `None` when a
    /// difference of one is too small to be told from zero.
    pub fn new(beta: f32, scale: f32) -> Option<Self> {
        const INTEGER_BITS: i32 = 5;
        const FRACTION: f64 = (1u32 << (31 - INTEGER_BITS)) as f64;
        let real = (f64::from(beta) * f64::from(scale) * FRACTION).min(f64::from(i32::MAX));
        let Multiplier { multiplier, shift } =
            Multiplier::unlimited(real).filter(|m| m.multiplier > 0)?;
        if !(0..=31).contains(&shift) {
            return None;
        }
        let radius = f64::from((1 << INTEGER_BITS) - 1) * FRACTION / (1u64 << shift) as f64;
        Some(Self {
            multiplier,
            left_shift: shift,
            diff_min: -(radius.floor() as i32),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_tflites() {
        struct Case {
            real: f64,
            want: Option<(i32, i32)>,
        }
        let cases = [
            Case {
                real: 0.0,
                want: Some((0, 0)),
            },
            Case {
                real: 1.0,
                want: Some((1 << 30, 1)),
            },
            Case {
                real: 0.5,
                want: Some((1 << 30, 0)),
            },
            Case {
                real: 0.75,
                want: Some((3 << 29, 0)),
            },
            // rounds up to 2³¹ and is halved
            Case {
                real: 1.0 - 1e-12,
                want: Some((1 << 30, 1)),
            },
            // the least that a right shift of 31 still reaches
            Case {
                real: 2f64.powi(-32),
                want: Some((1 << 30, -31)),
            },
            Case {
                real: 2f64.powi(-33),
                want: Some((0, 0)),
            },
            Case {
                real: f64::MIN_POSITIVE / 8.0,
                want: Some((0, 0)),
            },
            Case {
                real: 2f64.powi(30) - 1.0,
                want: Some((2147483646, 30)),
            },
            Case {
                real: 2f64.powi(30),
                want: None,
            },
            Case {
                real: -1.0,
                want: None,
            },
            Case {
                real: f64::NAN,
                want: None,
            },
            Case {
                real: f64::INFINITY,
                want: None,
            },
        ];
        for case in cases {
            let got = Multiplier::new(case.real).map(|m| (m.multiplier, m.shift));
            assert_eq!(got, case.want, "{}", case.real);
        }
    }

    #[test]
    fn activation_bounds_round_half_away_from_zero() {
        let range = |activation, scale, zero_point| {
            activation_range(Activation(activation), Element::INT8, scale, zero_point)
        };
        assert_eq!(range(0, 0.1, 3), Some((-128, 127)));
        assert_eq!(range(1, 0.1, 3), Some((3, 127)));
        assert_eq!(range(3, 0.1, -128), Some((-128, -68)));
        assert_eq!(range(2, 2.0, 0), Some((-1, 1)));
        assert_eq!(range(4, 0.1, 0), None); // TANH is no clamp
        assert_eq!(range(3, 1e-30, 0), None); // 6 / scale leaves 32 bits
    }

    #[test]
    fn mean_divides_without_losing_bits() {
        let one = Multiplier::new(1.0).unwrap();
        assert_eq!(one.divided(1), Some(one));
        assert_eq!(
            one.divided(49),
            Some(Multiplier {
                multiplier: ((1i64 << 35) / 49) as i32,
                shift: -4
            })
        );
        assert_eq!(one.divided(0), None);
    }

    #[test]
    fn softmax_caps_a_large_scale() {
        assert_eq!(
            SoftmaxScale::new(1.0, 1e9),
            Some(SoftmaxScale {
                multiplier: i32::MAX,
                left_shift: 31,
                diff_min: 0
            })
        );
        assert_eq!(SoftmaxScale::new(0.0, 1.0), None);
        let got = SoftmaxScale::new(1.0, 1.0 / 16.0).unwrap();
        assert_eq!(
            got,
            SoftmaxScale {
                multiplier: 1 << 30,
                left_shift: 23,
                diff_min: -248
            }
        );
    }
}
