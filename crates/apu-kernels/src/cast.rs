//! CAST between element types, as C converts them.

use crate::{
    Error, Isa, Sizes,
    limits::{bytes, exactly},
};
use apu_proto::program::{self, DType};

fn dtype(field: &'static str, raw: u32) -> Result<DType, Error> {
    DType::from_raw(raw).ok_or(Error::Type {
        field,
        got: raw,
        allowed: "int8 (1) to bool (7)",
    })
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Cast) -> Result<Sizes, Error> {
    let input = dtype("input_dtype", params.input_dtype)?.size() as u32;
    let output = dtype("output_dtype", params.output_dtype)?.size() as u32;
    Ok(Sizes::new([
        bytes("input", &[params.count, input])?,
        bytes("output", &[params.count, output])?,
    ]))
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Cast,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let sizes = sizes(params)?;
    let &[input_size, output_size] = sizes.as_slice() else {
        unreachable!("a cast has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let to = dtype("output_dtype", params.output_dtype)?;
    match dtype("input_dtype", params.input_dtype)? {
        DType::Int8 => from_integer(input, output, to, |[x]: [u8; 1]| (x as i8).into()),
        DType::UInt8 => from_integer(input, output, to, |[x]: [u8; 1]| x.into()),
        DType::Bool => from_integer(input, output, to, |[x]: [u8; 1]| (x != 0).into()),
        DType::Int16 => from_integer(input, output, to, |x| i16::from_le_bytes(x).into()),
        DType::Int32 => from_integer(input, output, to, |x| i32::from_le_bytes(x).into()),
        DType::Int64 => from_integer(input, output, to, i64::from_le_bytes),
        DType::Float32 => from_float(input, output, to),
    }
    Ok(())
}

fn convert<const I: usize, const O: usize>(
    input: &[u8],
    output: &mut [u8],
    function: impl Fn([u8; I]) -> [u8; O],
) {
    let pairs = output.as_chunks_mut().0.iter_mut().zip(input.as_chunks().0);
    pairs.for_each(|(out, &x)| *out = function(x));
}

/// Integers are cut to their lower bits.
fn from_integer<const N: usize>(
    input: &[u8],
    output: &mut [u8],
    to: DType,
    load: fn([u8; N]) -> i64,
) {
    match to {
        DType::Int8 | DType::UInt8 => convert(input, output, |x| [load(x) as u8]),
        DType::Bool => convert(input, output, |x| [u8::from(load(x) != 0)]),
        DType::Int16 => convert(input, output, |x| (load(x) as i16).to_le_bytes()),
        DType::Int32 => convert(input, output, |x| (load(x) as i32).to_le_bytes()),
        DType::Int64 => convert(input, output, |x| load(x).to_le_bytes()),
        DType::Float32 => convert(input, output, |x| (load(x) as f32).to_le_bytes()),
    }
}

/// Floats are cut off towards zero; what doesn't fit goes to the nearest end of the range, and NaN to 0.
fn from_float(input: &[u8], output: &mut [u8], to: DType) {
    let load = f32::from_le_bytes;
    match to {
        DType::Int8 => convert(input, output, |x| (load(x) as i8).to_le_bytes()),
        DType::UInt8 => convert(input, output, |x| [load(x) as u8]),
        DType::Bool => convert(input, output, |x| [u8::from(load(x) != 0.0)]),
        DType::Int16 => convert(input, output, |x| (load(x) as i16).to_le_bytes()),
        DType::Int32 => convert(input, output, |x| (load(x) as i32).to_le_bytes()),
        DType::Int64 => convert(input, output, |x| (load(x) as i64).to_le_bytes()),
        DType::Float32 => convert(input, output, |x: [u8; 4]| x),
    }
}
