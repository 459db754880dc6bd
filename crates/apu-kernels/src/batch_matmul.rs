//! BATCH_MATMUL: products of int8 or int16 matrices that are both computed in the run.

use crate::{
    Error, Isa, Sizes,
    isa::Kernel,
    limits::{MAX_BYTES, bytes, exactly, within},
    requant::{Rescale, is_even, round_even},
};
use apu_proto::program::{self, DType};

/// Most elements in one sum: of int8 it stays within 32 bits.
const MAX_DEPTH: i64 = 1 << 15;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct BatchMatmul {
    batch: [usize; 3],
    a_stride: [usize; 3],
    b_stride: [usize; 3],
    rows: usize,
    columns: usize,
    depth: usize,
    a_zero_point: i32,
    b_zero_point: i32,
    output_zero_point: i32,
    /// Bytes of an element.
    element: usize,
    factor: Factor,
    sizes: Sizes,
}

/// What turns sums into outputs.
#[derive(Clone, Copy, Debug)]
enum Factor {
    Fixed(Rescale),
    /// A multiplication in f32, ties to even.
    Even(f32),
}

impl BatchMatmul {
    fn new(p: &program::BatchMatmul) -> Result<Self, Error> {
        let wide = is_wide(p.dtype)?;
        let (low, high) = if wide { (0, 0) } else { (-128, 127) };
        for (field, zero_point) in [
            ("a_zero_point", p.a_zero_point),
            ("b_zero_point", p.b_zero_point),
            ("output_zero_point", p.output_zero_point),
        ] {
            within(field, zero_point, low, high)?;
        }
        within("rows", p.rows, 1, MAX_BYTES.into())?;
        within("columns", p.columns, 1, MAX_BYTES.into())?;
        within("depth", p.depth, 1, MAX_DEPTH)?;
        within("a_broadcast", p.a_broadcast, 0, 7)?;
        within("b_broadcast", p.b_broadcast, 0, 7)?;
        for size in p.batch {
            within("batch", size, 1, MAX_BYTES.into())?;
        }
        let element = if wide { 2 } else { 1 };
        let one = bytes("a", &[p.rows, p.depth, element])?;
        let (a_stride, a_size) = steps("a", &p.batch, p.a_broadcast, one)?;
        let one = bytes("b", &[p.columns, p.depth, element])?;
        let (b_stride, b_size) = steps("b", &p.batch, p.b_broadcast, one)?;
        let [x, y, z] = p.batch;
        Ok(Self {
            batch: p.batch.map(|size| size as usize),
            a_stride,
            b_stride,
            rows: p.rows as usize,
            columns: p.columns as usize,
            depth: p.depth as usize,
            a_zero_point: p.a_zero_point,
            b_zero_point: p.b_zero_point,
            output_zero_point: p.output_zero_point,
            element: element as usize,
            factor: Factor::new(p, wide)?,
            sizes: Sizes::new([
                a_size,
                b_size,
                bytes("output", &[x, y, z, p.rows, p.columns, element])?,
            ]),
        })
    }

    /// One pair of matrices of int8.
    #[inline(always)]
    fn multiply(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        let outputs = output.chunks_exact_mut(self.columns);
        for (a, outputs) in a.chunks_exact(self.depth).zip(outputs) {
            for (b, out) in b.chunks_exact(self.depth).zip(outputs) {
                let pairs = a.iter().zip(b);
                let sum: i32 = pairs
                    .map(|(&a, &b)| {
                        (i32::from(a as i8) - self.a_zero_point)
                            * (i32::from(b as i8) - self.b_zero_point)
                    })
                    .sum();
                let scaled = self.factor.apply(sum);
                let stored = scaled.saturating_add(self.output_zero_point);
                *out = stored.clamp(-128, 127) as u8;
            }
        }
    }

    /// One pair of matrices of int16.
    #[inline(always)]
    fn multiply_wide(&self, a: &[[u8; 2]], b: &[[u8; 2]], output: &mut [[u8; 2]]) {
        let number = |stored: &[u8; 2]| i64::from(i16::from_le_bytes(*stored));
        let outputs = output.chunks_exact_mut(self.columns);
        for (a, outputs) in a.chunks_exact(self.depth).zip(outputs) {
            for (b, out) in b.chunks_exact(self.depth).zip(outputs) {
                let sum = a.iter().zip(b).map(|(a, b)| number(a) * number(b)).sum();
                let scaled = self.factor.apply_wide(sum);
                let stored = scaled.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                *out = stored.to_le_bytes();
            }
        }
    }
}

