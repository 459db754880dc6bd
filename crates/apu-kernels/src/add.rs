//! ADD, elementwise with broadcasting.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{MAX_BYTES, bytes, exactly, within},
    requant::Rescale,
};
use apu_proto::program::{self, OP_RANK};

/// Most bits that inputs are shifted left by: a difference of two bytes stays within 32 bits.
const MAX_LEFT_SHIFT: i64 = 22;

/// Parameters in range; both strides stay within operands of the sizes in `sizes`.
#[derive(Clone, Copy, Debug)]
struct Add {
    byte: Byte,
    a: Input,
    b: Input,
    output: Rescale,
    output_zero_point: i32,
    clamp: Clamp,
    shape: [usize; OP_RANK],
    sizes: Sizes,
}

/// How one input is read.
#[derive(Clone, Copy, Debug)]
struct Input {
    zero_point: i32,
    left_shift: u32,
    rescale: Rescale,
    stride: [usize; OP_RANK],
}

impl Add {
    fn new(p: &program::Add) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        byte.zero_point("a_zero_point", p.a_zero_point)?;
        byte.zero_point("b_zero_point", p.b_zero_point)?;
        byte.zero_point("output_zero_point", p.output_zero_point)?;
        within("left_shift", p.left_shift, 0, MAX_LEFT_SHIFT)?;
        for size in p.shape {
            within("shape", size, 1, MAX_BYTES.into())?;
        }
        let input = |zero_point, rescale, stride: [u32; OP_RANK]| Input {
            zero_point,
            left_shift: p.left_shift,
            rescale,
            stride: stride.map(|step| step as usize),
        };
        let a = Rescale::new(["a_multiplier", "a_shift"], p.a_multiplier, p.a_shift)?;
        let b = Rescale::new(["b_multiplier", "b_shift"], p.b_multiplier, p.b_shift)?;
        Ok(Self {
            byte,
            a: input(p.a_zero_point, a, p.a_stride),
            b: input(p.b_zero_point, b, p.b_stride),
            output: Rescale::new(
                ["output_multiplier", "output_shift"],
                p.output_multiplier,
                p.output_shift,
            )?,
            output_zero_point: p.output_zero_point,
            clamp: Clamp::new(byte, p.clamp_min, p.clamp_max)?,
            shape: p.shape.map(|size| size as usize),
            sizes: Sizes::new([
                extent("a", &p.shape, &p.a_stride)?,
                extent("b", &p.shape, &p.b_stride)?,
                bytes("output", &p.shape)?,
            ]),
        })
    }
}

/// One more than the largest offset that the strides reach.
fn extent(
    operand: &'static str,
    shape: &[u32; OP_RANK],
    stride: &[u32; OP_RANK],
) -> Result<u32, Error> {
    let mut last = 0u32;
    for (&size, &step) in shape.iter().zip(stride) {
        let reach = (size - 1).checked_mul(step);
        last = reach
            .and_then(|reach| last.checked_add(reach))
            .filter(|&last| last < MAX_BYTES)
            .ok_or(Error::TooLarge {
                operand,
                max: MAX_BYTES,
            })?;
    }
    Ok(last + 1)
}

impl Input {
    /// The input's share of the sum.
    #[inline(always)]
    fn term(&self, value: i32) -> i32 {
        self.rescale
            .apply((value - self.zero_point) << self.left_shift)
    }
}

impl Add {
    #[inline(always)]
    fn element(&self, a: u8, b: u8) -> u8 {
        let sum = self
            .a
            .term(self.byte.widen(a))
            .wrapping_add(self.b.term(self.byte.widen(b)));
        self.clamp
            .store(self.output.apply(sum).wrapping_add(self.output_zero_point))
    }

    /// One innermost row; a step of 0 repeats the first element.
    #[inline(always)]
    fn row(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        let [a_step, b_step] = [self.a.stride[OP_RANK - 1], self.b.stride[OP_RANK - 1]];
        if (a_step, b_step) == (1, 1) {
            for ((out, &a), &b) in output.iter_mut().zip(a).zip(b) {
                *out = self.element(a, b);
            }
        } else {
            for (index, out) in output.iter_mut().enumerate() {
                *out = self.element(a[index * a_step], b[index * b_step]);
            }
        }
    }

    /// Makes the innermost row as long as both inputs allow.
    fn merge_rows(mut self) -> Self {
        const LAST: usize = OP_RANK - 1;
        for dim in (0..LAST).rev() {
            let columns = self.shape[LAST];
            let continues = |input: &Input| input.stride[dim] == input.stride[LAST] * columns;
            if self.shape[dim] == 1 || (continues(&self.a) && continues(&self.b)) {
                self.shape[LAST] *= self.shape[dim];
                self.shape[dim] = 1;
            } else {
                break;
            }
        }
        self
    }
}

struct AddRows<'a> {
    add: Add,
    a: &'a [u8],
    b: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for AddRows<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { add, a, b, output } = self;
        let columns = add.shape[OP_RANK - 1];
        for (row, row_output) in output.chunks_exact_mut(columns).enumerate() {
            let [mut a_start, mut b_start, mut rest] = [0, 0, row];
            for dim in (0..OP_RANK - 1).rev() {
                let index = rest % add.shape[dim];
                rest /= add.shape[dim];
                a_start += index * add.a.stride[dim];
                b_start += index * add.b.stride[dim];
            }
            add.row(&a[a_start..], &b[b_start..], row_output);
        }
    }
}

/// The sizes of a, b and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Add) -> Result<Sizes, Error> {
    Ok(Add::new(params)?.sizes)
}

/// Computes `output` from `a` and `b`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    params: &program::Add,
    a: &[u8],
    b: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let add = Add::new(params)?;
    let &[a_size, b_size, output_size] = add.sizes.as_slice() else {
        unreachable!("an addition has three operands");
    };
    exactly("a", a, a_size)?;
    exactly("b", b, b_size)?;
    exactly("output", output, output_size)?;
    let add = add.merge_rows();
    isa.run(AddRows { add, a, b, output });
    Ok(())
}
