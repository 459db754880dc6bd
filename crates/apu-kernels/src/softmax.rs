//! SOFTMAX over the innermost dimension, in fixed point.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    fixed_point::{Reciprocal, exp_on_negative_values},
    isa::Kernel,
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
    #[inline(always)]
    fn exp(&self, diff: i32) -> i32 {
        if diff < self.diff_min {
            return 0;
        }
        exp_on_negative_values(self.argument(diff))
    }

    /// The same, for few: what needs no multiplication has none.
    #[inline(never)]
    fn one_exp(&self, diff: i32) -> i32 {
        self.exp(diff)
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
    #[inline(always)]
    pub fn sum(&self, exps: &Exps, row: &[u8]) -> (i32, i32) {
        let max = self.max(row);
        let term = |exp| rounding_divide_by_pot(exp, SUM_INTEGER_BITS);
        let diffs = row.iter().map(|&x| self.byte.widen(x) - max);
        let sum: i64 = if row.len() >= COUNT {
            let terms = exps.each(term);
            diffs.map(|diff| i64::from(terms[index(diff)])).sum()
        } else {
            diffs.map(|diff| i64::from(term(exps.get(diff)))).sum()
        };
        // No term is negative: with saturation at each of them it would be the same.
        (max, sum.min(i32::MAX.into()) as i32)
    }

    #[inline(always)]
    fn row(&self, exps: &Exps, input: &[u8], output: &mut [u8]) {
        let (max, sum) = self.sum(exps, input);
        let reciprocal = Reciprocal::of(sum, SUM_INTEGER_BITS);
        let bits = if self.wide { 16 } else { 8 };
        let exponent = (reciprocal.bits_over_unit + 31 - bits).clamp(0, 31) as u32;
        let share =
            |exp| rounding_divide_by_pot(doubling_high_mul(reciprocal.scale, exp), exponent);
        let diffs = input.iter().map(|&x| self.byte.widen(x) - max);
        if self.wide {
            let [least, largest] = [i16::MIN, i16::MAX].map(i32::from);
            for (out, diff) in output.as_chunks_mut().0.iter_mut().zip(diffs) {
                let value = share(exps.get(diff)) + least;
                *out = (value.clamp(least, largest) as i16).to_le_bytes();
            }
            return;
        }
        let clamp = Clamp::whole(self.byte);
        let stored = |exp| clamp.store(share(exp) + self.byte.min());
        let outputs = output.iter_mut().zip(diffs);
        if input.len() >= COUNT {
            let all = exps.each(stored);
            outputs.for_each(|(out, diff)| *out = all[index(diff)]);
        } else {
            outputs.for_each(|(out, diff)| *out = stored(exps.get(diff)));
        }
    }
}

/// Differences that there are.
const COUNT: usize = 256;

/// The place of a difference to the maximum, −255…0, among all.
#[inline(always)]
fn index(diff: i32) -> usize {
    (-diff & 255) as usize
}

/// The exponentials of differences to the maxima of rows.
pub(crate) struct Exps([i32; COUNT]);

impl Exps {
    /// Of the rows of `input`, or all if they are many.
    #[inline(always)]
    pub fn new(softmax: &Softmax, input: &[u8]) -> Self {
        let mut exps = Self([0; COUNT]);
        exps.fill(softmax, input);
        exps
    }

    #[inline(always)]
    fn fill(&mut self, softmax: &Softmax, input: &[u8]) {
        if input.len() >= COUNT {
            for (exp, diff) in self.0.iter_mut().zip(0..) {
                *exp = softmax.exp(-diff);
            }
            return;
        }
        for row in input.chunks_exact(softmax.columns) {
            let max = softmax.max(row);
            for &x in row {
                let diff = softmax.byte.widen(x) - max;
                self.0[index(diff)] = softmax.one_exp(diff);
            }
        }
    }

    /// The exponential of a difference of the rows, −255…0.
    #[inline(always)]
    fn get(&self, diff: i32) -> i32 {
        self.0[index(diff)]
    }

    /// A function of each of them.
    #[inline(always)]
    fn each<T: Copy + Default>(&self, function: impl Fn(i32) -> T) -> [T; COUNT] {
        let mut all = [T::default(); COUNT];
        for (value, &exp) in all.iter_mut().zip(&self.0) {
            *value = function(exp);
        }
        all
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
    isa: Isa,
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
    isa.run(Rows {
        softmax,
        input,
        output,
    });
    Ok(())
}

struct Rows<'a> {
    softmax: Softmax,
    input: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { softmax, .. } = self;
        let exps = Exps::new(&softmax, self.input);
        let element = if softmax.wide { 2 } else { 1 };
        let outputs = self.output.chunks_exact_mut(softmax.columns * element);
        for (input, output) in self.input.chunks_exact(softmax.columns).zip(outputs) {
            softmax.row(&exps, input, output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn softmax(columns: usize) -> Softmax {
        let exponentials = program::Exponentials {
            dtype: program::DType::UInt8 as u32,
            rows: 1,
            columns: columns as u32,
            input_multiplier: 1 << 30,
            input_left_shift: 22,
            diff_min: -248,
        };
        Softmax::new(&exponentials, 0).unwrap()
    }

    #[test]
    fn a_sum_saturates() {
        // A term is 2^19 at most, so 4096 of them are too much.
        for (columns, want) in [(200, 200 << 19), (4095, 4095 << 19), (5000, i32::MAX)] {
            let row = [7; 5000];
            let row = &row[..columns];
            let softmax = softmax(columns);
            let (max, sum) = softmax.sum(&Exps::new(&softmax, row), row);
            assert_eq!((max, sum), (7, want));
        }
    }

    #[test]
    fn tables_have_what_is_computed_one_by_one() {
        let softmax = softmax(COUNT);
        let row: [u8; COUNT] = core::array::from_fn(|index| index as u8);
        let exps = Exps::new(&softmax, &row);
        for diff in -255..=0 {
            assert_eq!(exps.get(diff), softmax.one_exp(diff), "{diff}");
        }
    }
}
