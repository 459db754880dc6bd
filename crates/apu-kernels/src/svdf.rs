//! SVDF: each filter's product with the input enters a memory of the last ones, which are weighed by age.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    limits::{at_least, bytes, exactly, within},
    requant::Rescale,
};
use apu_proto::program;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Svdf {
    inputs: usize,
    units: usize,
    rank: usize,
    memory: usize,
    input_zero_point: i32,
    output_zero_point: i32,
    feature: Rescale,
    time: Rescale,
    sizes: Sizes,
}

/// The constants of an SVDF.
struct Weights<'a> {
    bias: &'a [[u8; 4]],
    /// Of each filter, the oldest first.
    time: &'a [[u8; 2]],
    feature: &'a [u8],
}

impl Svdf {
    fn new(p: &program::Svdf) -> Result<Self, Error> {
        for (field, size) in [
            ("batch", p.batch),
            ("inputs", p.inputs),
            ("units", p.units),
            ("rank", p.rank),
            ("memory", p.memory),
        ] {
            within(field, size, 1, 1 << 16)?;
        }
        Byte::Int8.zero_point("input_zero_point", p.input_zero_point)?;
        Byte::Int8.zero_point("output_zero_point", p.output_zero_point)?;
        let filters = bytes("weights", &[p.units, p.rank])?;
        let time = bytes("weights", &[filters, p.memory, 2])?;
        let feature = bytes("weights", &[filters, p.inputs])?;
        let weights = [bytes("weights", &[p.units, 4])?, time, feature];
        Ok(Self {
            inputs: p.inputs as usize,
            units: p.units as usize,
            rank: p.rank as usize,
            memory: p.memory as usize,
            input_zero_point: p.input_zero_point,
            output_zero_point: p.output_zero_point,
            feature: Rescale::new(
                ["feature_multiplier", "feature_shift"],
                p.feature_multiplier,
                p.feature_shift,
            )?,
            time: Rescale::new(
                ["time_multiplier", "time_shift"],
                p.time_multiplier,
                p.time_shift,
            )?,
            sizes: Sizes::new([
                bytes("input", &[p.batch, p.inputs])?,
                crate::limits::sum("weights", &weights)?,
                bytes("output", &[p.batch, p.units])?,
                bytes("state", &[p.batch, time])?,
            ]),
        })
    }

    fn weights<'a>(&self, packed: &'a [u8]) -> Weights<'a> {
        let (bias, rest) = packed.split_at(self.units * 4);
        let (time, feature) = rest.split_at(self.units * self.rank * self.memory * 2);
        Weights {
            bias: bias.as_chunks().0,
            time: time.as_chunks().0,
            feature,
        }
    }

    /// One batch.
    fn step(&self, weights: &Weights, input: &[u8], output: &mut [u8], state: &mut [[u8; 2]]) {
        let memories = state.chunks_exact_mut(self.memory);
        for (memory, filter) in memories.zip(weights.feature.chunks_exact(self.inputs)) {
            let products = input
                .iter()
                .zip(filter)
                .map(|(&x, &w)| (i32::from(x as i8) - self.input_zero_point) * i32::from(w as i8));
            let newest = self.feature.apply(products.fold(0, i32::wrapping_add));
            memory.copy_within(1.., 0);
            memory[self.memory - 1] =
                (newest.clamp(i16::MIN.into(), i16::MAX.into()) as i16).to_le_bytes();
        }
        let clamp = Clamp::whole(Byte::Int8);
        let one = self.rank * self.memory;
        let units = state.chunks_exact(one).zip(weights.time.chunks_exact(one));
        for ((out, &bias), (memory, time)) in output.iter_mut().zip(weights.bias).zip(units) {
            let number = |stored: &[u8; 2]| i32::from(i16::from_le_bytes(*stored));
            let products = memory.iter().zip(time).map(|(x, w)| number(x) * number(w));
            let sum = products.fold(i32::from_le_bytes(bias), i32::wrapping_add);
            let scaled = self.time.apply(sum);
            *out = clamp.store(scaled.wrapping_add(self.output_zero_point));
        }
    }
}

/// The sizes of input, weights, output and state.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Svdf) -> Result<Sizes, Error> {
    Ok(Svdf::new(params)?.sizes)
}

/// Computes `output` from `input` and what `state` has kept of those before.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Svdf,
    input: &[u8],
    weights: &[u8],
    output: &mut [u8],
    state: &mut [u8],
) -> Result<(), Error> {
    let svdf = Svdf::new(params)?;
    let &[input_size, weights_size, output_size, state_size] = svdf.sizes.as_slice() else {
        unreachable!("an SVDF has four operands");
    };
    exactly("input", input, input_size)?;
    exactly("weights", weights, weights_size)?;
    exactly("output", output, output_size)?;
    at_least("state", state, state_size)?;
    let weights = svdf.weights(weights);
    let states = state.as_chunks_mut::<2>().0;
    let states = states.chunks_exact_mut(svdf.units * svdf.rank * svdf.memory);
    let outputs = output.chunks_exact_mut(svdf.units);
    let batches = input.chunks_exact(svdf.inputs).zip(outputs);
    for ((input, output), state) in batches.zip(states) {
        svdf.step(&weights, input, output, state);
    }
    Ok(())
}
