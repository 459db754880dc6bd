//! Functions of two inputs with broadcasting.

use apu_kernels::elementwise;
use apu_proto::program::{Elementwise, Function, OP_RANK, Rounding, opcode};

use super::{
    Operand, Record, dtype, quantisation, ratio_out_of_range, record, scale, six, sixteens, xnnpack,
};
use crate::{
    Numerics,
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode, Tensor},
    requantise::{self, BinaryScales},
};

pub(super) fn binary(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (a, b) = (site.need_input(0)?, site.need_input(1)?);
    let plain = plain(
        site,
        function(site.operator.opcode),
        [strides(&a.shape)?, strides(&b.shape)?],
    )?;
    let params = match a.element.range() {
        Some(range) => quantised(site, plain, range)?,
        None => unscaled(site, plain)?,
    };
    if sums_in_blocks(site) {
        return sum_in_blocks(site, &params);
    }
    let mut records = Vec::new();
    let operands = [
        in_output_steps(site, 0, &mut records)?,
        in_output_steps(site, 1, &mut records)?,
    ];
    records.push(elementwise(site, &params, operands)?);
    Ok(records)
}

/// Whether LiteRT's optimised kernel adds two tensors of int16 with shifts of its own.
fn sums_in_blocks(site: &Site) -> bool {
    let is_one_shape = || match (site.input(0), site.input(1)) {
        (Some(a), Some(b)) => a.shape == b.shape,
        _ => false,
    };
    site.numerics == Numerics::Xnnpack
        && site.operator.opcode == Opcode::ADD
        && site.activations_in().all(|it| it.element == Element::INT16)
        && site.shifts().is_none()
        && is_one_shape()
}

/// In whole blocks each input is shifted once, to the left, before it is multiplied, in place of there and, with
/// rounding, back.
fn sum_in_blocks(site: &Site, params: &Elementwise) -> Result<Vec<Record>, Refusal> {
    let once = |shift: i32| {
        let shift = shift + params.left_shift as i32;
        let is_left = u32::try_from(shift).is_ok();
        is_left
            .then_some(shift)
            .ok_or_else(|| ratio_out_of_range(site))
    };
    let in_blocks = Elementwise {
        left_shift: 0,
        a_shift: once(params.a_shift)?,
        b_shift: once(params.b_shift)?,
        ..*params
    };
    let inputs = [site.input_id(0)?, site.input_id(1)?].map(Operand::Read);
    let sum = |params: &Elementwise, to: Operand| {
        let [a, b] = inputs.clone();
        let sizes = elementwise::sizes(params);
        record(site, opcode::ELEMENTWISE, params, sizes, [a, b, to], 0)
    };
    sixteens::blocks_and_rest(site, |to| sum(&in_blocks, to), |to| sum(params, to))
}

/// An input as it is, or shifted to the steps of the output.
fn in_output_steps(
    site: &Site,
    index: usize,
    records: &mut Vec<Record>,
) -> Result<Operand, Refusal> {
    let shift = site.shifts().map_or(0, |shifts| shifts[index]);
    let from = Operand::Read(site.input_id(index)?);
    if shift == 0 {
        return Ok(from);
    }
    let size = site.need_input(index)?.bytes();
    let to = || Operand::Temporary { index, size };
    records.push(scale::shift(
        site,
        site.need_input(index)?,
        shift,
        [from, to()],
    )?);
    Ok(to())
}

/// NEG as a product with −1, which is exact for floats too, and SQUARE as one with itself.
pub(super) fn product(site: &Site) -> Result<Record, Refusal> {
    let a = site.need_input(0)?;
    let (b, b_stride) = match site.operator.opcode {
        Opcode::SQUARE => (Operand::Read(site.input_id(0)?), strides(&a.shape)?),
        _ => (Operand::Packed(minus_one(a.element)), [0; OP_RANK]),
    };
    let plain = plain(site, Function::MUL, [strides(&a.shape)?, b_stride])?;
    let a = Operand::Read(site.input_id(0)?);
    elementwise(site, &unscaled(site, plain)?, [a, b])
}

/// ADD_N: one input after the other is added to the first.
pub(super) fn sum(site: &Site) -> Result<Vec<Record>, Refusal> {
    let tensor = site.need_output()?;
    let params = unscaled(
        site,
        plain(site, Function::ADD, [strides(&tensor.shape)?; 2])?,
    )?;
    let last = site.operator.inputs.len().saturating_sub(1);
    let mut so_far = Operand::Read(site.input_id(0)?);
    let mut records = Vec::with_capacity(last);
    for index in 1..=last {
        let to = if index == last {
            Operand::Write(site.output_id()?)
        } else {
            Operand::Temporary {
                index: index % 2,
                size: tensor.bytes(),
            }
        };
        let operands = [so_far, Operand::Read(site.input_id(index)?), to.clone()];
        let sizes = elementwise::sizes(&params);
        records.push(record(
            site,
            opcode::ELEMENTWISE,
            &params,
            sizes,
            operands,
            0,
        )?);
        so_far = to;
    }
    Ok(records)
}

