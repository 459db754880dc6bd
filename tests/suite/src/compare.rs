//! Byte equality, and what to say when there is none.

use std::fmt;

/// The first place at which two tensors differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Byte of the tensor.
    pub index: usize,
    /// What the device computed.
    pub got: Option<u8>,
    /// What it had to be.
    pub want: Option<u8>,
    /// Bytes that differ in all.
    pub count: usize,
    /// Bytes of the longer one.
    pub size: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            got,
            want,
            count,
            size,
        } = self;
        write!(
            f,
            "first at byte {index}: got {}, want {}",
            byte(*got),
            byte(*want)
        )?;
        write!(f, " ({count} of {size} bytes differ)")
    }
}

fn byte(value: Option<u8>) -> String {
    value.map_or("nothing".into(), |value| format!("{value:#04x}"))
}

/// None when both are equal.
pub fn difference(got: &[u8], want: &[u8]) -> Option<Difference> {
    let size = got.len().max(want.len());
    let mut unequal = (0..size).filter(|&i| got.get(i) != want.get(i));
    let index = unequal.next()?;
    Some(Difference {
        index,
        got: got.get(index).copied(),
        want: want.get(index).copied(),
        count: 1 + unequal.count(),
        size,
    })
}
