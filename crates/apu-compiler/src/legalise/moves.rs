//! Operators that move elements by a fixed rule, as copies of boxes.

use super::{
    Record, blocks, lookup, slices,
    strided::{Side, Transfer, Walk, copy, row_major},
};
use crate::{
    constants,
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Element, Opcode, Options, Tensor},
};

pub(super) fn lower(site: &Site) -> Result<Vec<Record>, Refusal> {
    match site.operator.opcode {
        Opcode::TRANSPOSE => transpose(site).map(one),
        Opcode::CONCATENATION => concatenation(site),
        Opcode::PACK => pack(site),
        Opcode::UNPACK => slices::unpack(site),
        Opcode::SPLIT | Opcode::SPLIT_V => slices::split(site),
        Opcode::SLICE => slices::slice(site).map(one),
        Opcode::STRIDED_SLICE => slices::strided_slice(site).map(one),
        Opcode::REVERSE_V2 => reverse(site).map(one),
        Opcode::TILE => tile(site),
        Opcode::BROADCAST_TO => broadcast(site).map(one),
        Opcode::MIRROR_PAD => blocks::mirror_pad(site),
        Opcode::SPACE_TO_DEPTH | Opcode::DEPTH_TO_SPACE => blocks::depth_and_space(site).map(one),
        Opcode::SPACE_TO_BATCH_ND | Opcode::BATCH_TO_SPACE_ND => blocks::batch_and_space(site),
        Opcode::FILL => fill(site, Side::input(site, 1)?).map(one),
        Opcode::ZEROS_LIKE => fill(site, Side::element(&zero(site.need_output()?))).map(one),
        Opcode::RANK => numbers(site, &[site.need_input(0)?.shape.len() as u32]).map(one),
        _ => numbers(site, &site.need_input(0)?.shape).map(one),
    }
}

/// Most copies that one operator may become.
pub(super) const MAX_COPIES: usize = 1024;

fn one(record: Record) -> Vec<Record> {
    vec![record]
}

/// The integers of argument `index`.
pub(super) fn argument(site: &Site, index: usize) -> Result<Vec<i64>, Refusal> {
    constants::integers(site.need_input(index)?)
        .ok_or_else(|| ARGUMENTS.refuse(format!("argument {index} that is computed")))
}

/// The dimension that an axis names; a negative one counts from the end.
pub(super) fn dimension(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(wrapped)
        .ok()
        .filter(|&dim| dim < rank)
        .ok_or_else(|| ARGUMENTS.refuse(format!("axis {axis} of {rank}")))
}

/// Checks the shape that an output is stored with.
pub(super) fn expect(output: &Tensor, shape: &[u32]) -> Result<(), Refusal> {
    if output.shape == shape {
        return Ok(());
    }
    Err(ARGUMENTS.refuse(format!(
        "an output of shape {:?} in place of {shape:?}",
        output.shape
    )))
}

/// Checks the number of an argument's elements.
pub(super) fn each_dimension(what: &str, values: &[i64], rank: usize) -> Result<(), Refusal> {
    if values.len() == rank {
        return Ok(());
    }
    let got = values.len();
    Err(ARGUMENTS.refuse(format!("{got} elements of {what} for {rank} dimensions")))
}

/// A box of the first input's elements to the first output.
pub(super) fn copy_one(site: &Site, moved: Transfer) -> Result<Record, Refusal> {
    let elements = site.need_input(0)?;
    copy(
        site,
        elements,
        Side::input(site, 0)?,
        Side::output(site, 0)?,
        moved,
    )
}

fn transpose(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let rank = input.shape.len();
    let order = argument(site, 1)?;
    each_dimension("order", &order, rank)?;
    let order: Vec<usize> = order
        .into_iter()
        .map(|axis| dimension(axis, rank))
        .collect::<Result<_, _>>()?;
    let shape: Vec<u32> = order.iter().map(|&dim| input.shape[dim]).collect();
    expect(output, &shape)?;
    let steps = row_major(&input.shape);
    let moved = Transfer {
        input: Walk {
            start: 0,
            stride: order.iter().map(|&dim| steps[dim]).collect(),
        },
        output: Walk::whole(&shape),
        shape,
    };
    copy_one(site, moved)
}

fn concatenation(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Concatenation { axis, activation } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    if activation.0 != 0 {
        return Err(ARGUMENTS.refuse(format!("activation {}", activation.name())));
    }
    let output = site.need_output()?;
    let axis = dimension(axis.into(), output.shape.len())?;
    let mut index = vec![0; output.shape.len()];
    let mut records = Vec::new();
    for number in 0..site.operator.inputs.len() {
        let input = site.need_input(number)?;
        let fits = input.shape.len() == output.shape.len()
            && (0..input.shape.len()).all(|d| d == axis || input.shape[d] == output.shape[d]);
        let rescaled = !same_scale(input, output);
        if !fits || (rescaled && output.element != Element::UINT8) {
            return Err(ARGUMENTS.refuse(format!("{} that doesn't fit", input.label())));
        }
        let moved = Transfer {
            shape: input.shape.clone(),
            input: Walk::whole(&input.shape),
            output: Walk::whole(&output.shape).from(&index),
        };
        let mut from = Side::input(site, number)?;
        if rescaled {
            let (record, to) = lookup::rescaled(site, number)?;
            records.push(record);
            from.operand = to;
        }
        records.push(copy(site, input, from, Side::output(site, 0)?, moved)?);
        index[axis] += i64::from(input.shape[axis]);
    }
    if index[axis] != i64::from(output.shape[axis]) {
        return Err(ARGUMENTS.refuse(format!(
            "{} in place of {}",
            output.shape[axis], index[axis]
        )));
    }
    Ok(records)
}

