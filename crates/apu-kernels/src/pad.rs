//! PAD and PADV2 with a constant.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, element_size, exactly, within},
};
use apu_proto::program::{self, OP_RANK};

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Pad {
    element: usize,
    value: [u8; 8],
    in_shape: [usize; OP_RANK],
    before: [usize; OP_RANK],
    out_shape: [usize; OP_RANK],
    sizes: Sizes,
}

impl Pad {
    fn new(p: &program::Pad) -> Result<Self, Error> {
        element_size("element_size", p.element_size)?;
        let mut out_shape = [0; OP_RANK];
        for (dim, out) in out_shape.iter_mut().enumerate() {
            within("in_shape", p.in_shape[dim], 1, MAX_BYTES.into())?;
            within("before", p.before[dim], 0, MAX_BYTES.into())?;
            within("after", p.after[dim], 0, MAX_BYTES.into())?;
            *out = p.before[dim]
                .checked_add(p.after[dim])
                .and_then(|padding| padding.checked_add(p.in_shape[dim]))
                .ok_or(Error::TooLarge {
                    operand: "output",
                    max: MAX_BYTES,
                })?;
        }
        let size = |operand, shape: &[u32; OP_RANK]| {
            bytes(operand, &[bytes(operand, shape)?, p.element_size])
        };
        Ok(Self {
            element: p.element_size as usize,
            value: p.value,
            in_shape: p.in_shape.map(|size| size as usize),
            before: p.before.map(|count| count as usize),
            out_shape: out_shape.map(|size| size as usize),
            sizes: Sizes::new([size("input", &p.in_shape)?, size("output", &out_shape)?]),
        })
    }

    /// Where the innermost input row `row` begins in the output, in elements.
    fn start(&self, row: usize) -> usize {
        let [mut start, mut step, mut rest] =
            [self.before[OP_RANK - 1], self.out_shape[OP_RANK - 1], row];
        for dim in (0..OP_RANK - 1).rev() {
            start += (rest % self.in_shape[dim] + self.before[dim]) * step;
            step *= self.out_shape[dim];
            rest /= self.in_shape[dim];
        }
        start
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Pad) -> Result<Sizes, Error> {
    Ok(Pad::new(params)?.sizes)
}

/// Writes `input` into the middle of `output`, and the constant around it.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(_isa: Isa, params: &program::Pad, input: &[u8], output: &mut [u8]) -> Result<(), Error> {
    let pad = Pad::new(params)?;
    let &[input_size, output_size] = pad.sizes.as_slice() else {
        unreachable!("a padding has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    fill(output, &pad.value[..pad.element]);
    let row_bytes = pad.in_shape[OP_RANK - 1] * pad.element;
    for (row, bytes) in input.chunks_exact(row_bytes).enumerate() {
        let start = pad.start(row) * pad.element;
        output[start..start + row_bytes].copy_from_slice(bytes);
    }
    Ok(())
}

/// Repeats an element over the output.
fn fill(output: &mut [u8], element: &[u8]) {
    match element {
        &[byte] => output.fill(byte),
        _ => output
            .chunks_exact_mut(element.len())
            .for_each(|out| out.copy_from_slice(element)),
    }
}
