//! ADD with broadcasting.

use apu_kernels::add;
use apu_proto::program::{self, Add, OP_RANK};

use super::{Operand, Record, dtype, quantisation, ratio_out_of_range, record, six};
use crate::{
    constraints::{LIMITS, Refusal, Site},
    graph::Tensor,
    requantise::{self, AddScales},
};

pub(super) fn add(site: &Site) -> Result<Record, Refusal> {
    let (a, b, output) = (
        site.need_input(0)?,
        site.need_input(1)?,
        site.need_output()?,
    );
    let (a_scale, a_zero_point) = quantisation(a)?;
    let (b_scale, b_zero_point) = quantisation(b)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let scales =
        AddScales::new(a_scale, b_scale, output_scale).ok_or_else(|| ratio_out_of_range(site))?;
    let (clamp_min, clamp_max) = requantise::activation_range(
        site.activation(),
        output.element,
        output_scale,
        output_zero_point,
    )
    .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {output_scale}")))?;
    let params = Add {
        dtype: dtype(output),
        a_zero_point,
        b_zero_point,
        output_zero_point,
        left_shift: scales.left_shift,
        a_multiplier: scales.a.multiplier,
        a_shift: scales.a.shift,
        b_multiplier: scales.b.multiplier,
        b_shift: scales.b.shift,
        output_multiplier: scales.output.multiplier,
        output_shift: scales.output.shift,
        clamp_min,
        clamp_max,
        shape: six(&output.shape)?,
        a_stride: strides(a)?,
        b_stride: strides(b)?,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Read(site.input_id(1)?),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        program::opcode::ADD,
        &params,
        add::sizes(&params),
        operands,
        0,
    )
}

/// Elements between neighbours along each dimension of the output; 0 along those where the input
/// has one.
fn strides(tensor: &Tensor) -> Result<[u32; OP_RANK], Refusal> {
    let shape: [u32; OP_RANK] = six(&tensor.shape)?;
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
