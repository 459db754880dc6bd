//! Operators over whole dimensions: SOFTMAX, LOG_SOFTMAX, MEAN and SUM.

use apu_kernels::{float_softmax, log_softmax, mean, softmax, table_softmax};
use apu_proto::program::{
    Exponentials, FloatSoftmax, LogSoftmax, Mean, OP_RANK, Rounding, Softmax, TableSoftmax, opcode,
};

use super::{
    Operand, Record, dtype, ends, quantisation, ratio_out_of_range, record, scratch, six, size,
    wide_functions, xnnpack,
};
use crate::{
    Numerics, constants,
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode, Options},
    requantise::{Multiplier, SoftmaxScale},
};

pub(super) fn softmax(site: &Site) -> Result<Record, Refusal> {
    let Options::Softmax { beta } = site.operator.options else {
        return Err(LIMITS.refuse("no beta"));
    };
    if is_by_table(site)? {
        return by_table(site, beta);
    }
    let wide = site.need_output()?.element == Element::INT16;
    let params = Softmax {
        exponentials: exponentials(site, beta)?,
        wide: wide.into(),
    };
    let sizes = softmax::sizes(&params);
    record(site, opcode::SOFTMAX, &params, sizes, ends(site)?, 0)
}

/// Whether LiteRT's kernel takes exponentials from a table: that for int16, and the optimised ones.
fn is_by_table(site: &Site) -> Result<bool, Refusal> {
    let wide = site.need_input(0)?.element == Element::INT16;
    Ok(wide || site.numerics == Numerics::Xnnpack)
}

fn by_table(site: &Site, beta: f32) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let ([input_scale, output_scale], wide) = (
        [quantisation(input)?.0, quantisation(output)?.0],
        input.element == Element::INT16,
    );
    let distance = f64::from(input_scale) * f64::from(beta) / (10.0 / 65535.0);
    let [multiplier, shift] = match wide {
        true => Multiplier::new(distance)
            .ok_or_else(|| ratio_out_of_range(site))?
            .words(),
        false => [0, 0],
    };
    let columns = input.shape.last().copied().unwrap_or(1);
    let params = TableSoftmax {
        dtype: dtype(input),
        logarithm: u32::from(site.operator.opcode == Opcode::LOG_SOFTMAX),
        rows: size("rows", input.count() / u64::from(columns.max(1)))?,
        columns,
        multiplier,
        shift,
        output_scale: output_scale.to_bits(),
        input_scale: input_scale.to_bits(),
    };
    let table = match wide {
        true => wide_functions::softmax_tables(),
        false => wide_functions::exponentials(input_scale, beta),
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Packed(table),
        Operand::Write(site.output_id()?),
    ];
    let sizes = table_softmax::sizes(&params);
    record(site, opcode::TABLE_SOFTMAX, &params, sizes, operands, 0)
}

/// SOFTMAX and LOG_SOFTMAX of float32.
pub(super) fn float_softmax(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let columns = input.shape.last().copied().unwrap_or(1);
    let (logarithm, beta) = match site.operator.options {
        Options::Softmax { beta } => (0, beta),
        _ => (1, 1.0),
    };
    let params = FloatSoftmax {
        logarithm,
        rows: size("rows", input.count() / u64::from(columns.max(1)))?,
        columns,
        beta: beta.to_bits(),
    };
    let sizes = float_softmax::sizes(&params);
    record(site, opcode::FLOAT_SOFTMAX, &params, sizes, ends(site)?, 0)
}

pub(super) fn log_softmax(site: &Site) -> Result<Record, Refusal> {
    if is_by_table(site)? {
        return by_table(site, 1.0);
    }
    let exponentials = exponentials(site, 1.0)?;
    let steps = f64::from(1u32 << (31 - exponentials.input_left_shift));
    let reverse = Multiplier::new(steps / f64::from(exponentials.input_multiplier))
        .filter(|reverse| reverse.shift <= 0)
        .ok_or_else(|| ratio_out_of_range(site))?;
    let params = LogSoftmax {
        exponentials,
        reverse_multiplier: reverse.multiplier,
        reverse_shift: reverse.shift,
    };
    let sizes = log_softmax::sizes(&params);
    record(site, opcode::LOG_SOFTMAX, &params, sizes, ends(site)?, 0)
}

/// What scales the differences in a row for their exponentials.
fn exponentials(site: &Site, beta: f32) -> Result<Exponentials, Refusal> {
    let input = site.need_input(0)?;
    let step = quantisation(input)?.0;
    let scale = SoftmaxScale::new(beta, step)
        .ok_or_else(|| LIMITS.refuse(format!("beta {beta} with an input scale of {step}")))?;
    let columns = input.shape.last().copied().unwrap_or(1);
    Ok(Exponentials {
        dtype: dtype(input),
        rows: size("rows", input.count() / u64::from(columns.max(1)))?,
        columns,
        input_multiplier: scale.multiplier,
        input_left_shift: scale.left_shift,
        diff_min: scale.diff_min,
    })
}

pub(super) fn mean(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (input_scale, input_zero_point) = quantisation(input)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let axes = constants::axes(site.need_input(1)?, input.shape.len())
        .ok_or_else(|| LIMITS.refuse("unknown axes"))?;
    let leading = OP_RANK.saturating_sub(input.shape.len());
    let count = input.count() / output.count().max(1);
    let ratio = || Multiplier::new(f64::from(input_scale) / f64::from(output_scale));
    // LiteRT's plain kernel takes signed types for uint8, so their sums are those of the optimised one.
    let (rounding, factor) = match (site.operator.opcode, input.element) {
        _ if xnnpack::takes(site) => {
            let share = match site.operator.opcode {
                Opcode::SUM => 1.0,
                _ => 1.0 / count as f32,
            };
            let scale = input_scale / output_scale * share;
            let zeros = (count as i32).wrapping_mul(input_zero_point) as f32;
            let bias = output_zero_point as f32 - zeros * scale;
            let words = [scale, bias].map(|real| real.to_bits() as i32);
            (Rounding::EVEN, Some(words))
        }
        (Opcode::SUM, Element::INT8 | Element::INT16) => {
            let scale = input_scale / output_scale;
            let bias = -input_zero_point as f32 * scale * count as f32;
            let words = [scale, bias].map(|real| real.to_bits() as i32);
            (Rounding::FLOAT, Some(words))
        }
        (Opcode::SUM, _) => (Rounding::AWAY, ratio().map(Multiplier::words)),
        _ => {
            let divided = ratio().and_then(|ratio| ratio.divided(count));
            (Rounding::AWAY, divided.map(Multiplier::words))
        }
    };
    let [multiplier, shift] = factor.ok_or_else(|| ratio_out_of_range(site))?;
    let params = Mean {
        dtype: dtype(input),
        input_zero_point,
        output_zero_point: match rounding {
            // It is in the bias already.
            Rounding::EVEN => 0,
            _ => output_zero_point,
        },
        multiplier,
        shift,
        reduced: axes
            .iter()
            .fold(0, |bits, axis| bits | 1 << (axis + leading)),
        in_shape: six(&input.shape)?,
        rounding,
    };
    let sizes = mean::sizes(&params);
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
        scratch(&sizes, 2),
    ];
    record(site, opcode::MEAN, &params, sizes, operands, 0)
}
