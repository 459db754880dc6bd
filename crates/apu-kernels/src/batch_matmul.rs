//! BATCH_MATMUL: products of int8 matrices that are both computed in the run.

use crate::{
    Error, Isa, Sizes,
    isa::Kernel,
    limits::{MAX_BYTES, bytes, exactly, within},
    requant::Rescale,
};
use apu_proto::program;

/// Most elements in one sum: it stays within 32 bits.
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
    rescale: Rescale,
    sizes: Sizes,
}

impl BatchMatmul {
    fn new(p: &program::BatchMatmul) -> Result<Self, Error> {
        for (field, zero_point) in [
            ("a_zero_point", p.a_zero_point),
            ("b_zero_point", p.b_zero_point),
            ("output_zero_point", p.output_zero_point),
        ] {
            within(field, zero_point, -128, 127)?;
        }
        within("rows", p.rows, 1, MAX_BYTES.into())?;
        within("columns", p.columns, 1, MAX_BYTES.into())?;
        within("depth", p.depth, 1, MAX_DEPTH)?;
        within("a_broadcast", p.a_broadcast, 0, 7)?;
        within("b_broadcast", p.b_broadcast, 0, 7)?;
        for size in p.batch {
            within("batch", size, 1, MAX_BYTES.into())?;
        }
        let one = bytes("a", &[p.rows, p.depth])?;
        let (a_stride, a_size) = steps("a", &p.batch, p.a_broadcast, one)?;
        let one = bytes("b", &[p.columns, p.depth])?;
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
            rescale: Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?,
            sizes: Sizes::new([
                a_size,
                b_size,
                bytes("output", &[x, y, z, p.rows, p.columns])?,
            ]),
        })
    }

    /// One pair of matrices.
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
                let scaled = self.rescale.apply(sum).wrapping_add(self.output_zero_point);
                *out = scaled.clamp(-128, 127) as u8;
            }
        }
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
        let outputs = self.output.chunks_exact_mut(m.rows * m.columns);
        for (number, output) in outputs.enumerate() {
            let index = [number / (y * z), number / z % y, number % z];
            let start = |stride: &[usize; 3]| {
                let steps = index.iter().zip(stride);
                steps.map(|(index, step)| index * step).sum::<usize>()
            };
            let a = &self.a[start(&m.a_stride)..][..m.rows * m.depth];
            let b = &self.b[start(&m.b_stride)..][..m.columns * m.depth];
            m.multiply(a, b, output);
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
