//! The two 8-bit element types, and what a byte of either means.

use crate::{Error, limits::within};
use apu_proto::program::DType;

/// int8 or uint8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Byte {
    Int8,
    UInt8,
}

impl Byte {
    /// The type with this number in a record.
    pub fn new(field: &'static str, raw: u32) -> Result<Self, Error> {
        match DType::from_raw(raw) {
            Some(DType::Int8) => Ok(Self::Int8),
            Some(DType::UInt8) => Ok(Self::UInt8),
            _ => Err(Error::Type {
                field,
                got: raw,
                allowed: "int8 (1) or uint8 (2)",
            }),
        }
    }

    /// Exclusive-or with this maps the type to unsigned bytes in the same order.
    pub const fn flip(self) -> u8 {
        match self {
            Self::Int8 => 0x80,
            Self::UInt8 => 0,
        }
    }

    /// The value that a stored byte stands for.
    #[inline(always)]
    pub const fn widen(self, stored: u8) -> i32 {
        (stored ^ self.flip()) as i32 - self.flip() as i32
    }

    /// Least value.
    pub const fn min(self) -> i32 {
        -(self.flip() as i32)
    }

    /// Largest value.
    pub const fn max(self) -> i32 {
        self.min() + 255
    }

    /// Checks that a zero point is a value of the type.
    pub fn zero_point(self, field: &'static str, got: i32) -> Result<(), Error> {
        within(field, got, self.min().into(), self.max().into())
    }
}

/// The range that an operator's results are clamped to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clamp {
    pub min: i32,
    pub max: i32,
}

impl Clamp {
    /// A range of values of `byte`.
    pub fn new(byte: Byte, min: i32, max: i32) -> Result<Self, Error> {
        within("clamp_min", min, byte.min().into(), byte.max().into())?;
        within("clamp_max", max, min.into(), byte.max().into())?;
        Ok(Self { min, max })
    }

    /// A range of values of int16.
    pub fn wide(min: i32, max: i32) -> Result<Self, Error> {
        within("clamp_min", min, i16::MIN.into(), i16::MAX.into())?;
        within("clamp_max", max, min.into(), i16::MAX.into())?;
        Ok(Self { min, max })
    }

    /// Everything that `byte` can hold.
    pub const fn whole(byte: Byte) -> Self {
        Self {
            min: byte.min(),
            max: byte.max(),
        }
    }

    /// The byte to store for `value`; the range makes the cast exact.
    #[inline(always)]
    pub fn store(self, value: i32) -> u8 {
        value.max(self.min).min(self.max) as u8
    }

    /// Likewise for a range of int16.
    #[inline(always)]
    pub fn store_wide(self, value: i32) -> i16 {
        value.max(self.min).min(self.max) as i16
    }
}
