//! Fixed-point rescaling with gemmlowp's double rounding, as TFLite's reference kernels do it.

use crate::{Error, limits::within};
use apu_proto::program::Rounding;

/// `round(a · b / 2³¹)` with ties up: gemmlowp's SaturatingRoundingDoublingHighMul, without the
/// saturation, which only `i32::MIN · i32::MIN` could reach.
#[inline(always)]
pub const fn doubling_high_mul(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64 + (1 << 30)) >> 31) as i32
}

/// `round(x / 2^exponent)` with ties away from zero, for exponents 0…31: gemmlowp's
/// RoundingDivideByPOT.
#[inline(always)]
pub const fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = ((1u32 << exponent) - 1) as i32;
    let threshold = (mask >> 1) + (x < 0) as i32;
    (x >> exponent) + ((x & mask) > threshold) as i32
}

/// How a sum is scaled and where ties go; see [`apu_proto::program::Rounding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Away from zero.
    Away,
    /// Upward.
    Up,
    /// Away from zero, after one multiplication in f64. Only plain kernels know it.
    AwayFloat,
    /// To even, after one multiplication in f32.
    Even,
}

impl Ties {
    /// What one of [`Rounding`] stands for.
    ///
    /// # Errors
    ///
    /// There is none with this number.
    pub fn new(field: &'static str, raw: u32) -> Result<Self, Error> {
        within(field, raw, Rounding::AWAY.into(), Rounding::EVEN.into())?;
        Ok(match raw {
            Rounding::UP => Self::Up,
            Rounding::FLOAT => Self::AwayFloat,
            Rounding::EVEN => Self::Even,
            _ => Self::Away,
        })
    }
}

/// `round(x / 2^exponent)` with ties up, for exponents 0…31.
#[inline(always)]
const fn rounding_up_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let half = (1u32 << exponent >> 1) as i64;
    ((x as i64 + half) >> exponent) as i32
}

/// A factor `multiplier · 2^(shift − 31)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescale {
    multiplier: i32,
    left: u32,
    right: u32,
}

impl Rescale {
    /// The factor that two words from a program's constants stand for. They may hold anything: a
    /// negative multiplier counts as 0 and a shift is taken to the nearest of −31…30.
    #[inline(always)]
    pub const fn from_words(multiplier: i32, shift: i32) -> Self {
        let multiplier = if multiplier < 0 { 0 } else { multiplier };
        let left = if shift < 0 {
            0
        } else if shift > 30 {
            30
        } else {
            shift
        };
        let right = if shift > 0 {
            0
        } else if shift < -31 {
            31
        } else {
            -shift
        };
        Self {
            multiplier,
            left: left as u32,
            right: right as u32,
        }
    }

    /// The factor that two parameters stand for.
    pub(crate) fn new(
        fields: [&'static str; 2],
        multiplier: i32,
        shift: i32,
    ) -> Result<Self, Error> {
        within(fields[0], multiplier, 0, i32::MAX.into())?;
        within(fields[1], shift, -31, 30)?;
        Ok(Self::from_words(multiplier, shift))
    }

    /// Multiplier and shift.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) const fn words(self) -> (i32, i32) {
        (self.multiplier, self.left as i32 - self.right as i32)
    }

    /// This factor times `2^by`.
    #[inline(always)]
    pub const fn shifted(self, by: i32) -> Self {
        Self::from_words(self.multiplier, self.left as i32 - self.right as i32 + by)
    }

    /// `x` times the factor: TFLite's MultiplyByQuantizedMultiplier.
    #[inline(always)]
    pub const fn apply(self, x: i32) -> i32 {
        rounding_divide_by_pot(self.high_mul(x), self.right)
    }

    /// `x` times the factor, with ties up.
    #[inline(always)]
    pub const fn apply_up(self, x: i32) -> i32 {
        rounding_up_divide_by_pot(self.high_mul(x), self.right)
    }

