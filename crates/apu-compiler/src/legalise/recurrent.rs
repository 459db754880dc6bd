//! Operators with a state: SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM.

use apu_kernels::{lstm, svdf};
use apu_proto::program::{Lstm, Svdf, opcode};

use super::{Operand, Record, quantisation, ratio_out_of_range, record, size, states::States};
use crate::{
    constants,
    constraints::{ARGUMENTS, LIMITS, Refusal, Site},
    graph::{Options, Tensor},
    requantise::Multiplier,
};

pub(super) fn svdf(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Svdf { rank, .. } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let rank: u32 = size("rank", rank)?;
    let [input, feature, time] = [
        site.need_input(0)?,
        site.need_input(1)?,
        site.need_input(2)?,
    ];
    let ([batch, inputs], [filters, _], [_, memory]) =
        (matrix(input)?, matrix(feature)?, matrix(time)?);
    let units = filters.checked_div(rank).unwrap_or(0);
    let shapes = [
        (feature, [units * rank, inputs]),
        (time, [filters, memory]),
        (site.need_input(4)?, [batch, memory.saturating_mul(filters)]),
        (site.need_output()?, [batch, units]),
    ];
    expect(&shapes)?;
    let state = site.need_input(4)?;
    let (output_scale, output_zero_point) = quantisation(site.need_output()?)?;
    let product = |a: &Tensor, b: &Tensor| Ok(quantisation(a)?.0 * quantisation(b)?.0);
    let feature_factor = factor(site, product(input, feature)? / quantisation(state)?.0)?;
    let time_factor = factor(site, product(state, time)? / output_scale)?;
    let params = Svdf {
        batch,
        inputs,
        units,
        rank,
        memory,
        input_zero_point: quantisation(input)?.1,
        output_zero_point,
        feature_multiplier: feature_factor[0],
        feature_shift: feature_factor[1],
        time_multiplier: time_factor[0],
        time_shift: time_factor[1],
    };
    let bias = biases(site, 3, units)?;
    let weights = [&words(&bias), elements(time)?, elements(feature)?].concat();
    let states = States::new(site, &[(4, 0)])?;
    recurrent(
        site,
        opcode::SVDF,
        &params,
        svdf::sizes(&params),
        weights,
        &states,
    )
}

pub(super) fn lstm(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Lstm {
        cell_clip,
        time_major,
        ..
    } = site.operator.options
    else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let &[outer, inner, inputs] = input.shape.as_slice() else {
        return Err(ARGUMENTS.refuse(format!("shape {:?}", input.shape)));
    };
    let [cells, _] = matrix(site.need_input(5)?)?;
    let (time, batch) = if time_major {
        (outer, inner)
    } else {
        (inner, outer)
    };
    let (last, cell) = (site.need_input(18)?, site.need_input(19)?);
    expect(&[(last, [batch, cells]), (cell, [batch, cells])])?;
    if output.shape != [outer, inner, cells] {
        return Err(ARGUMENTS.refuse(format!("an output of shape {:?}", output.shape)));
    }
    let (hidden_scale, hidden_zero_point) = hidden(site)?;
    let cell_scale = quantisation(cell)?.0;
    let fraction_bits: u32 = size("fraction bits of the cell", fraction_bits(cell_scale)?)?;
    let mut gates = [[0; 2]; 8];
    let mut weights = Vec::new();
    for gate in 0..4 {
        let of_input = Sum::new(site, 1 + gate, input, [cells, inputs])?;
        let of_last = Sum::new(site, 5 + gate, last, [cells, cells])?;
        gates[2 * gate] = of_input.factor;
        gates[2 * gate + 1] = of_last.factor;
        weights.extend(words(&of_input.folded(&biases(site, 12 + gate, cells)?)));
        weights.extend(words(&of_last.folded(&vec![0; cells as usize])));
        weights.extend([of_input.weights, of_last.weights].concat());
    }
    let unit = 2f64.powi(-15);
    let shown = factor(site, (unit / f64::from(hidden_scale) * unit) as f32)?;
    let clip = if cell_clip > 0.0 {
        (cell_clip / cell_scale).min(32767.0) as u32
    } else {
        0
    };
    let params = Lstm {
        batch,
        time,
        time_major: time_major.into(),
        inputs,
        cells,
        gates,
        cell_fraction_bits: fraction_bits,
        cell_clip: clip,
        hidden_multiplier: shown[0],
        hidden_shift: shown[1],
        output_zero_point: hidden_zero_point,
    };
    let states = States::new(site, &[(19, 0), (18, hidden_zero_point)])?;
    recurrent(
        site,
        opcode::LSTM,
        &params,
        lstm::sizes(&params),
        weights,
        &states,
    )
}