/// RELU and its kin on float32: the larger of a number and itself, clamped.
pub(super) fn clamped(site: &Site) -> Result<Record, Refusal> {
    let strides = strides(&site.need_input(0)?.shape)?;
    let bits = |bound: f32| bound.to_bits() as i32;
    let (least, largest) = match site.operator.opcode {
        Opcode::RELU => (0.0, f32::INFINITY),
        Opcode::RELU6 => (0.0, 6.0),
        Opcode::RELU_0_TO_1 => (0.0, 1.0),
        _ => (-1.0, 1.0),
    };
    let params = Elementwise {
        clamp_min: bits(least),
        clamp_max: bits(largest),
        ..plain(site, Function::MAXIMUM, [strides; 2])?
    };
    let input = Operand::Read(site.input_id(0)?);
    elementwise(site, &params, [input.clone(), input])
}

fn minus_one(element: Element) -> Vec<u8> {
    match element {
        Element::FLOAT32 => (-1f32).to_le_bytes().into(),
        Element::INT64 => (-1i64).to_le_bytes().into(),
        _ => (-1i32).to_le_bytes().into(),
    }
}

fn elementwise(site: &Site, params: &Elementwise, [a, b]: [Operand; 2]) -> Result<Record, Refusal> {
    let operands = [a, b, Operand::Write(site.output_id()?)];
    let sizes = elementwise::sizes(params);
    record(site, opcode::ELEMENTWISE, params, sizes, operands, 0)
}

/// A function without scales or bounds.
fn plain(site: &Site, function: u32, strides: [[u32; OP_RANK]; 2]) -> Result<Elementwise, Refusal> {
    let [a_stride, b_stride] = strides;
    Ok(Elementwise {
        function,
        dtype: dtype_of(site.need_input(0)?),
        a_zero_point: 0,
        b_zero_point: 0,
        output_zero_point: 0,
        left_shift: 0,
        a_multiplier: 0,
        a_shift: 0,
        b_multiplier: 0,
        b_shift: 0,
        output_multiplier: 0,
        output_shift: 0,
        clamp_min: 0,
        clamp_max: 0,
        shape: six(&site.need_output()?.shape)?,
        a_stride,
        b_stride,
        rounding: Rounding::AWAY,
    })
}

fn function(opcode: Opcode) -> u32 {
    match opcode {
        Opcode::SUB => Function::SUB,
        Opcode::MUL => Function::MUL,
        Opcode::DIV => Function::DIV,
        // On bytes that are 0 or 1.
        Opcode::MINIMUM | Opcode::LOGICAL_AND => Function::MINIMUM,
        Opcode::MAXIMUM | Opcode::LOGICAL_OR => Function::MAXIMUM,
        Opcode::SQUARED_DIFFERENCE => Function::SQUARED_DIFFERENCE,
        Opcode::PRELU => Function::PRELU,
        Opcode::EQUAL => Function::EQUAL,
        Opcode::NOT_EQUAL => Function::NOT_EQUAL,
        Opcode::LESS => Function::LESS,
        Opcode::LESS_EQUAL => Function::LESS_EQUAL,
        Opcode::GREATER => Function::GREATER,
        Opcode::GREATER_EQUAL => Function::GREATER_EQUAL,
        Opcode::FLOOR_DIV => Function::FLOOR_DIV,
        Opcode::FLOOR_MOD => Function::FLOOR_MOD,
        _ => Function::ADD,
    }
}

/// Bools are stored as bytes.
fn dtype_of(tensor: &Tensor) -> u32 {
    match tensor.element {
        Element::BOOL => apu_proto::program::DType::UInt8 as u32,
        _ => dtype(tensor),
    }
}

