//! UNIDIRECTIONAL_SEQUENCE_LSTM with activations and weights of int8 and a cell of int16.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    fixed_point_16::{logistic, tanh},
    limits::{at_least, bytes, exactly, sum, within},
    requant::{Rescale, rounding_divide_by_pot},
};
use apu_proto::program;

/// Input, forget, cell and output.
const GATES: usize = 4;
/// The gate whose activation is tanh.
const CELL: usize = 2;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Lstm {
    batch: usize,
    time: usize,
    time_major: bool,
    inputs: usize,
    cells: usize,
    /// Of the sums over the input and over the last output, by gate.
    rescale: [[Rescale; 2]; GATES],
    /// Fraction bits of the cell.
    fraction_bits: u32,
    /// What the cell is clamped to, if anything.
    clip: Option<i32>,
    hidden: Rescale,
    output_zero_point: i32,
    sizes: Sizes,
}

/// One gate's constants.
#[derive(Clone, Copy)]
struct Gate<'a> {
    /// By cell, with the zero points folded in: of the input's sum and of the last output's.
    biases: [&'a [[u8; 4]]; 2],
    weights: [&'a [u8]; 2],
}

impl Lstm {
    fn new(p: &program::Lstm) -> Result<Self, Error> {
        for (field, size) in [
            ("batch", p.batch),
            ("time", p.time),
            ("inputs", p.inputs),
            ("cells", p.cells),
        ] {
            within(field, size, 1, 1 << 16)?;
        }
        within("time_major", p.time_major, 0, 1)?;
        within("cell_fraction_bits", p.cell_fraction_bits, 9, 15)?;
        within("cell_clip", p.cell_clip, 0, i16::MAX.into())?;
        Byte::Int8.zero_point("output_zero_point", p.output_zero_point)?;
        let fields = ["multiplier of a gate", "shift of a gate"];
        let mut rescale = [[Rescale::from_words(0, 0); 2]; GATES];
        for (rescale, words) in rescale.as_flattened_mut().iter_mut().zip(p.gates) {
            *rescale = Rescale::new(fields, words[0], words[1])?;
        }
        let gate = sum(
            "weights",
            &[
                bytes("weights", &[p.cells, 8])?,
                bytes("weights", &[p.cells, p.inputs])?,
                bytes("weights", &[p.cells, p.cells])?,
            ],
        )?;
        let steps = bytes("input", &[p.batch, p.time])?;
        Ok(Self {
            batch: p.batch as usize,
            time: p.time as usize,
            time_major: p.time_major == 1,
            inputs: p.inputs as usize,
            cells: p.cells as usize,
            rescale,
            fraction_bits: p.cell_fraction_bits,
            clip: (p.cell_clip > 0).then_some(p.cell_clip as i32),
            hidden: Rescale::new(
                ["hidden_multiplier", "hidden_shift"],
                p.hidden_multiplier,
                p.hidden_shift,
            )?,
            output_zero_point: p.output_zero_point,
            sizes: Sizes::new([
                bytes("input", &[steps, p.inputs])?,
                bytes("weights", &[gate, GATES as u32])?,
                bytes("output", &[steps, p.cells])?,
                bytes("state", &[p.batch, p.cells, 3])?,
            ]),
        })
    }

    fn gates<'a>(&self, packed: &'a [u8]) -> [Gate<'a>; GATES] {
        let gates = packed.len() / GATES;
        core::array::from_fn(|index| {
            let gate = &packed[index * gates..][..gates];
            let (biases, weights) = gate.split_at(8 * self.cells);
            Gate {
                biases: biases.as_chunks().0.split_at(self.cells).into(),
                weights: weights.split_at(self.cells * self.inputs).into(),
            }
        })
    }

    /// One step of one batch. The last output is kept less its zero point, so that zeros are a beginning.
    fn step(
        &self,
        gates: &[Gate; GATES],
        input: &[u8],
        output: &mut [u8],
        cell: &mut [[u8; 2]],
        last: &mut [u8],
    ) {
        let clamp = Clamp::whole(Byte::Int8);
        for (index, (out, cell)) in output.iter_mut().zip(cell).enumerate() {
            let gate = |number: usize| {
                let x = self.sum(&gates[number], number, index, input, last);
                match number {
                    CELL => tanh(x, 3),
                    _ => logistic(x),
                }
            };
            let [enter, keep, new, leave] = [0, 1, CELL, 3].map(|number| i32::from(gate(number)));
            let old = i32::from(i16::from_le_bytes(*cell));
            let kept = rounding_divide_by_pot(keep * old, 15) as i16;
            let entered = rounding_divide_by_pot(enter * new, 30 - self.fraction_bits) as i16;
            let value = i32::from(kept) + i32::from(entered);
            let value = value.clamp(i16::MIN.into(), i16::MAX.into());
            let value = self.clip.map_or(value, |clip| value.clamp(-clip, clip)) as i16;
            *cell = value.to_le_bytes();
            let shown = leave * i32::from(tanh(value, 15 - self.fraction_bits));
            let shown = self.hidden.apply(shown);
            *out = clamp.store(shown.wrapping_add(self.output_zero_point));
        }
        for (last, &out) in last.iter_mut().zip(&*output) {
            *last = out.wrapping_sub(self.output_zero_point as u8);
        }
    }

    /// What enters a gate's activation, in Q3.12.
    fn sum(&self, gate: &Gate, number: usize, cell: usize, input: &[u8], last: &[u8]) -> i16 {
        let zero = self.output_zero_point as u8;
        let row = |part: usize, size: usize| &gate.weights[part][cell * size..][..size];
        let bias = |part: usize| i32::from_le_bytes(gate.biases[part][cell]);
        let product = |x: u8, w: u8| i32::from(x as i8) * i32::from(w as i8);
        let of_input = input.iter().zip(row(0, self.inputs));
        let of_input = of_input.map(|(&x, &w)| product(x, w));
        let of_last = last.iter().zip(row(1, self.cells));
        let of_last = of_last.map(|(&x, &w)| product(x.wrapping_add(zero), w));
        let sums = [
            of_input.fold(bias(0), i32::wrapping_add),
            of_last.fold(bias(1), i32::wrapping_add),
        ];
        let mut total = 0i32;
        for (sum, rescale) in sums.into_iter().zip(self.rescale[number]) {
            total = rescale.apply(sum).saturating_add(total);
            total = total.clamp(i16::MIN.into(), i16::MAX.into());
        }
        total as i16
    }
}

