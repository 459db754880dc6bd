//! AVERAGE_POOL_2D and MAX_POOL_2D.

use apu_kernels::pool_2d;
use apu_proto::program::{Pool2d, opcode};

use super::{Operand, Record, dtype, elementwise::plain_bounds, quantisation, record};
use crate::{
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode},
    requantise, window,
};

pub(super) fn pool_2d(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let (clamp_min, clamp_max) = match output.element {
        Element::FLOAT32 => plain_bounds(site)?,
        _ => {
            let (scale, zero_point) = quantisation(output)?;
            requantise::activation_range(site.activation(), output.element, scale, zero_point)
                .ok_or_else(|| LIMITS.refuse(format!("an activation bound in steps of {scale}")))?
        }
    };
    let params = Pool2d {
        window: window::record(site, input, output)?,
        dtype: dtype(input),
        clamp_min,
        clamp_max,
    };
    let opcode = if site.operator.opcode == Opcode::MAX_POOL_2D {
        opcode::MAX_POOL_2D
    } else {
        opcode::AVERAGE_POOL_2D
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    record(site, opcode, &params, pool_2d::sizes(&params), operands, 0)
}
