//! MEAN and SUM of bytes over any set of dimensions.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{MAX_BYTES, at_least, bytes, exactly, within},
    requant::{Rescale, round_away, round_even},
};
use apu_proto::program::{self, OP_RANK, Rounding};

/// Most elements in one mean: their sum stays within 32 bits.
const MAX_COUNT: i64 = 1 << 23;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Mean {
    byte: Byte,
    finish: Finish,
    output_zero_point: i32,
    in_shape: [usize; OP_RANK],
    /// Step of the output in elements along each input dimension, 0 where it is reduced.
    out_stride: [usize; OP_RANK],
    sizes: Sizes,
}

/// What becomes of a sum of stored values.
#[derive(Clone, Copy, Debug)]
enum Finish {
    /// Less this many times the input zero point, rescaled.
    Fixed { offset: i32, rescale: Rescale },
    /// `sum · scale + bias`.
    Float {
        scale: f32,
        bias: f32,
        round: fn(f32) -> i32,
    },
}

impl Finish {
    fn new(p: &program::Mean, offset: i32) -> Result<Self, Error> {
        match p.rounding {
            Rounding::AWAY => Ok(Self::Fixed {
                offset,
                rescale: Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?,
            }),
            Rounding::FLOAT | Rounding::EVEN => Ok(Self::Float {
                scale: f32::from_bits(p.multiplier as u32),
                bias: f32::from_bits(p.shift as u32),
                round: match p.rounding {
                    Rounding::EVEN => round_even,
                    _ => round_away,
                },
            }),
            got => Err(Error::Contradiction {
                field: "rounding",
                got: got.into(),
                other: "away (0), float (2) or even (3)",
                needed: 0,
            }),
        }
    }

    #[inline(always)]
    fn apply(self, sum: i32) -> i32 {
        match self {
            Self::Fixed { offset, rescale } => rescale.apply(sum.wrapping_sub(offset)),
            Self::Float { scale, bias, round } => round(sum as f32 * scale + bias),
        }
    }
}

impl Mean {
    fn new(p: &program::Mean) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        byte.zero_point("input_zero_point", p.input_zero_point)?;
        byte.zero_point("output_zero_point", p.output_zero_point)?;
        within("reduced", p.reduced, 0, (1 << OP_RANK) - 1)?;
        let [mut outputs, mut count] = [1u32; 2];
        let mut out_stride = [0; OP_RANK];
        for dim in (0..OP_RANK).rev() {
            let size = p.in_shape[dim];
            within("in_shape", size, 1, MAX_BYTES.into())?;
            if p.reduced >> dim & 1 == 1 {
                count = bytes("input", &[count, size])?;
            } else {
                out_stride[dim] = outputs as usize;
                outputs = bytes("output", &[outputs, size])?;
            }
        }
        within("in_shape (elements in one mean)", count, 1, MAX_COUNT)?;
        Ok(Self {
            byte,
            finish: Finish::new(p, p.input_zero_point * count as i32)?,
            output_zero_point: p.output_zero_point,
            in_shape: p.in_shape.map(|size| size as usize),
            out_stride,
            sizes: Sizes::new([
                bytes("input", &p.in_shape)?,
                outputs,
                bytes("scratch", &[outputs, 4])?,
            ]),
        })
    }

    /// Where the sum of the innermost input row `row` begins.
    fn start(&self, row: usize) -> usize {
        let [mut start, mut rest] = [0, row];
        for dim in (0..OP_RANK - 1).rev() {
            start += rest % self.in_shape[dim] * self.out_stride[dim];
            rest /= self.in_shape[dim];
        }
        start
    }
}

struct Rows<'a> {
    mean: Mean,
    input: &'a [u8],
    output: &'a mut [u8],
    sums: &'a mut [[u8; 4]],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            mean,
            input,
            output,
            sums,
        } = self;
        sums.fill([0; 4]);
        for (row, bytes) in input.chunks_exact(mean.in_shape[OP_RANK - 1]).enumerate() {
            let sums = &mut sums[mean.start(row)..];
            if mean.out_stride[OP_RANK - 1] == 0 {
                add(
                    &mut sums[0],
                    bytes.iter().map(|&x| mean.byte.widen(x)).sum(),
                );
            } else {
                sums.iter_mut()
                    .zip(bytes)
                    .for_each(|(sum, &x)| add(sum, mean.byte.widen(x)));
            }
        }
        let clamp = Clamp::whole(mean.byte);
        for (out, &mut sum) in output.iter_mut().zip(sums) {
            let scaled = mean.finish.apply(i32::from_le_bytes(sum));
            *out = clamp.store(scaled.wrapping_add(mean.output_zero_point));
        }
    }
}

/// Adds to a little-endian word.
#[inline(always)]
fn add(sum: &mut [u8; 4], x: i32) {
    *sum = i32::from_le_bytes(*sum).wrapping_add(x).to_le_bytes();
}

/// The sizes of input, output and scratch.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Mean) -> Result<Sizes, Error> {
    Ok(Mean::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    params: &program::Mean,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    let mean = Mean::new(params)?;
    let &[input_size, output_size, scratch_size] = mean.sizes.as_slice() else {
        unreachable!("a mean has three operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    at_least("scratch", scratch, scratch_size)?;
    let sums = &mut scratch.as_chunks_mut().0[..output_size as usize];
    isa.run(Rows {
        mean,
        input,
        output,
        sums,
    });
    Ok(())
}
