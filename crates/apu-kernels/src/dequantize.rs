//! DEQUANTIZE: bytes and int16 to float32.

use crate::{
    Error, Isa, Sizes,
    byte::Byte,
    isa::Kernel,
    limits::{bytes, exactly, within},
};
use apu_proto::program::{self, DType};

/// Checks the parameters; the type is none of bytes for int16.
fn check(p: &program::Dequantize) -> Result<(Option<Byte>, Sizes), Error> {
    let words = DType::from_raw(p.input_dtype) == Some(DType::Int16);
    let byte = if words {
        within("zero_point", p.zero_point, 0, 0)?;
        None
    } else {
        let byte = Byte::new("input_dtype", p.input_dtype)?;
        byte.zero_point("zero_point", p.zero_point)?;
        Some(byte)
    };
    let element = if words { 2 } else { 1 };
    let sizes = [
        bytes("input", &[p.count, element])?,
        bytes("output", &[p.count, 4])?,
    ];
    Ok((byte, Sizes::new(sizes)))
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Dequantize) -> Result<Sizes, Error> {
    Ok(check(params)?.1)
}

/// Computes `output`, little-endian float32, from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    params: &program::Dequantize,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let (byte, sizes) = check(params)?;
    let &[input_size, output_size] = sizes.as_slice() else {
        unreachable!("a dequantisation has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let (zero_point, scale) = (params.zero_point, f32::from_bits(params.scale));
    let Some(byte) = byte else {
        let pairs = output.as_chunks_mut().0.iter_mut().zip(input.as_chunks().0);
        pairs.for_each(|(out, &x)| *out = (scale * f32::from(i16::from_le_bytes(x))).to_le_bytes());
        return Ok(());
    };
    isa.run(Elements {
        byte,
        zero_point,
        scale,
        input,
        output,
    });
    Ok(())
}

struct Elements<'a> {
    byte: Byte,
    zero_point: i32,
    scale: f32,
    input: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Elements<'_> {
    #[inline(always)]
    fn run(self) {
        for (out, &x) in self.output.as_chunks_mut().0.iter_mut().zip(self.input) {
            // A difference of two bytes is exact in f32, so this rounds once, as the reference does.
            let difference = (self.byte.widen(x) - self.zero_point) as f32;
            *out = (self.scale * difference).to_le_bytes();
        }
    }
}
