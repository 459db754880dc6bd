//! Operators over whole dimensions: SOFTMAX, MEAN and SUM.

use apu_kernels::{mean, softmax};
use apu_proto::program::{Mean, OP_RANK, Softmax, opcode};

use super::{Operand, Record, dtype, quantisation, ratio_out_of_range, record, scratch, six, size};
use crate::{
    constants,
    constraints::{LIMITS, Refusal, Site},
    graph::{Opcode, Options},
    requantise::{Multiplier, SoftmaxScale},
};

pub(super) fn softmax(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let beta = match site.operator.options {
        Options::Softmax { beta } => beta,
        _ => return Err(LIMITS.refuse("no beta")),
    };
    let scale = SoftmaxScale::new(beta, quantisation(input)?.0).ok_or_else(|| {
        LIMITS.refuse(format!(
            "beta {beta} with an input scale of {}",
            quantisation(input).map_or(0.0, |q| q.0)
        ))
    })?;
    let columns = input.shape.last().copied().unwrap_or(1);
    let params = Softmax {
        dtype: dtype(input),
        rows: size("rows", input.count() / u64::from(columns.max(1)))?,
        columns,
        input_multiplier: scale.multiplier,
        input_left_shift: scale.left_shift,
        diff_min: scale.diff_min,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::SOFTMAX,
        &params,
        softmax::sizes(&params),
        operands,
        0,
    )
}

pub(super) fn mean(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (input_scale, input_zero_point) = quantisation(input)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let axes = constants::axes(site.need_input(1)?, input.shape.len())
        .ok_or_else(|| LIMITS.refuse("unknown axes"))?;
    let leading = OP_RANK.saturating_sub(input.shape.len());
    let count = input.count() / output.count().max(1);
    let multiplier = Multiplier::new(f64::from(input_scale) / f64::from(output_scale))
        .and_then(|ratio| match site.operator.opcode {
            Opcode::SUM => Some(ratio),
            _ => ratio.divided(count),
        })
        .ok_or_else(|| ratio_out_of_range(site))?;
    let params = Mean {
        dtype: dtype(input),
        input_zero_point,
        output_zero_point,
        multiplier: multiplier.multiplier,
        shift: multiplier.shift,
        reduced: axes
            .iter()
            .fold(0, |bits, axis| bits | 1 << (axis + leading)),
        in_shape: six(&input.shape)?,
    };
    let sizes = mean::sizes(&params);
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
        scratch(&sizes, 2),
    ];
    record(site, opcode::MEAN, &params, sizes, operands, 0)
}