impl Factor {
    fn new(p: &program::BatchMatmul, wide: bool) -> Result<Self, Error> {
        if is_even(p.rounding)? {
            within("dtype of a product that is rounded to even", p.dtype, 1, 1)?;
            within("shift", p.shift, 0, 0)?;
            within("multiplier", p.multiplier, 0, F32_LARGEST)?;
            return Ok(Self::Even(f32::from_bits(p.multiplier as u32)));
        }
        within("shift", p.shift, -31, if wide { 14 } else { 30 })?;
        let rescale = Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?;
        Ok(Self::Fixed(rescale))
    }

    #[inline(always)]
    fn apply(self, sum: i32) -> i32 {
        match self {
            Self::Fixed(rescale) => rescale.apply(sum),
            Self::Even(factor) => round_even(sum as f32 * factor),
        }
    }

    /// Sums of int16 are never rounded to even.
    #[inline(always)]
    fn apply_wide(self, sum: i64) -> i32 {
        match self {
            Self::Fixed(rescale) => rescale.apply_wide(sum),
            Self::Even(_) => 0,
        }
    }
}

/// Bits of the largest finite float.
const F32_LARGEST: i64 = 0x7f7f_ffff;

fn is_wide(dtype: u32) -> Result<bool, Error> {
    match DType::from_raw(dtype) {
        Some(DType::Int8) => Ok(false),
        Some(DType::Int16) => Ok(true),
        _ => Err(Error::Type {
            field: "dtype",
            got: dtype,
            allowed: "int8 (1) or int16 (3)",
        }),
    }
}

/// Steps between the matrices of an operand by batch dimension, and its bytes. Bit d of `broadcast`
/// set: dimension d has one matrix for all.
fn steps(
    operand: &'static str,
    batch: &[u32; 3],
    broadcast: u32,
    one: u32,
) -> Result<([usize; 3], u32), Error> {
    let (mut strides, mut size) = ([0; 3], one);
    for dim in (0..3).rev() {
        if broadcast >> dim & 1 == 0 {
            strides[dim] = size as usize;
            size = bytes(operand, &[size, batch[dim]])?;
        }
    }
    Ok((strides, size))
}

struct Matrices<'a> {
    matmul: BatchMatmul,
    a: &'a [u8],
    b: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Matrices<'_> {
    #[inline(always)]
    fn run(self) {
        let m = &self.matmul;
        let [_, y, z] = m.batch;
        let outputs = self.output.chunks_exact_mut(m.rows * m.columns * m.element);
        for (number, output) in outputs.enumerate() {
            let index = [number / (y * z), number / z % y, number % z];
            let start = |stride: &[usize; 3]| {
                let steps = index.iter().zip(stride);
                steps.map(|(index, step)| index * step).sum::<usize>()
            };
            let a = &self.a[start(&m.a_stride)..][..m.rows * m.depth * m.element];
            let b = &self.b[start(&m.b_stride)..][..m.columns * m.depth * m.element];
            match m.element {
                1 => m.multiply(a, b, output),
                _ => m.multiply_wide(a.as_chunks().0, b.as_chunks().0, output.as_chunks_mut().0),
            }
        }
    }
}

/// The sizes of a, b and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::BatchMatmul) -> Result<Sizes, Error> {
    Ok(BatchMatmul::new(params)?.sizes)
}

/// Computes `output` from `a` and `b`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    params: &program::BatchMatmul,
    a: &[u8],
    b: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let matmul = BatchMatmul::new(params)?;
    let &[a_size, b_size, output_size] = matmul.sizes.as_slice() else {
        unreachable!("a product has three operands");
    };
    exactly("a", a, a_size)?;
    exactly("b", b, b_size)?;
    exactly("output", output, output_size)?;
    isa.run(Matrices {
        matmul,
        a,
        b,
        output,
    });
    Ok(())
}