    /// `x` times the factor cut to a multiplier of 16 bits, with ties up: TFLite's
    /// MultiplyByQuantizedMultiplier of 64 bits, which keeps the lower 32 of the result. Shifts above 14
    /// count as 14.
    #[inline(always)]
    pub const fn apply_wide(self, x: i64) -> i32 {
        let multiplier = if self.multiplier < 0x7fff_0000 {
            (self.multiplier + (1 << 15)) >> 16
        } else {
            0x7fff
        };
        let left = if self.left > 14 { 14 } else { self.left };
        let right = 15 + self.right - left;
        let product = x.wrapping_mul(multiplier as i64);
        (product.wrapping_add(1 << (right - 1)) >> right) as i32
    }

    #[inline(always)]
    const fn high_mul(self, x: i32) -> i32 {
        doubling_high_mul(x.wrapping_shl(self.left), self.multiplier)
    }
}

/// What a channel's sums are multiplied by, and how the products are rounded.
#[derive(Clone, Copy, Debug)]
pub enum Factor {
    /// In fixed point, with ties away from zero.
    Away(Rescale),
    /// In fixed point, with ties up.
    Up(Rescale),
    /// In f64, with ties away from zero.
    AwayFloat(f64),
    /// In f32, with ties to even.
    Even(f32),
}

impl Factor {
    /// The factor that two words of a channel table stand for.
    #[inline(always)]
    pub const fn from_words(ties: Ties, [low, high]: [i32; 2]) -> Self {
        let bits = (high as u32 as u64) << 32 | low as u32 as u64;
        match ties {
            Ties::Away => Self::Away(Rescale::from_words(low, high)),
            Ties::Up => Self::Up(Rescale::from_words(low, high)),
            Ties::AwayFloat => Self::AwayFloat(f64::from_bits(bits)),
            Ties::Even => Self::Even(f32::from_bits(low as u32)),
        }
    }

    /// A sum in steps of the output.
    #[inline(always)]
    pub fn rescale(self, sum: i32) -> i32 {
        match self {
            Self::Away(factor) => factor.apply(sum),
            Self::Up(factor) => factor.apply_up(sum),
            Self::AwayFloat(factor) => rescale_float(factor, sum),
            Self::Even(factor) => round_even(sum as f32 * factor),
        }
    }

    /// Steps for a sum of 1, before they are rounded.
    pub fn slope(self) -> f64 {
        match self {
            Self::Away(factor) | Self::Up(factor) => {
                let power = f64::from(factor.left as i32 - factor.right as i32 - 31);
                f64::from(factor.multiplier) * libm::exp2(power)
            }
            Self::AwayFloat(factor) => factor,
            Self::Even(factor) => factor.into(),
        }
    }

    /// Whether a greater sum never makes less, as long as sums are no further from zero than this.
    pub fn ascends(self, furthest: u32) -> bool {
        match self {
            // Bits that are shifted out would be missing.
            Self::Away(factor) | Self::Up(factor) => {
                u64::from(furthest) << factor.left <= i32::MAX as u64
            }
            Self::AwayFloat(factor) => factor >= 0.0,
            Self::Even(factor) => factor >= 0.0,
        }
    }
}

/// `round(x · scale)` with ties away from zero. What doesn't fit goes to the nearest end of the range
/// and NaN to 0; the reference leaves both undefined.
#[inline(always)]
pub const fn rescale_float(scale: f64, x: i32) -> i32 {
    let scaled = x as f64 * scale;
    let whole = scaled as i32;
    let rest = scaled - whole as f64;
    whole
        .saturating_add((rest >= 0.5) as i32)
        .saturating_sub((rest <= -0.5) as i32)
}

/// Whether a rounding is [`Rounding::EVEN`] rather than [`Rounding::AWAY`], for operators that have these two.
pub(crate) fn is_even(raw: u32) -> Result<bool, Error> {
    match raw {
        Rounding::AWAY => Ok(false),
        Rounding::EVEN => Ok(true),
        got => Err(Error::Contradiction {
            field: "rounding",
            got: got.into(),
            other: "away (0) or even (3)",
            needed: 0,
        }),
    }
}

