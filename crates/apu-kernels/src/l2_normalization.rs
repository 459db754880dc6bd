//! L2_NORMALIZATION: rows divided by the root of their sum of squares.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    fixed_point::inverse_sqrt,
    limits::{bytes, exactly, within},
    requant::Rescale,
};
use apu_proto::program;

/// Most elements of a row: the sum of squares stays within 32 bits.
const MAX_COLUMNS: i64 = 1 << 15;
/// The output's step is 2⁻⁷.
const OUTPUT_BITS: i32 = 7;

/// Checks the parameters.
fn check(p: &program::L2Normalization) -> Result<(Byte, Sizes), Error> {
    let byte = Byte::new("dtype", p.dtype)?;
    byte.zero_point("input_zero_point", p.input_zero_point)?;
    within("columns", p.columns, 1, MAX_COLUMNS)?;
    let size = bytes("input", &[p.rows, p.columns])?;
    Ok((byte, Sizes::new([size, size])))
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::L2Normalization) -> Result<Sizes, Error> {
    Ok(check(params)?.1)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::L2Normalization,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let (byte, sizes) = check(params)?;
    let &[input_size, output_size] = sizes.as_slice() else {
        unreachable!("a normalisation has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let columns = params.columns as usize;
    let distance = |x| byte.widen(x) - params.input_zero_point;
    let clamp = Clamp::whole(byte);
    for (input, output) in input
        .chunks_exact(columns)
        .zip(output.chunks_exact_mut(columns))
    {
        let squares = input.iter().map(|&x| distance(x) * distance(x));
        let (multiplier, shift) = inverse_sqrt(squares.sum());
        for (out, &x) in output.iter_mut().zip(input) {
            *out = clamp.store(scaled(byte, distance(x), multiplier, shift));
        }
    }
    Ok(())
}

/// The quotient in steps of the output. TFLite's kernels for the two types shift at different places.
fn scaled(byte: Byte, x: i32, multiplier: i32, shift: i32) -> i32 {
    match byte {
        Byte::Int8 => Rescale::from_words(multiplier, shift + OUTPUT_BITS).apply(x),
        Byte::UInt8 => Rescale::from_words(multiplier, shift).apply(x << OUTPUT_BITS) + 128,
    }
}