/// The sizes of input, weights, output and state.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Lstm) -> Result<Sizes, Error> {
    Ok(Lstm::new(params)?.sizes)
}

/// Computes `output` from `input` and from the `state` that the run before left.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Lstm,
    input: &[u8],
    weights: &[u8],
    output: &mut [u8],
    state: &mut [u8],
) -> Result<(), Error> {
    let lstm = Lstm::new(params)?;
    let &[input_size, weights_size, output_size, state_size] = lstm.sizes.as_slice() else {
        unreachable!("an LSTM has four operands");
    };
    exactly("input", input, input_size)?;
    exactly("weights", weights, weights_size)?;
    exactly("output", output, output_size)?;
    at_least("state", state, state_size)?;
    let gates = lstm.gates(weights);
    let (cells, last) = state.split_at_mut(lstm.batch * lstm.cells * 2);
    let cells = cells.as_chunks_mut().0;
    for time in 0..lstm.time {
        for batch in 0..lstm.batch {
            let at = match lstm.time_major {
                true => time * lstm.batch + batch,
                false => batch * lstm.time + time,
            };
            lstm.step(
                &gates,
                &input[at * lstm.inputs..][..lstm.inputs],
                &mut output[at * lstm.cells..][..lstm.cells],
                &mut cells[batch * lstm.cells..][..lstm.cells],
                &mut last[batch * lstm.cells..][..lstm.cells],
            );
        }
    }
    Ok(())
}
