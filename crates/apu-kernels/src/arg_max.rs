//! ARG_MAX and ARG_MIN: where along a dimension the largest or least element is.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, exactly, within},
};
use apu_proto::program::{self, DType};

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct ArgMax {
    kind: DType,
    wide: bool,
    largest: bool,
    size: usize,
    inner: usize,
    sizes: Sizes,
}

impl ArgMax {
    fn new(p: &program::ArgMax) -> Result<Self, Error> {
        let kind = match DType::from_raw(p.dtype) {
            Some(
                kind @ (DType::Int8 | DType::UInt8 | DType::Int16 | DType::Int32 | DType::Float32),
            ) => kind,
            _ => {
                return Err(Error::Type {
                    field: "dtype",
                    got: p.dtype,
                    allowed: "int8 (1), uint8 (2), int16 (3), int32 (4) or float32 (6)",
                });
            }
        };
        let wide = match DType::from_raw(p.output_dtype) {
            Some(DType::Int32) => false,
            Some(DType::Int64) => true,
            _ => {
                return Err(Error::Type {
                    field: "output_dtype",
                    got: p.output_dtype,
                    allowed: "int32 (4) or int64 (5)",
                });
            }
        };
        within("least", p.least, 0, 1)?;
        for (field, size) in [("outer", p.outer), ("size", p.size), ("inner", p.inner)] {
            within(field, size, 1, MAX_BYTES.into())?;
        }
        let element = kind.size() as u32;
        Ok(Self {
            kind,
            wide,
            largest: p.least == 0,
            size: p.size as usize,
            inner: p.inner as usize,
            sizes: Sizes::new([
                bytes("input", &[p.outer, p.size, p.inner, element])?,
                bytes("output", &[p.outer, p.inner, if wide { 8 } else { 4 }])?,
            ]),
        })
    }

    fn search<const N: usize, T: PartialOrd>(
        &self,
        input: &[u8],
        output: &mut [u8],
        load: fn([u8; N]) -> T,
    ) {
        let blocks = input
            .as_chunks::<N>()
            .0
            .chunks_exact(self.size * self.inner);
        let width = if self.wide { 8 } else { 4 };
        let outputs = output.chunks_exact_mut(self.inner * width);
        for (block, outputs) in blocks.zip(outputs) {
            for (column, out) in outputs.chunks_exact_mut(width).enumerate() {
                let at = self.best(block, column, load) as u64;
                out.copy_from_slice(&at.to_le_bytes()[..width]);
            }
        }
    }

    /// The first of the best ones.
    fn best<const N: usize, T: PartialOrd>(
        &self,
        block: &[[u8; N]],
        column: usize,
        load: fn([u8; N]) -> T,
    ) -> usize {
        let mut best = 0;
        for at in 1..self.size {
            let [x, so_far] = [at, best].map(|row| load(block[row * self.inner + column]));
            if if self.largest { x > so_far } else { x < so_far } {
                best = at;
            }
        }
        best
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::ArgMax) -> Result<Sizes, Error> {
    Ok(ArgMax::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::ArgMax,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let search = ArgMax::new(params)?;
    let &[input_size, output_size] = search.sizes.as_slice() else {
        unreachable!("a search has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    match search.kind {
        DType::Int8 => search.search(input, output, |[x]: [u8; 1]| x as i8),
        DType::UInt8 => search.search(input, output, |[x]: [u8; 1]| x),
        DType::Int16 => search.search(input, output, i16::from_le_bytes),
        DType::Int32 => search.search(input, output, i32::from_le_bytes),
        _ => search.search(input, output, f32::from_le_bytes),
    }
    Ok(())
}
