//! Functions of one float32 number.

use crate::{
    Error, Isa, Sizes,
    float_math::{elu, exp, log, logistic, tanh},
    limits::{bytes, exactly, within},
};
use apu_proto::program;

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::FloatFunction) -> Result<Sizes, Error> {
    let last = program::FloatFunction::ELU;
    within("function", params.function, 0, last.into())?;
    let size = bytes("input", &[params.count, 4])?;
    Ok(Sizes::new([size, size]))
}

/// Computes `output` from `input`, both little-endian float32.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::FloatFunction,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let sizes = sizes(params)?;
    let &[input_size, output_size] = sizes.as_slice() else {
        unreachable!("a function has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let function = match params.function {
        program::FloatFunction::ABS => libm::fabsf,
        program::FloatFunction::CEIL => libm::ceilf,
        program::FloatFunction::FLOOR => libm::floorf,
        program::FloatFunction::ROUND => round,
        program::FloatFunction::SQRT => libm::sqrtf,
        program::FloatFunction::RSQRT => |x| 1.0 / libm::sqrtf(x),
        program::FloatFunction::EXP => exp,
        program::FloatFunction::LOG => log,
        program::FloatFunction::LOGISTIC => logistic,
        program::FloatFunction::TANH => tanh,
        _ => elu,
    };
    let pairs = output.as_chunks_mut().0.iter_mut().zip(input.as_chunks().0);
    pairs.for_each(|(out, &x)| *out = function(f32::from_le_bytes(x)).to_le_bytes());
    Ok(())
}

/// To the nearest integer, ties to even. As in the reference, what is rounded up to zero has no sign.
fn round(x: f32) -> f32 {
    let below = libm::floorf(x);
    let above = x - below;
    let even = below as i32 % 2 == 0;
    if above < 0.5 || (above == 0.5 && even) {
        below
    } else {
        below + 1.0
    }
}
