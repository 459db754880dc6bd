//! BATCH_MATMUL of two tensors that are computed.

use apu_kernels::{batch_matmul, cast};
use apu_proto::program::{BatchMatmul, Cast, opcode};

use super::{
    Operand, Record, dtype, quantisation, ratio_out_of_range, record, rounding, size,
    strided::{Side, Transfer, Walk, copy},
    xnnpack,
};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Options, Tensor},
    requantise::{self, Multiplier},
};

pub(super) fn batch_matmul(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (adj_x, adj_y) = match site.operator.options {
        Options::BatchMatmul { adj_x, adj_y } => (adj_x, adj_y),
        _ => (false, false),
    };
    let mut records = Vec::new();
    // The kernel reads rows of both factors; the second one's rows are the product's columns.
    let a = factor(site, 0, adj_x, &mut records)?;
    let mut b = factor(site, 1, !adj_y, &mut records)?;
    if site.need_input(1)?.element != site.need_input(0)?.element {
        widen(site, &mut b, &mut records)?;
    }
    let params = params(site, &a, &b)?;
    let operands = [a.operand, b.operand, Operand::Write(site.output_id()?)];
    let sizes = batch_matmul::sizes(&params);
    let macs = site.need_output()?.count().saturating_mul(a.depth.into());
    records.push(record(
        site,
        opcode::BATCH_MATMUL,
        &params,
        sizes,
        operands,
        macs,
    )?);
    Ok(records)
}

/// One side of the product, as rows.
struct Factor {
    operand: Operand,
    batch: [u32; 3],
    rows: u32,
    depth: u32,
}

/// Transposes an input first if its rows are stored as columns.
fn factor(
    site: &Site,
    index: usize,
    transposed: bool,
    records: &mut Vec<Record>,
) -> Result<Factor, Refusal> {
    let tensor = site.need_input(index)?;
    let refuse = || ARGUMENTS.refuse(format!("a factor of shape {:?}", tensor.shape));
    let (outer, &[rows, depth]) = tensor.shape.split_last_chunk().ok_or_else(refuse)?;
    let mut batch = [1; 3];
    let missing = batch.len().checked_sub(outer.len()).ok_or_else(refuse)?;
    batch[missing..].copy_from_slice(outer);
    if !transposed {
        let operand = Operand::Read(site.input_id(index)?);
        return Ok(Factor {
            operand,
            batch,
            rows,
            depth,
        });
    }
    let count: u32 = size(
        "matrices",
        tensor.count() / u64::from(rows) / u64::from(depth),
    )?;
    let shape = vec![count, depth, rows];
    let one = i64::from(rows) * i64::from(depth);
    let moved = Transfer {
        input: Walk {
            start: 0,
            stride: vec![one, 1, depth.into()],
        },
        output: Walk::whole(&shape),
        shape,
    };
    let temporary = || Operand::Temporary {
        index,
        size: tensor.bytes(),
    };
    let to = Side {
        operand: temporary(),
        count: tensor.count(),
    };
    records.push(copy(site, tensor, Side::input(site, index)?, to, moved)?);
    Ok(Factor {
        operand: temporary(),
        batch,
        rows: depth,
        depth: rows,
    })
}

/// Makes the second factor one of int16, beside such a first one.
fn widen(site: &Site, b: &mut Factor, records: &mut Vec<Record>) -> Result<(), Refusal> {
    let (tensor, wide) = (site.need_input(1)?, site.need_input(0)?);
    let temporary = || Operand::Temporary {
        index: 2,
        size: 2 * tensor.bytes(),
    };
    let params = Cast {
        input_dtype: dtype(tensor),
        output_dtype: dtype(wide),
        count: size("elements", tensor.count())?,
    };
    let from = std::mem::replace(&mut b.operand, temporary());
    let sizes = cast::sizes(&params);
    let operands = [from, temporary()];
    records.push(record(site, opcode::CAST, &params, sizes, operands, 0)?);
    Ok(())
}

fn params(site: &Site, a: &Factor, b: &Factor) -> Result<BatchMatmul, Refusal> {
    let output = site.need_output()?;
    let refuse = || {
        let shapes: Vec<&[u32]> = site.activations().map(|t| t.shape.as_slice()).collect();
        ARGUMENTS.refuse(format!("shapes {shapes:?}"))
    };
    let mut batch = [1; 3];
    let [mut a_broadcast, mut b_broadcast] = [0u32; 2];
    for (dim, size) in batch.iter_mut().enumerate() {
        *size = match (a.batch[dim], b.batch[dim]) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(refuse()),
        };
        a_broadcast |= u32::from(a.batch[dim] != *size) << dim;
        b_broadcast |= u32::from(b.batch[dim] != *size) << dim;
    }
    let [x, y, z] = batch;
    if a.depth != b.depth || !same_shape(output, &[x, y, z, a.rows, b.rows]) {
        return Err(refuse());
    }
    let (a_scale, a_zero_point) = quantisation(site.need_input(0)?)?;
    let (b_scale, b_zero_point) = quantisation(site.need_input(1)?)?;
    let (output_scale, output_zero_point) = quantisation(output)?;
    let factor = match xnnpack::takes(site) {
        true => xnnpack::factor(a_scale, b_scale, output_scale),
        false => {
            let ratio = requantise::product_ratio(a_scale, b_scale, output_scale);
            Multiplier::new(ratio).map(Multiplier::words)
        }
    };
    let [multiplier, shift] = factor.ok_or_else(|| ratio_out_of_range(site))?;
    Ok(BatchMatmul {
        batch,
        a_broadcast,
        b_broadcast,
        rows: a.rows,
        columns: b.rows,
        depth: a.depth,
        a_zero_point,
        b_zero_point,
        output_zero_point,
        multiplier,
        shift,
        dtype: dtype(output),
        rounding: rounding(site),
    })
}

/// Whether a shape is this one, but for leading ones.
fn same_shape(tensor: &Tensor, shape: &[u32]) -> bool {
    shape
        .split_at_checked(shape.len().wrapping_sub(tensor.shape.len()))
        .is_some_and(|(leading, rest)| {
            leading.iter().all(|&size| size == 1) && rest == tensor.shape
        })
}
