//! What to compile for.

use std::{fmt, str::FromStr};

use apu_proto::program::{self, TARGET_K4N16};
use serde::Serialize;

use crate::Error;

/// How 32-bit sums become 8-bit outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// Byte for byte as TFLite's integer kernels: gemmlowp's double rounding.
    #[default]
    Tflite,
    /// Byte for byte as XNNPACK, which LiteRT runs by default: float requantisation. Operators that XNNPACK
    /// doesn't take are TFLite's.
    Xnnpack,
}

impl Numerics {
    /// The number in [`program::Header::numerics`].
    pub const fn raw(self) -> u32 {
        match self {
            Self::Tflite => program::Numerics::TFLITE,
            Self::Xnnpack => program::Numerics::XNNPACK,
        }
    }

    /// The other ones.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Tflite => Self::Xnnpack,
            Self::Xnnpack => Self::Tflite,
        }
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tflite => "tflite",
            Self::Xnnpack => "xnnpack",
        })
    }
}

impl FromStr for Numerics {
    type Err = Error;

    /// # Errors
    /// [`Error::UnknownNumerics`] for anything but `tflite` and `xnnpack`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "tflite" => Ok(Self::Tflite),
            "xnnpack" => Ok(Self::Xnnpack),
            _ => Err(Error::UnknownNumerics { got: text.into() }),
        }
    }
}

/// What comes first where a program can't have both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimise {
    /// Short inferences.
    #[default]
    Speed,
    /// A small arena.
    Size,
}

impl fmt::Display for Optimise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Speed => "speed",
            Self::Size => "size",
        })
    }
}

/// What to compile for; the default is TFLite's numerics and the one layout there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How sums become outputs.
    pub numerics: Numerics,
    /// Layout of the packed constants, [`TARGET_K4N16`].
    pub target: String,
    /// What comes first.
    pub optimise: Optimise,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            numerics: Numerics::default(),
            target: TARGET_K4N16.into(),
            optimise: Optimise::default(),
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.target != TARGET_K4N16 {
            return Err(Error::UnknownTarget {
                got: self.target.clone(),
                known: TARGET_K4N16,
            });
        }
        Ok(())
    }
}
