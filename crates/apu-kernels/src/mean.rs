//! MEAN and SUM of bytes, and MEAN of int16, over any set of dimensions.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{MAX_BYTES, at_least, bytes, exactly, within},
    requant::{Rescale, round_away, round_even},
};
use apu_proto::program::{self, DType, OP_RANK, Rounding};

/// Most elements in one mean: their sum stays within 32 bits.
const MAX_COUNT: i64 = 1 << 23;
/// Likewise of int16.
const MAX_WIDE_COUNT: i64 = 1 << 15;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Mean {
    /// `None` for int16.
    byte: Option<Byte>,
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
        let is_wide = p.dtype == DType::Int16 as u32;
        let byte = match is_wide {
            true => None,
            false => Some(Byte::new("dtype", p.dtype)?),
        };
        for (field, got) in [
            ("input_zero_point", p.input_zero_point),
            ("output_zero_point", p.output_zero_point),
        ] {
            match byte {
                Some(byte) => byte.zero_point(field, got)?,
                None => within(field, got, 0, 0)?,
            }
        }
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
        let (most, element) = match is_wide {
            true => (MAX_WIDE_COUNT, 2),
            false => (MAX_COUNT, 1),
        };
        within("in_shape (elements in one mean)", count, 1, most)?;
        let inputs = bytes("input", &p.in_shape)?;
        Ok(Self {
            byte,
            finish: Finish::new(p, p.input_zero_point * count as i32)?,
            output_zero_point: p.output_zero_point,
            in_shape: p.in_shape.map(|size| size as usize),
            out_stride,
            sizes: Sizes::new([
                bytes("input", &[inputs, element])?,
                bytes("output", &[outputs, element])?,
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
    byte: Byte,
    input: &'a [u8],
    output: &'a mut [u8],
    sums: &'a mut [[u8; 4]],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            mean,
            byte,
            input,
            output,
            sums,
        } = self;
        sums.fill([0; 4]);
        for (row, bytes) in input.chunks_exact(mean.in_shape[OP_RANK - 1]).enumerate() {
            let sums = &mut sums[mean.start(row)..];
            if mean.out_stride[OP_RANK - 1] == 0 {
                add(&mut sums[0], bytes.iter().map(|&x| byte.widen(x)).sum());
            } else {
                sums.iter_mut()
                    .zip(bytes)
                    .for_each(|(sum, &x)| add(sum, byte.widen(x)));
            }
        }
        let clamp = Clamp::whole(byte);
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
    let sums = &mut scratch.as_chunks_mut().0[..scratch_size as usize / 4];
    match mean.byte {
        Some(byte) => isa.run(Rows {
            mean,
            byte,
            input,
            output,
            sums,
        }),
        None => wide_rows(&mean, input.as_chunks().0, output.as_chunks_mut().0, sums),
    }
    Ok(())
}

fn wide_rows(mean: &Mean, input: &[[u8; 2]], output: &mut [[u8; 2]], sums: &mut [[u8; 4]]) {
    sums.fill([0; 4]);
    let step = mean.out_stride[OP_RANK - 1];
    for (row, values) in input.chunks_exact(mean.in_shape[OP_RANK - 1]).enumerate() {
        let start = mean.start(row);
        for (at, &x) in values.iter().enumerate() {
            add(&mut sums[start + at * step], i16::from_le_bytes(x).into());
        }
    }
    for (out, &mut sum) in output.iter_mut().zip(sums) {
        let scaled = mean.finish.apply(i32::from_le_bytes(sum));
        let value = scaled.clamp(i16::MIN.into(), i16::MAX.into());
        *out = (value as i16).to_le_bytes();
    }
}
