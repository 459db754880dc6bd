//! Functions of one input: a table of all their values, 256 of bytes and 65536 of int16.

use apu_kernels::{
    float_math::{elu, exp, log, tanh},
    lookup,
};
use apu_proto::program::{Lookup, opcode};

use super::{
    Operand, Record,
    functions::{self, Scales},
    quantisation, ratio_out_of_range, record, size,
    wide_functions::{self, Argument},
    xnnpack,
};
use crate::{
    constraints::{LIMITS, Refusal, Site},
    graph::{Activation, Element, Opcode, Options},
    requantise,
};

pub(super) fn lookup(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let table = match site.operator.opcode {
        Opcode::LOGICAL_NOT => (0..=255u8).map(|x| u8::from(x == 0)).collect(),
        Opcode::NEG => negative(input.element),
        _ => quantised(site)?,
    };
    let width = if input.element == Element::INT16 {
        2
    } else {
        1
    };
    let params = Lookup {
        count: size("elements", input.count())?,
        index_size: width,
        entry_size: width,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Packed(table),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::LOOKUP,
        &params,
        lookup::sizes(&params),
        operands,
        0,
    )
}

/// NEG of what is stored, whose least value has itself for its negative.
fn negative(element: Element) -> Vec<u8> {
    let range = element.range().unwrap_or_default();
    table(element, range, &|x| if x == range.0 { x } else { -x })
}

/// Input `index` of a concatenation of uint8 in the quantisation of the output, in memory of its own
/// (`ConcatenationWithScaling`).
pub(super) fn rescaled(site: &Site, index: usize) -> Result<(Record, Operand), Refusal> {
    let (input, output) = (site.need_input(index)?, site.need_output()?);
    let (input_scale, input_zero_point) = quantisation(input)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let scale = input_scale * (1.0 / output_scale);
    let bias = -input_zero_point as f32 * scale;
    let function =
        |x: i32| ((x as f32 * scale + bias).round() as i32).saturating_add(output_zero_point);
    let to = || Operand::Temporary {
        index,
        size: input.count(),
    };
    let table = table(input.element, (0, 255), &function);
    let from = Operand::Read(site.input_id(index)?);
    Ok((of_bytes(site, input.count(), from, table, to())?, to()))
}

/// A table of 256 bytes, looked up for so many of them.
pub(crate) fn of_bytes(
    site: &Site,
    count: u64,
    from: Operand,
    table: Vec<u8>,
    to: Operand,
) -> Result<Record, Refusal> {
    let params = Lookup {
        count: size("elements", count)?,
        index_size: 1,
        entry_size: 1,
    };
    let operands = [from, Operand::Packed(table), to];
    let sizes = lookup::sizes(&params);
    record(site, opcode::LOOKUP, &params, sizes, operands, 0)
}

/// The table for a quantised input.
fn quantised(site: &Site) -> Result<Vec<u8>, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let scales = Scales {
        input: quantisation(input)?,
        output: quantisation(output)?,
    };
    let (opcode, options) = (site.operator.opcode, site.operator.options);
    let range = range(site)?;
    let fill = |function: &dyn Fn(i32) -> i32| table(input.element, range, function);
    if let Some(function) = xnnpack::function(site)? {
        return Ok(fill(&function));
    }
    let ratio = || ratio_out_of_range(site);
    if input.element == Element::INT16 {
        let argument = Argument::new(scales.input.0);
        match opcode {
            Opcode::LOGISTIC => return Ok(fill(&wide_functions::logistic(argument))),
            Opcode::TANH => return Ok(fill(&wide_functions::tanh(argument))),
            _ => {}
        }
    }
    let real = |function: &dyn Fn(f32) -> f32| match input.element {
        Element::INT16 => fill(&scales.interpolated(function)),
        _ => fill(&scales.real(function)),
    };
    let (least, largest) = input.element.range().unwrap_or_default();
    Ok(match opcode {
        Opcode::LOGISTIC => real(&functions::logistic),
        Opcode::TANH => real(&tanh),
        Opcode::EXP => real(&exp),
        Opcode::ELU => real(&elu),
        Opcode::GELU => match options {
            Options::Gelu { approximate: true } => real(&functions::gelu_approximate),
            _ => real(&functions::gelu),
        },
        Opcode::LOG => {
            let least = (least - scales.output.1) as f32 * scales.output.0;
            real(&|x| if x <= 0.0 { least } else { log(x) })
        }
        Opcode::SQRT => fill(&scales.sqrt()),
        Opcode::RSQRT if input.element == Element::INT16 => {
            let largest = largest as f32 * scales.output.0;
            real(&|x| if x <= 0.0 { largest } else { 1.0 / x.sqrt() })
        }
        Opcode::RSQRT => fill(&scales.rsqrt().ok_or_else(ratio)?),
        Opcode::ABS => fill(&scales.abs().ok_or_else(ratio)?),
        Opcode::HARD_SWISH => fill(&scales.hard_swish().ok_or_else(ratio)?),
        Opcode::LEAKY_RELU => {
            let Options::LeakyRelu { alpha } = options else {
                return Err(LIMITS.refuse("no alpha"));
            };
            fill(&scales.leaky_relu(alpha).ok_or_else(ratio)?)
        }
        _ => fill(&scales.rescaled().ok_or_else(ratio)?),
    })
}

/// What results are clamped to: all of the type, or less for RELU and its kin.
fn range(site: &Site) -> Result<(i32, i32), Refusal> {
    let output = site.need_output()?;
    let (scale, zero_point) = quantisation(output)?;
    let activation = match site.operator.opcode {
        Opcode::RELU => Activation(1),
        Opcode::RELU_N1_TO_1 => Activation(2),
        Opcode::RELU6 => Activation(3),
        _ => Activation(0),
    };
    let (least, largest) =
        requantise::activation_range(activation, output.element, scale, zero_point)
            .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {scale}")))?;
    if site.operator.opcode == Opcode::RELU_0_TO_1 {
        let one = zero_point.saturating_add((1.0 / scale).round() as i32);
        return Ok((least.max(zero_point), largest.min(one)));
    }
    Ok((least, largest))
}

/// The values of a function in the order of the stored bytes, or of the stored pairs of bytes.
/// The values of a function for all that an element can be.
pub(super) fn table(element: Element, range: (i32, i32), function: &dyn Fn(i32) -> i32) -> Vec<u8> {
    let value = |x: i32| function(x).max(range.0).min(range.1);
    match element {
        Element::INT16 => (0..=u16::MAX)
            .flat_map(|stored| (value((stored as i16).into()) as i16).to_le_bytes())
            .collect(),
        Element::INT8 => (0..=u8::MAX)
            .map(|stored| value((stored as i8).into()) as u8)
            .collect(),
        _ => (0..=u8::MAX)
            .map(|stored| value(stored.into()) as u8)
            .collect(),
    }
}
