//! PAD and PADV2.

use apu_kernels::pad;
use apu_proto::program::{OP_RANK, Pad, opcode};

use super::{Operand, Record, quantisation, record, six, size};
use crate::{
    constants,
    constraints::{LIMITS, Refusal, Site},
};

pub(super) fn pad(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let paddings = constants::integers(site.need_input(1)?)
        .ok_or_else(|| LIMITS.refuse("paddings without data"))?;
    let params = Pad {
        element_size: input.element.dtype().map_or(0, |dtype| dtype.size() as u32),
        reserved: 0,
        value: value(site)?,
        in_shape: six(&input.shape)?,
        before: sides(&paddings, 0)?,
        after: sides(&paddings, 1)?,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ];
    record(site, opcode::PAD, &params, pad::sizes(&params), operands, 0)
}

/// Column `side` of the paddings, aligned to the innermost dimension.
fn sides(paddings: &[i64], side: usize) -> Result<[u32; OP_RANK], Refusal> {
    let mut sides = [0; OP_RANK];
    for (slot, pair) in sides
        .iter_mut()
        .rev()
        .zip(paddings.as_chunks::<2>().0.iter().rev())
    {
        *slot = size("padding", pair[side])?;
    }
    Ok(sides)
}

/// The element that fills the edges: PADV2's own, else the zero point, or zero.
fn value(site: &Site) -> Result<[u8; 8], Refusal> {
    let mut value = [0; 8];
    if let Some(data) = site.input(2).and_then(|tensor| tensor.elements()) {
        let count = data.len().min(value.len());
        value[..count].copy_from_slice(&data[..count]);
    } else if site.need_output()?.element.range().is_some() {
        // Its low bytes are the stored form of any quantised type.
        let zero_point = quantisation(site.need_output()?)?.1;
        value[..4].copy_from_slice(&zero_point.to_le_bytes());
    }
    Ok(value)
}
