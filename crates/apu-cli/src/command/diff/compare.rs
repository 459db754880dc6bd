//! By how much two tensors differ.

use std::fmt;

use apu::DType;
use serde::Serialize;

/// How two tensors of one type and size differ.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Elements that aren't the same bytes.
    pub elements: usize,
    /// Of so many.
    pub of: usize,
    /// The largest difference, in steps of an integer type or as a real number.
    pub largest: f64,
    /// The first place, in elements.
    pub at: usize,
    /// What is there.
    pub got: f64,
    /// What LiteRT has there.
    pub want: f64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            elements,
            of,
            largest,
            at,
            got,
            want,
        } = self;
        write!(f, "{elements} of {of} elements, by at most {largest}; ")?;
        write!(f, "first at {at}: got {got}, LiteRT has {want}")
    }
}

/// None if all bytes are equal. A size that differs counts as elements that are missing.
pub fn difference(dtype: DType, got: &[u8], want: &[u8]) -> Option<Difference> {
    let size = dtype.size();
    let of = got.len().max(want.len()).div_ceil(size);
    let element =
        |bytes: &[u8], at: usize| bytes.get(at * size..(at + 1) * size).map(<[u8]>::to_vec);
    let number = |bytes, at| element(bytes, at).map_or(f64::NAN, |it| number(dtype, &it));
    let unequal = |&at: &usize| element(got, at) != element(want, at);
    let places: Vec<usize> = (0..of).filter(unequal).collect();
    let &at = places.first()?;
    let apart = places
        .iter()
        .map(|&at| (number(got, at) - number(want, at)).abs());
    Some(Difference {
        elements: places.len(),
        of,
        largest: apart.fold(0.0, f64::max),
        at,
        got: number(got, at),
        want: number(want, at),
    })
}

/// The value of a little-endian element.
fn number(dtype: DType, bytes: &[u8]) -> f64 {
    let mut wide = [0; 8];
    let sign = bytes.last().is_some_and(|high| high & 0x80 != 0);
    let signed = !matches!(dtype, DType::UInt8 | DType::Bool);
    wide.fill(if sign && signed { 0xff } else { 0 });
    wide[..bytes.len()].copy_from_slice(bytes);
    match dtype {
        DType::Float32 => f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]).into(),
        _ => i64::from_le_bytes(wide) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_no_difference() {
        assert_eq!(difference(DType::Int8, &[1, 255], &[1, 255]), None);
        let nan = f32::NAN.to_le_bytes();
        assert_eq!(difference(DType::Float32, &nan, &nan), None);
    }

    #[test]
    fn elements_are_read_as_their_type() {
        let apart = |dtype, got: &[u8], want: &[u8]| {
            let d = difference(dtype, got, want).unwrap();
            (d.elements, d.of, d.largest, d.at)
        };
        assert_eq!(
            apart(DType::Int8, &[0, 255, 127], &[0, 1, 128]),
            (2, 3, 255.0, 1)
        );
        assert_eq!(apart(DType::UInt8, &[255], &[0]), (1, 1, 255.0, 0));
        assert_eq!(
            apart(DType::Int16, &[0, 0, 0xff, 0xff], &[0, 0, 1, 0]),
            (1, 2, 2.0, 1)
        );
        assert_eq!(
            apart(DType::Float32, &2f32.to_le_bytes(), &1.5f32.to_le_bytes()),
            (1, 1, 0.5, 0)
        );
    }

    #[test]
    fn a_tensor_that_is_too_short_differs() {
        let difference = difference(DType::UInt8, &[1], &[1, 2]).unwrap();
        assert_eq!((difference.elements, difference.at), (1, 1));
        assert!(difference.got.is_nan());
    }
}
