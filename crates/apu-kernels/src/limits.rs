//! Range checks of parameters and sizes of operands.

use crate::Error;
use apu_proto::program::MAX_OPERANDS;

/// The most bytes an operand can have: offsets within one fit 32-bit signed arithmetic.
pub(crate) const MAX_BYTES: u32 = i32::MAX as u32;

/// The exact size in bytes of each operand, in the order of the opcode's description.
/// Scratch is the exception: it may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    bytes: [u32; MAX_OPERANDS],
    count: usize,
}

impl Sizes {
    pub(crate) fn new<const N: usize>(sizes: [u32; N]) -> Self {
        const { assert!(N <= MAX_OPERANDS) };
        let mut bytes = [0; MAX_OPERANDS];
        bytes[..N].copy_from_slice(&sizes);
        Self { bytes, count: N }
    }

    /// One size an operand.
    pub fn as_slice(&self) -> &[u32] {
        &self.bytes[..self.count]
    }
}

/// Checks that a parameter lies in `min..=max`.
pub(crate) fn within(
    field: &'static str,
    got: impl Into<i64>,
    min: i64,
    max: i64,
) -> Result<(), Error> {
    let got = got.into();
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(Error::Field {
            field,
            got,
            min,
            max,
        })
    }
}

/// Checks that a parameter is what another one asks for.
pub(crate) fn agree(
    field: &'static str,
    got: impl Into<i64>,
    other: &'static str,
    needed: impl Into<i64>,
) -> Result<(), Error> {
    let (got, needed) = (got.into(), needed.into());
    if got == needed {
        Ok(())
    } else {
        Err(Error::Contradiction {
            field,
            got,
            other,
            needed,
        })
    }
}

/// The size of an operand: the product of `factors`, at most [`MAX_BYTES`].
pub(crate) fn bytes(operand: &'static str, factors: &[u32]) -> Result<u32, Error> {
    factors
        .iter()
        .try_fold(1, |size: u32, &factor| size.checked_mul(factor))
        .filter(|&size| size <= MAX_BYTES)
        .ok_or(Error::TooLarge {
            operand,
            max: MAX_BYTES,
        })
}

/// The size of an operand of several parts.
pub(crate) fn sum(operand: &'static str, parts: &[u32]) -> Result<u32, Error> {
    parts
        .iter()
        .try_fold(0, |size: u32, &part| size.checked_add(part))
        .filter(|&size| size <= MAX_BYTES)
        .ok_or(Error::TooLarge {
            operand,
            max: MAX_BYTES,
        })
}

/// Checks that a parameter is the size of an element: 1, 2, 4 or 8 bytes.
pub(crate) fn element_size(field: &'static str, got: u32) -> Result<(), Error> {
    if matches!(got, 1 | 2 | 4 | 8) {
        Ok(())
    } else {
        Err(Error::Contradiction {
            field,
            got: got.into(),
            other: "1, 2, 4 or 8",
            needed: 1,
        })
    }
}

/// Checks the size of an operand.
pub(crate) fn exactly(operand: &'static str, slice: &[u8], needed: u32) -> Result<(), Error> {
    if slice.len() == needed as usize {
        Ok(())
    } else {
        Err(Error::Operand {
            operand,
            got: slice.len(),
            needed,
        })
    }
}

/// Checks the size of scratch.
pub(crate) fn at_least(operand: &'static str, slice: &[u8], needed: u32) -> Result<(), Error> {
    if slice.len() >= needed as usize {
        Ok(())
    } else {
        Err(Error::Operand {
            operand,
            got: slice.len(),
            needed,
        })
    }
}