/// Zero points, multipliers and bounds of the quantised types.
fn quantised(site: &Site, plain: Elementwise, range: (i32, i32)) -> Result<Elementwise, Refusal> {
    let (a, b, output) = (
        site.need_input(0)?,
        site.need_input(1)?,
        site.need_output()?,
    );
    let mut params = Elementwise {
        clamp_min: range.0,
        clamp_max: range.1,
        ..plain
    };
    if matches!(plain.function, Function::MINIMUM | Function::MAXIMUM) {
        return Ok(params);
    }
    // TFLite takes int16 as it is stored where it asks which is larger, but not where it asks what is equal.
    if a.element == Element::INT16 && is_ordering(plain.function) {
        return as_stored(params);
    }
    let (a_scale, a_zero_point) = quantisation(a)?;
    let (b_scale, b_zero_point) = quantisation(b)?;
    let (output_scale, output_zero_point) = match output.element {
        Element::BOOL => (1.0, 0),
        _ => quantisation(output)?,
    };
    params.a_zero_point = a_zero_point;
    params.b_zero_point = b_zero_point;
    params.output_zero_point = output_zero_point;
    if output.element != Element::BOOL {
        (params.clamp_min, params.clamp_max) = requantise::activation_range(
            site.activation(),
            output.element,
            output_scale,
            output_zero_point,
        )
        .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {output_scale}")))?;
    }
    if xnnpack::takes(site) {
        return Ok(even(params, [a_scale, b_scale, output_scale]));
    }
    let wide = a.element == Element::INT16;
    let (a_scale, b_scale) = match site.shifts() {
        Some(_) => (output_scale, output_scale),
        None => (a_scale, b_scale),
    };
    let scales = match plain.function {
        Function::MUL => BinaryScales::product(a_scale, b_scale, output_scale),
        Function::DIV => BinaryScales::quotient(a_scale, b_scale, output_scale),
        Function::PRELU => BinaryScales::prelu(a_scale, b_scale, output_scale),
        Function::SQUARED_DIFFERENCE => {
            BinaryScales::squared_difference(a_scale, b_scale, output_scale)
        }
        Function::ADD | Function::SUB => BinaryScales::sum(a_scale, b_scale, output_scale, wide),
        _ => BinaryScales::comparison(a_scale, b_scale),
    };
    let scales = scales.ok_or_else(|| ratio_out_of_range(site))?;
    params.left_shift = scales.left_shift;
    [params.a_multiplier, params.a_shift] = scales.a.words();
    [params.b_multiplier, params.b_shift] = scales.b.words();
    [params.output_multiplier, params.output_shift] = scales.output.words();
    Ok(params)
}

fn is_ordering(function: u32) -> bool {
    matches!(
        function,
        Function::LESS | Function::LESS_EQUAL | Function::GREATER | Function::GREATER_EQUAL
    )
}

/// A comparison of stored values.
fn as_stored(params: Elementwise) -> Result<Elementwise, Refusal> {
    let scales = BinaryScales::comparison(1.0, 1.0);
    let scales = scales.ok_or_else(|| LIMITS.refuse("a comparison"))?;
    let ([a_multiplier, a_shift], [b_multiplier, b_shift]) = (scales.a.words(), scales.b.words());
    let [output_multiplier, output_shift] = scales.output.words();
    Ok(Elementwise {
        left_shift: scales.left_shift,
        a_multiplier,
        a_shift,
        b_multiplier,
        b_shift,
        output_multiplier,
        output_shift,
        ..params
    })
}

/// ADD, SUB and MUL as XNNPACK computes them: SUB is a sum with a negative factor.
fn even(plain: Elementwise, [a, b, output]: [f32; 3]) -> Elementwise {
    let params = Elementwise {
        rounding: Rounding::EVEN,
        ..plain
    };
    if plain.function == Function::MUL {
        return Elementwise {
            output_multiplier: (a * b / output).to_bits() as i32,
            ..params
        };
    }
    let ([a, b], shift) = xnnpack::sum_factors(a, b, output);
    Elementwise {
        function: Function::ADD,
        a_multiplier: a,
        b_multiplier: if plain.function == Function::SUB {
            -b
        } else {
            b
        },
        output_shift: -(shift as i32),
        ..params
    }
}

/// Bounds of the types without scales.
fn unscaled(site: &Site, plain: Elementwise) -> Result<Elementwise, Refusal> {
    if site.need_input(0)?.element == Element::BOOL {
        return as_stored(Elementwise {
            clamp_max: 255,
            ..plain
        });
    }
    let (clamp_min, clamp_max) = plain_bounds(site)?;
    Ok(Elementwise {
        clamp_min,
        clamp_max,
        ..plain
    })
}

/// What the fused activation clamps numbers without scales to, the bits of it for float32.
pub(super) fn plain_bounds(site: &Site) -> Result<(i32, i32), Refusal> {
    let activation = site.activation();
    let (least, largest) = activation
        .interval()
        .ok_or_else(|| LIMITS.refuse(activation.name()))?;
    if site.need_input(0)?.element == Element::FLOAT32 {
        let bits = |bound: f32| bound.to_bits() as i32;
        return Ok((
            bits(least.unwrap_or(f32::NEG_INFINITY)),
            bits(largest.unwrap_or(f32::INFINITY)),
        ));
    }
    Ok((
        least.map_or(i32::MIN, |bound| bound as i32),
        largest.map_or(i32::MAX, |bound| bound as i32),
    ))
}

/// Elements between neighbours along each dimension of the output; 0 along those where the input
/// has one.
pub(super) fn strides(shape: &[u32]) -> Result<[u32; OP_RANK], Refusal> {
    let shape: [u32; OP_RANK] = six(shape)?;
    let mut strides = [0; OP_RANK];
    let mut step = 1u32;
    for (stride, size) in strides.iter_mut().zip(shape).rev() {
        if size > 1 {
            *stride = step;
        }
        step = step
            .checked_mul(size)
            .ok_or_else(|| LIMITS.refuse(format!("shape {shape:?}")))?;
    }
    Ok(strides)
}