/// One of the two sums of a gate.
struct Sum<'a> {
    weights: &'a [u8],
    row: usize,
    zero_point: i32,
    factor: [i32; 2],
}

impl<'a> Sum<'a> {
    fn new(site: &Site<'a>, index: usize, of: &Tensor, shape: [u32; 2]) -> Result<Self, Refusal> {
        /// A step of what enters the activations.
        const STEP: f32 = 1.0 / 4096.0;
        let weights = site.need_input(index)?;
        expect(&[(weights, shape)])?;
        let (scale, zero_point) = quantisation(of)?;
        Ok(Self {
            weights: elements(weights)?,
            row: shape[1] as usize,
            zero_point,
            factor: factor(site, quantisation(weights)?.0 * scale / STEP)?,
        })
    }

    /// The biases with the zero point of what is summed up folded in.
    fn folded(&self, biases: &[i32]) -> Vec<i32> {
        let rows = self.weights.chunks_exact(self.row);
        let sums = rows.map(|row| row.iter().map(|&w| i32::from(w.cast_signed())).sum::<i32>());
        let folded = biases.iter().zip(sums);
        folded
            .map(|(bias, sum)| bias.wrapping_sub(self.zero_point.wrapping_mul(sum)))
            .collect()
    }
}

/// How the product of the output gate and the cell is quantised, which the last output is, too.
fn hidden(site: &Site) -> Result<(f32, i32), Refusal> {
    let tensor = site.operator.intermediates.get(4);
    let tensor = tensor.and_then(|&id| site.graph.tensors.get(id));
    let hidden = quantisation(tensor.ok_or_else(|| ARGUMENTS.refuse("no hidden tensor"))?)?;
    let last = quantisation(site.need_input(18)?)?;
    if hidden.1 != last.1 {
        return Err(ARGUMENTS.refuse(format!("zero points {} and {}", hidden.1, last.1)));
    }
    Ok(hidden)
}

/// Of a scale that is a power of two.
fn fraction_bits(scale: f32) -> Result<i32, Refusal> {
    let bits = -scale.log2().round();
    if scale != (-bits).exp2() {
        return Err(LIMITS.refuse(format!("a cell in steps of {scale}, no power of two")));
    }
    Ok(bits as i32)
}

/// A record with its states as the last operand, and those that move states around it.
fn recurrent(
    site: &Site,
    opcode: u32,
    params: &(impl zerocopy::IntoBytes + zerocopy::Immutable),
    sizes: Result<apu_kernels::Sizes, apu_kernels::Error>,
    weights: Vec<u8>,
    states: &States,
) -> Result<Vec<Record>, Refusal> {
    let macs = weights.len() as u64;
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Packed(weights),
        Operand::Write(site.output_id()?),
        states.operand()?,
    ];
    let steps = site.need_input(0)?.count()
        / u64::from(
            site.need_input(0)?
                .shape
                .last()
                .copied()
                .unwrap_or(1)
                .max(1),
        );
    let macs = macs.saturating_mul(steps);
    let record = record(site, opcode, params, sizes, operands, macs)?;
    let mut records = states.taken_in()?;
    records.push(record);
    records.extend(states.handed_out()?);
    Ok(records)
}

fn factor(site: &Site, ratio: f32) -> Result<[i32; 2], Refusal> {
    let factor = Multiplier::new(ratio.into()).ok_or_else(|| ratio_out_of_range(site))?;
    Ok(factor.words())
}

fn biases(site: &Site, index: usize, count: u32) -> Result<Vec<i32>, Refusal> {
    let Some(tensor) = site.input(index) else {
        return Ok(vec![0; count as usize]);
    };
    let values = constants::integers(tensor).unwrap_or_default();
    if values.len() != count as usize {
        return Err(ARGUMENTS.refuse(format!("{} biases for {count}", values.len())));
    }
    values
        .into_iter()
        .map(|value| size("bias", value))
        .collect()
}

fn words(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn elements<'a>(tensor: &'a Tensor) -> Result<&'a [u8], Refusal> {
    let elements = tensor.elements();
    elements.ok_or_else(|| LIMITS.refuse(format!("{} without data", tensor.label())))
}

fn matrix(tensor: &Tensor) -> Result<[u32; 2], Refusal> {
    let shape = tensor.shape.as_slice().try_into();
    shape.map_err(|_| ARGUMENTS.refuse(format!("{} of shape {:?}", tensor.label(), tensor.shape)))
}

fn expect(shapes: &[(&Tensor, [u32; 2])]) -> Result<(), Refusal> {
    match shapes.iter().find(|(tensor, shape)| tensor.shape != shape) {
        Some((tensor, shape)) => Err(ARGUMENTS.refuse(format!(
            "{} of shape {:?} in place of {shape:?}",
            tensor.label(),
            tensor.shape
        ))),
        None => Ok(()),
    }
}
