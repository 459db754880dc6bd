//! From sums to bytes, sixteen channels at once.

use super::bytes::load_words;
use crate::{
    byte::Clamp,
    channel_table::ChannelTable,
    requant::{self, Ties},
};
use core::arch::aarch64::*;

/// A number for each of sixteen channels.
pub type Sums = [int32x4_t; 4];

/// Four factors at once; see [`requant::Rescale`].
#[derive(Clone, Copy)]
pub struct Rescale {
    multiplier: int32x4_t,
    left: int32x4_t,
    /// How far to the left a shift to the right goes: 0 or less.
    right: int32x4_t,
    /// All ones where ties go away from zero, zeros where they go up.
    away: int32x4_t,
}

impl Rescale {
    /// The factors that four pairs of words from a program's constants stand for.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn from_words(multiplier: int32x4_t, shift: int32x4_t, ties: Ties) -> Self {
        let zero = vdupq_n_s32(0);
        Self {
            multiplier: vmaxq_s32(multiplier, zero),
            left: vminq_s32(vmaxq_s32(shift, zero), vdupq_n_s32(30)),
            right: vminq_s32(vmaxq_s32(shift, vdupq_n_s32(-31)), zero),
            away: vdupq_n_s32(-i32::from(ties == Ties::Away)),
        }
    }

    /// The same factor four times.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn all(factor: requant::Rescale) -> Self {
        let (multiplier, shift) = factor.words();
        Self::from_words(vdupq_n_s32(multiplier), vdupq_n_s32(shift), Ties::Away)
    }

    /// Each lane times its factor.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn apply(&self, x: int32x4_t) -> int32x4_t {
        // What saturates in the multiplication can't be reached: no factor is negative.
        let x = vqrdmulhq_s32(vshlq_s32(x, self.left), self.multiplier);
        // The shift has ties go up. Below zero one less makes them go down, and changes no other.
        let below = vandq_s32(vshrq_n_s32::<31>(vandq_s32(x, self.right)), self.away);
        vrshlq_s32(vqaddq_s32(x, below), self.right)
    }
}

/// The factors of sixteen channels.
#[derive(Clone, Copy)]
pub enum Factors {
    /// In fixed point.
    Fixed([Rescale; 4]),
    /// In f32, with ties to even.
    Even([float32x4_t; 4]),
}

impl Factors {
    /// Those of the sixteen channels from `channel` on.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn of(table: &ChannelTable<'_>, channel: usize) -> Self {
        let words = |words: &[[u8; 4]]| channels(words, channel);
        let (multiplier, shift) = (words(table.multiplier), words(table.shift));
        if table.ties == Ties::Even {
            let mut scales = [vdupq_n_f32(0.0); 4];
            for (scale, bits) in scales.iter_mut().zip(multiplier) {
                *scale = vreinterpretq_f32_s32(bits);
            }
            return Self::Even(scales);
        }
        let zero = vdupq_n_s32(0);
        let mut factors = [Rescale::from_words(zero, zero, table.ties); 4];
        for (factor, (multiplier, shift)) in
            factors.iter_mut().zip(multiplier.into_iter().zip(shift))
        {
            *factor = Rescale::from_words(multiplier, shift, table.ties);
        }
        Self::Fixed(factors)
    }

    /// Each channel's sum times its factor.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn apply(&self, mut sums: Sums) -> Sums {
        match self {
            Self::Fixed(factors) => {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = factor.apply(*sum);
                }
            }
            Self::Even(scales) => {
                for (sum, &scale) in sums.iter_mut().zip(scales) {
                    // To the nearest end of the range, and to 0 from what is no number.
                    *sum = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(*sum), scale));
                }
            }
        }
        sums
    }
}

/// The words of sixteen channels.
#[inline]
#[target_feature(enable = "neon")]
pub fn channels(words: &[[u8; 4]], channel: usize) -> Sums {
    let mut sums = [vdupq_n_s32(0); 4];
    let words = words.get(channel..).unwrap_or_default().chunks(4);
    for (sum, words) in sums.iter_mut().zip(words) {
        *sum = load_words(words);
    }
    sums
}

/// What follows the rescaling of sums: zero point and clamp.
#[derive(Clone, Copy)]
pub struct Finish {
    zero_point: int32x4_t,
    min: int32x4_t,
    max: int32x4_t,
}

impl Finish {
    /// The same for every lane.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn new(zero_point: i32, clamp: Clamp) -> Self {
        Self {
            zero_point: vdupq_n_s32(zero_point),
            min: vdupq_n_s32(clamp.min),
            max: vdupq_n_s32(clamp.max),
        }
    }

    /// Sixteen results as bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn bytes(&self, scaled: Sums) -> uint8x16_t {
        let [a, b, c, d] = scaled;
        let low = vuzp1q_s16(self.halves(a), self.halves(b));
        let high = vuzp1q_s16(self.halves(c), self.halves(d));
        vuzp1q_u8(vreinterpretq_u8_s16(low), vreinterpretq_u8_s16(high))
    }

    /// Results whose lower bytes are what is stored.
    #[inline]
    #[target_feature(enable = "neon")]
    fn halves(&self, scaled: int32x4_t) -> int16x8_t {
        let moved = vqaddq_s32(scaled, self.zero_point);
        vreinterpretq_s16_s32(vminq_s32(vmaxq_s32(moved, self.min), self.max))
    }
}
