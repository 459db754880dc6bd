//! SOFTMAX over the innermost dimension, in fixed point.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    fixed_point::{Reciprocal, exp_on_negative_values},
    limits::{bytes, exactly, within},
    requant::{doubling_high_mul, rounding_divide_by_pot},
};
use apu_proto::program;

/// Integer bits of the sum of exponentials: it is Q12.19.
const SUM_INTEGER_BITS: u32 = 12;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Softmax {
    pub byte: Byte,
    pub columns: usize,
    multiplier: i32,
    left_shift: u32,
    pub diff_min: i32,
    /// Whether the output is of int16.
    wide: bool,
    pub sizes: Sizes,
}

impl Softmax {
    pub fn new(p: &program::Exponentials, wide: u32) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        within("columns", p.columns, 1, i32::MAX.into())?;
        within("input_multiplier", p.input_multiplier, 0, i32::MAX.into())?;
        within("input_left_shift", p.input_left_shift, 0, 31)?;
        within("diff_min", p.diff_min, i32::MIN.into(), 0)?;
        within("wide", wide, 0, 1)?;
        let size = bytes("input", &[p.rows, p.columns])?;
        let output = bytes("output", &[size, 1 + wide])?;
        Ok(Self {
            byte,
            columns: p.columns as usize,
            multiplier: p.input_multiplier,
            left_shift: p.input_left_shift as u32,
            diff_min: p.diff_min,
            wide: wide == 1,
            sizes: Sizes::new([size, output]),
        })
    }

    /// `exp(β · scale · diff)` in Q0.31 for a difference to the row's maximum, 0 if negligible.
    fn exp(&self, diff: i32) -> i32 {
        if diff < self.diff_min {
            return 0;
        }
        exp_on_negative_values(self.argument(diff))
    }

    /// `β · scale · diff` in Q5.26.
    #[inline(always)]
    pub fn argument(&self, diff: i32) -> i32 {
        doubling_high_mul(diff.wrapping_shl(self.left_shift), self.multiplier)
    }

    #[inline(always)]
    fn max(&self, row: &[u8]) -> i32 {
        let values = row.iter().map(|&x| self.byte.widen(x));
        values.max().unwrap_or(0)
    }

    /// The largest value of a row, and the sum of the exponentials of the differences to it in Q12.19.
    pub fn sum(&self, exps: &Exps, row: &[u8]) -> (i32, i32) {
        let max = self.max(row);
        let values = row.iter().map(|&x| self.byte.widen(x));
        let terms = values.map(|x| rounding_divide_by_pot(exps.get(x - max), SUM_INTEGER_BITS));
        (max, terms.fold(0i32, i32::saturating_add))
    }

    fn row(&self, exps: &Exps, input: &[u8], output: &mut [u8]) {
        let (max, sum) = self.sum(exps, input);
        let diff = |x| self.byte.widen(x) - max;
        let reciprocal = Reciprocal::of(sum, SUM_INTEGER_BITS);
        let bits = if self.wide { 16 } else { 8 };
        let exponent = (reciprocal.bits_over_unit + 31 - bits).clamp(0, 31) as u32;
        let shares = input.iter().map(|&x| {
            let scaled = doubling_high_mul(reciprocal.scale, exps.get(diff(x)));
            rounding_divide_by_pot(scaled, exponent)
        });
        if self.wide {
            let [least, largest] = [i16::MIN, i16::MAX].map(i32::from);
            for (out, share) in output.as_chunks_mut().0.iter_mut().zip(shares) {
                *out = ((share + least).clamp(least, largest) as i16).to_le_bytes();
            }
        } else {
            let clamp = Clamp::whole(self.byte);
            for (out, share) in output.iter_mut().zip(shares) {
                *out = clamp.store(share + self.byte.min());
            }
        }
    }
}

/// The exponentials of differences to the maxima of rows.
pub(crate) struct Exps([i32; 256]);

impl Exps {
    /// Of the rows of `input`, or all if they are many.
    pub fn new(softmax: &Softmax, input: &[u8]) -> Self {
        let mut exps = Self([0; 256]);
        exps.fill(softmax, input);
        exps
    }

    fn fill(&mut self, softmax: &Softmax, input: &[u8]) {
        if input.len() >= self.0.len() {
            for (exp, diff) in self.0.iter_mut().zip(0..) {
                *exp = softmax.exp(-diff);
            }
            return;
        }
        for row in input.chunks_exact(softmax.columns) {
            let max = softmax.max(row);
            for &x in row {
                let diff = softmax.byte.widen(x) - max;
                self.0[(-diff & 255) as usize] = softmax.exp(diff);
            }
        }
    }

    /// The exponential of a difference of the rows, −255…0.
    fn get(&self, diff: i32) -> i32 {
        self.0[(-diff & 255) as usize]
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Softmax) -> Result<Sizes, Error> {
    Ok(Softmax::new(&params.exponentials, params.wide)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Softmax,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let softmax = Softmax::new(&params.exponentials, params.wide)?;
    let &[input_size, output_size] = softmax.sizes.as_slice() else {
        unreachable!("a softmax has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let exps = Exps::new(&softmax, input);
    let rows = input
        .chunks_exact(softmax.columns)
        .zip(output.chunks_exact_mut(softmax.columns * if softmax.wide { 2 } else { 1 }));
    rows.for_each(|(input, output)| softmax.row(&exps, input, output));
    Ok(())
}
