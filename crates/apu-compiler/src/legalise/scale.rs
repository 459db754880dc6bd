//! Changes of type and scale: QUANTIZE and DEQUANTIZE.

use apu_kernels::{dequantize, quantize};
use apu_proto::program::{Dequantize, Quantize, Rounding, opcode};

use super::{
    Operand, Record, dtype, quantisation, quantisation_or_unit, ratio_out_of_range, record,
    rounding, size,
};
use crate::{
    constraints::{Refusal, Site},
    graph::{Element, Tensor},
    requantise::Multiplier,
};

pub(super) fn quantize(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (input_scale, input_zero_point) = quantisation_or_unit(input)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let from_float = input.element == Element::FLOAT32;
    let multiplier = if from_float {
        Multiplier {
            multiplier: 0,
            shift: 0,
        }
    } else {
        Multiplier::new(f64::from(input_scale) / f64::from(output_scale))
            .ok_or_else(|| ratio_out_of_range(site))?
    };
    let params = Quantize {
        input_dtype: dtype(input),
        output_dtype: dtype(output),
        count: size("elements", input.count())?,
        input_zero_point,
        output_zero_point,
        multiplier: multiplier.multiplier,
        shift: multiplier.shift,
        scale: if from_float {
            output_scale.to_bits()
        } else {
            0
        },
        rounding: rounding(site),
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::QUANTIZE,
        &params,
        quantize::sizes(&params),
        operands,
        0,
    )
}

/// Shifts int16 by so many bits to the left, which may be below 0, with ties away from zero.
pub(super) fn shift(
    site: &Site,
    input: &Tensor,
    shift: i32,
    operands: [Operand; 2],
) -> Result<Record, Refusal> {
    let params = Quantize {
        input_dtype: dtype(input),
        output_dtype: dtype(input),
        count: size("elements", input.count())?,
        input_zero_point: 0,
        output_zero_point: 0,
        // A product with this, rounded, is what it was.
        multiplier: i32::MAX,
        shift,
        scale: 0,
        rounding: Rounding::AWAY,
    };
    let sizes = quantize::sizes(&params);
    record(site, opcode::QUANTIZE, &params, sizes, operands, 0)
}

/// What turns a quantised tensor into real numbers.
pub(super) fn to_float(input: &Tensor) -> Result<Dequantize, Refusal> {
    let (scale, zero_point) = quantisation(input)?;
    Ok(Dequantize {
        input_dtype: dtype(input),
        count: size("elements", input.count())?,
        zero_point,
        scale: scale.to_bits(),
    })
}

pub(super) fn dequantize(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let params = to_float(input)?;
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::DEQUANTIZE,
        &params,
        dequantize::sizes(&params),
        operands,
        0,
    )
}
