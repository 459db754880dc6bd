//! LOG_SOFTMAX over the innermost dimension, in fixed point.

use crate::{
    Error, Isa, Sizes,
    byte::Clamp,
    fixed_point::log_of_at_least_one,
    limits::{exactly, within},
    requant::{Rescale, rounding_divide_by_pot},
    softmax::{Exps, Softmax},
};
use apu_proto::program;

/// Bits of a Q5.26 number below the output's step of 2⁻⁴.
const STEP_BITS: u32 = 22;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct LogSoftmax {
    softmax: Softmax,
    reverse: Rescale,
}

impl LogSoftmax {
    fn new(p: &program::LogSoftmax) -> Result<Self, Error> {
        within("reverse_shift", p.reverse_shift, -31, 0)?;
        let fields = ["reverse_multiplier", "reverse_shift"];
        Ok(Self {
            softmax: Softmax::new(&p.exponentials, 0)?,
            reverse: Rescale::new(fields, p.reverse_multiplier, p.reverse_shift)?,
        })
    }

    fn row(&self, exps: &Exps, input: &[u8], output: &mut [u8]) {
        let softmax = &self.softmax;
        let (max, sum) = softmax.sum(exps, input);
        let log = log_of_at_least_one(sum.max(1 << 19));
        // Beyond this a result would leave Q5.26.
        let reach = self.reverse.apply(log.wrapping_add(i32::MIN));
        let least = reach.max(softmax.diff_min.saturating_sub(1));
        let clamp = Clamp::whole(softmax.byte);
        for (out, &x) in output.iter_mut().zip(input) {
            let diff = softmax.byte.widen(x) - max;
            let scaled = softmax.argument(diff).wrapping_sub(log);
            let value = rounding_divide_by_pot(scaled, STEP_BITS) + softmax.byte.max();
            *out = clamp.store(if diff > least { value } else { clamp.min });
        }
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::LogSoftmax) -> Result<Sizes, Error> {
    Ok(LogSoftmax::new(params)?.softmax.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::LogSoftmax,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let log_softmax = LogSoftmax::new(params)?;
    let softmax = &log_softmax.softmax;
    let &[input_size, output_size] = softmax.sizes.as_slice() else {
        unreachable!("a softmax has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let exps = Exps::new(softmax, input);
    let rows = input.chunks_exact(softmax.columns);
    let pairs = rows.zip(output.chunks_exact_mut(softmax.columns));
    pairs.for_each(|(input, output)| log_softmax.row(&exps, input, output));
    Ok(())
}
