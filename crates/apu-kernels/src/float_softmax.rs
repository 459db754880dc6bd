//! SOFTMAX and LOG_SOFTMAX of float32 over the innermost dimension, as TFLite's plain kernels add it up.

use crate::{
    Error, Isa, Sizes,
    float_math::{exp, log},
    limits::{bytes, exactly, within},
};
use apu_proto::program;

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::FloatSoftmax) -> Result<Sizes, Error> {
    within("logarithm", params.logarithm, 0, 1)?;
    within("columns", params.columns, 1, i32::MAX.into())?;
    let size = bytes("input", &[params.rows, params.columns, 4])?;
    Ok(Sizes::new([size, size]))
}

/// Computes `output` from `input`, both little-endian float32.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::FloatSoftmax,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let sizes = sizes(params)?;
    let &[input_size, output_size] = sizes.as_slice() else {
        unreachable!("a softmax has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let beta = f32::from_bits(params.beta);
    let columns = params.columns as usize;
    let rows = input.as_chunks().0.chunks_exact(columns);
    for (input, output) in rows.zip(output.as_chunks_mut().0.chunks_exact_mut(columns)) {
        match params.logarithm {
            0 => softmax(beta, input, output),
            _ => log_softmax(input, output),
        }
    }
    Ok(())
}

fn values(row: &[[u8; 4]]) -> impl Iterator<Item = f32> {
    row.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

fn largest(row: &[[u8; 4]]) -> f32 {
    values(row).fold(f32::MIN, |max, x| if max < x { x } else { max })
}

fn softmax(beta: f32, input: &[[u8; 4]], output: &mut [[u8; 4]]) {
    let max = largest(input);
    let mut sum = 0.0;
    for (out, x) in output.iter_mut().zip(values(input)) {
        let exp = exp((x - max) * beta);
        *out = exp.to_le_bytes();
        sum += exp;
    }
    for out in output {
        *out = (f32::from_le_bytes(*out) / sum).to_le_bytes();
    }
}

fn log_softmax(input: &[[u8; 4]], output: &mut [[u8; 4]]) {
    let max = largest(input);
    let log_sum = log(values(input).map(|x| exp(x - max)).fold(0.0, |a, b| a + b));
    for (out, x) in output.iter_mut().zip(values(input)) {
        *out = (x - max - log_sum).to_le_bytes();
    }
}