/// Whether bytes of one mean the same in the other.
fn same_scale(input: &Tensor, output: &Tensor) -> bool {
    output.element.range().is_none() || input.per_tensor() == output.per_tensor()
}

fn pack(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::Stack { axis } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no attributes"));
    };
    let output = site.need_output()?;
    let axis = dimension(axis.into(), output.shape.len())?;
    let count = site.operator.inputs.len();
    let mut records = Vec::new();
    for number in 0..count {
        let input = site.need_input(number)?;
        let mut shape = input.shape.clone();
        if axis > shape.len() {
            return Err(ARGUMENTS.refuse(format!("axis {axis}")));
        }
        shape.insert(axis, count as u32);
        expect(output, &shape)?;
        let mut to = Walk::whole(&shape);
        to.start = to.stride.remove(axis) * number as i64;
        let moved = Transfer {
            shape: input.shape.clone(),
            input: Walk::whole(&input.shape),
            output: to,
        };
        let (from, to) = (Side::input(site, number)?, Side::output(site, 0)?);
        records.push(copy(site, input, from, to, moved)?);
    }
    Ok(records)
}

fn reverse(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    expect(site.need_output()?, &input.shape)?;
    let mut from = Walk::whole(&input.shape);
    for axis in argument(site, 1)? {
        let dim = dimension(axis, input.shape.len())?;
        from.start += from.stride[dim] * (i64::from(input.shape[dim]) - 1);
        from.stride[dim] = -from.stride[dim];
    }
    let moved = Transfer {
        shape: input.shape.clone(),
        input: from,
        output: Walk::whole(&input.shape),
    };
    copy_one(site, moved)
}

/// Each dimension becomes two: which repetition, of stride 0, and where in it.
fn tile(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let multiples = argument(site, 1)?;
    each_dimension("multiples", &multiples, input.shape.len())?;
    let [from, to] = [&input.shape, &output.shape].map(|shape| row_major(shape));
    let mut moved = Transfer {
        shape: Vec::new(),
        input: Walk::whole(&[]),
        output: Walk::whole(&[]),
    };
    for (dim, (&size, &times)) in input.shape.iter().zip(&multiples).enumerate() {
        let whole = i64::from(size).checked_mul(times);
        if whole != output.shape.get(dim).map(|&got| i64::from(got)) {
            return Err(ARGUMENTS.refuse(format!("{times} times {size}")));
        }
        moved.shape.extend([times as u32, size]);
        moved.input.stride.extend([0, from[dim]]);
        moved
            .output
            .stride
            .extend([to[dim] * i64::from(size), to[dim]]);
    }
    let parts = moved.parts(MAX_COPIES).into_iter();
    parts.map(|part| copy_one(site, part)).collect()
}

fn broadcast(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let shape: Option<Vec<u32>> = argument(site, 1)?
        .into_iter()
        .map(|size| u32::try_from(size).ok())
        .collect();
    let shape = shape.ok_or_else(|| ARGUMENTS.refuse("a shape below 0"))?;
    expect(output, &shape)?;
    let missing = shape
        .len()
        .checked_sub(input.shape.len())
        .ok_or_else(|| ARGUMENTS.refuse(format!("shape {shape:?} for {:?}", input.shape)))?;
    let mut from = vec![0; missing];
    for ((&size, step), &wanted) in input
        .shape
        .iter()
        .zip(row_major(&input.shape))
        .zip(&shape[missing..])
    {
        if size != wanted && size != 1 {
            return Err(ARGUMENTS.refuse(format!("shape {shape:?} for {:?}", input.shape)));
        }
        from.push(if size == 1 { 0 } else { step });
    }
    let moved = Transfer {
        input: Walk {
            start: 0,
            stride: from,
        },
        output: Walk::whole(&shape),
        shape,
    };
    copy_one(site, moved)
}

/// The output filled with one element.
fn fill(site: &Site, value: Side) -> Result<Record, Refusal> {
    let output = site.need_output()?;
    if value.count != 1 {
        return Err(ARGUMENTS.refuse(format!("{} elements to fill with", value.count)));
    }
    let moved = Transfer::filled(&output.shape);
    copy(site, output, value, Side::output(site, 0)?, moved)
}

fn zero(tensor: &Tensor) -> Vec<u8> {
    vec![0; tensor.element.dtype().map_or(0, |dtype| dtype.size())]
}

/// Numbers that are known, as elements of the output.
fn numbers(site: &Site, values: &[u32]) -> Result<Record, Refusal> {
    let output = site.need_output()?;
    let bytes = match output.element {
        Element::INT64 => values
            .iter()
            .flat_map(|&v| i64::from(v).to_le_bytes())
            .collect(),
        _ => values
            .iter()
            .flat_map(|&v| v.to_le_bytes())
            .collect::<Vec<u8>>(),
    };
    let from = Side {
        operand: super::Operand::Packed(bytes),
        count: values.len() as u64,
    };
    if output.count() != from.count {
        return Err(ARGUMENTS.refuse(format!("an output of shape {:?}", output.shape)));
    }
    let shape = [values.len() as u32];
    let moved = Transfer {
        shape: shape.into(),
        input: Walk::whole(&shape),
        output: Walk::whole(&shape),
    };
    copy(site, output, from, Side::output(site, 0)?, moved)
}
