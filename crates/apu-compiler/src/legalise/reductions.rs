//! REDUCE_MAX, REDUCE_MIN, SUM of plain numbers, ARG_MAX and ARG_MIN.

use apu_kernels::{arg_max, reduce};
use apu_proto::program::{ArgMax, DType, OP_RANK, Reduce, Reduction, opcode};

use super::{
    Record, dtype, ends,
    moves::{argument, dimension},
    record, six, size,
};
use crate::{
    constants,
    constraints::{ARGUMENTS, LIMITS, Refusal, Site},
    graph::{Element, Opcode, Tensor},
};

pub(super) fn reduce(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let axes = constants::axes(site.need_input(1)?, input.shape.len())
        .ok_or_else(|| LIMITS.refuse("unknown axes"))?;
    let leading = OP_RANK.saturating_sub(input.shape.len());
    let params = Reduce {
        function: match site.operator.opcode {
            Opcode::REDUCE_MAX => Reduction::MAX,
            Opcode::REDUCE_MIN => Reduction::MIN,
            _ => Reduction::SUM,
        },
        dtype: dtype(input),
        reduced: axes
            .iter()
            .fold(0, |bits, axis| bits | 1 << (axis + leading)),
        in_shape: six(&input.shape)?,
    };
    let sizes = reduce::sizes(&params);
    record(site, opcode::REDUCE, &params, sizes, ends(site)?, 0)
}

pub(super) fn arg_max(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let &[axis] = argument(site, 1)?.as_slice() else {
        return Err(ARGUMENTS.refuse("more than one axis"));
    };
    let axis = dimension(axis, input.shape.len())?;
    let (outer, inner) = (&input.shape[..axis], &input.shape[axis + 1..]);
    super::moves::expect(output, &[outer, inner].concat())?;
    let product = |sizes: &[u32]| sizes.iter().map(|&n| u64::from(n)).product::<u64>();
    let params = ArgMax {
        dtype: stored(input),
        output_dtype: dtype(output),
        least: u32::from(site.operator.opcode == Opcode::ARG_MIN),
        outer: size("elements", product(outer))?,
        size: input.shape[axis],
        inner: size("elements", product(inner))?,
    };
    let sizes = arg_max::sizes(&params);
    record(site, opcode::ARG_MAX, &params, sizes, ends(site)?, 0)
}

/// Bools are compared as bytes.
fn stored(tensor: &Tensor) -> u32 {
    match tensor.element {
        Element::BOOL => DType::UInt8 as u32,
        _ => dtype(tensor),
    }
}