/// To the nearest integer, ties to even; what doesn't fit goes to the nearest end of the range and NaN to 0.
#[inline(always)]
pub fn round_even(x: f32) -> i32 {
    // From here on a float has no fraction, so adding this rounds what is below. Unlike a call of
    // `rintf`, that vectorises.
    const WHOLE: f32 = (1 << 23) as f32;
    let whole = WHOLE.copysign(x);
    let rounded = if x.abs() < WHOLE {
        (x + whole) - whole
    } else {
        x
    };
    rounded as i32
}

/// As [`round_even`] of what lies within 2²¹ of 0; what is beyond, and NaN, goes to one of these ends. A
/// conversion that saturates isn't vectorised; this has none.
#[inline(always)]
pub fn round_even_near(x: f32) -> i32 {
    const END: f32 = (1 << 21) as f32;
    // The last bit of floats around this one is 1, so their bits count integers.
    const MIDDLE: f32 = (3 << 22) as f32;
    let x = if x > -END { x } else { -END };
    let x = if x < END { x } else { END };
    (x + MIDDLE).to_bits() as i32 - MIDDLE.to_bits() as i32
}

/// To the nearest integer, ties away from zero. What doesn't fit goes to the nearest end of the
/// range and NaN to 0; the reference leaves both undefined.
#[inline(always)]
pub fn round_away(x: f32) -> i32 {
    let whole = x as i32;
    let rest = x - whole as f32;
    whole
        .saturating_add((rest >= 0.5) as i32)
        .saturating_sub((rest <= -0.5) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_half_away_from_zero() {
        let cases = [
            (0.5, 1),
            (-0.5, -1),
            (2.5, 3),
            (-2.5, -3),
            (0.49999997, 0),
            (-0.49999997, 0),
            (8388609.0, 8388609),
            (1e20, i32::MAX),
            (-1e20, i32::MIN),
            (f32::NAN, 0),
        ];
        for (x, want) in cases {
            assert_eq!(round_away(x), want, "{x}");
        }
    }

    #[test]
    fn floats_round_half_to_even() {
        let near = |x: f32| [x.next_down(), x, x.next_up()];
        let halves = (-40..40).map(|half| half as f32 / 2.0);
        let edges = [
            0.0,
            1.0,
            8388607.5,
            8388609.0,
            2147483648.0,
            1e20,
            f32::INFINITY,
        ];
        let all = halves.chain(edges).chain(edges.map(|x| -x)).flat_map(near);
        for x in all.chain([f32::NAN]) {
            assert_eq!(round_even(x), libm::rintf(x) as i32, "{x}");
            let near = (libm::rintf(x) as i32).clamp(-1 << 21, 1 << 21);
            let near = if x.is_nan() { -1 << 21 } else { near };
            assert_eq!(round_even_near(x), near, "{x}");
        }
    }

    #[test]
    fn float_rounds_once_and_away_from_zero() {
        for (scale, x, want) in [
            (0.5, 3, 2),
            (0.5, -3, -2),
            (0.25, -6, -2),
            (0.49999999999999994, 1, 0),
            (1e300, 1, i32::MAX),
            (1e300, -1, i32::MIN),
            (f64::NAN, 7, 0),
        ] {
            assert_eq!(rescale_float(scale, x), want, "{scale} {x}");
        }
    }

    #[test]
    fn only_ties_below_zero_tell_the_roundings_apart() {
        // A half, as a shift alone would make it.
        let half = Rescale::from_words(1 << 30, 0);
        let quarter = Rescale::from_words(1 << 30, -1);
        for (factor, x, away, up) in [
            (quarter, 6, 2, 2),
            (quarter, -6, -2, -1),
            (quarter, -5, -1, -1),
            (quarter, -7, -2, -1), // −3.5 is −3 after the multiplication
            (half, -4, -2, -2),
        ] {
            let got = [factor.apply(x), factor.apply_up(x)];
            assert_eq!(got, [away, up], "{factor:?} {x}");
        }
    }
}
