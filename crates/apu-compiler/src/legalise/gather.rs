//! Slices picked by index: GATHER, GATHER_ND, and RESIZE_NEAREST_NEIGHBOR, whose indices are known.

use apu_kernels::{cast, gather};
use apu_proto::program::{Cast, DType, Gather, OP_RANK, opcode};

use super::{
    Operand, Record,
    moves::{argument, dimension, expect},
    record, resize, size,
};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Element, Opcode, Options, Tensor},
};

pub(super) fn gather(site: &Site) -> Result<Vec<Record>, Refusal> {
    match site.operator.opcode {
        Opcode::GATHER => along_axis(site),
        Opcode::GATHER_ND => by_tuples(site),
        _ => Ok(vec![nearest(site)?]),
    }
}

/// Indices that a record takes, with their type, and what makes such of those that it doesn't.
struct Indices {
    dtype: u32,
    operand: Operand,
    records: Vec<Record>,
}

impl Indices {
    fn of(site: &Site) -> Result<Self, Refusal> {
        let (indices, operand) = (site.need_input(1)?, Operand::Read(site.input_id(1)?));
        if indices.element != Element::INT16 {
            return Ok(Self {
                dtype: super::dtype(indices),
                operand,
                records: Vec::new(),
            });
        }
        let params = Cast {
            input_dtype: super::dtype(indices),
            output_dtype: DType::Int32 as u32,
            count: size("indices", indices.count())?,
        };
        let wide = Operand::Temporary {
            index: 0,
            size: u64::from(params.count) * DType::Int32.size() as u64,
        };
        let (sizes, operands) = (cast::sizes(&params), [operand, wide.clone()]);
        Ok(Self {
            dtype: DType::Int32 as u32,
            operand: wide,
            records: vec![record(site, opcode::CAST, &params, sizes, operands, 0)?],
        })
    }
}

fn along_axis(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, indices) = (site.need_input(0)?, site.need_input(1)?);
    let (axis, batch_dims) = match site.operator.options {
        Options::Gather { axis, batch_dims } => (axis, batch_dims),
        _ => (0, 0),
    };
    let axis = dimension(axis.into(), input.shape.len())?;
    let batch_dims = match batch_dims {
        0 => 0,
        some => dimension(some.into(), indices.shape.len() + 1)?,
    };
    let (shape, picked) = (&input.shape, &indices.shape);
    if batch_dims > axis || shape[..batch_dims] != picked[..batch_dims.min(picked.len())] {
        return Err(ARGUMENTS.refuse(format!("batches of {picked:?} in {shape:?}")));
    }
    let output = [&shape[..axis], &picked[batch_dims..], &shape[axis + 1..]].concat();
    expect(site.need_output()?, &output)?;
    let mut dims = [1; OP_RANK];
    dims[0] = shape[axis];
    let mut picks = Indices::of(site)?;
    let params = Gather {
        batches: product(&shape[..batch_dims])?,
        outer: product(&shape[batch_dims..axis])?,
        count: product(&picked[batch_dims..])?,
        depth: 1,
        inner: slice_bytes(input, &shape[axis + 1..])?,
        index_dtype: picks.dtype,
        dims,
    };
    picks.records.push(gathered(site, &params, picks.operand)?);
    Ok(picks.records)
}

fn by_tuples(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, indices) = (site.need_input(0)?, site.need_input(1)?);
    let refuse = || ARGUMENTS.refuse(format!("indices {:?} for {:?}", indices.shape, input.shape));
    let (&depth, tuples) = indices.shape.split_last().ok_or_else(refuse)?;
    let depth = depth as usize;
    if depth > input.shape.len() || depth > OP_RANK {
        return Err(refuse());
    }
    let (picked, inner) = input.shape.split_at(depth);
    expect(site.need_output()?, &[tuples, inner].concat())?;
    let mut dims = [1; OP_RANK];
    dims[..depth].copy_from_slice(picked);
    let mut picks = Indices::of(site)?;
    let params = Gather {
        batches: 1,
        outer: 1,
        count: product(tuples)?,
        depth: depth as u32,
        inner: slice_bytes(input, inner)?,
        index_dtype: picks.dtype,
        dims,
    };
    picks.records.push(gathered(site, &params, picks.operand)?);
    Ok(picks.records)
}

fn nearest(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let wanted = argument(site, 1)?;
    let (&[batch, h, w, channels], &[rows, columns]) = (input.shape.as_slice(), wanted.as_slice())
    else {
        return Err(ARGUMENTS.refuse(format!("size {wanted:?}")));
    };
    let [rows, columns] = [size("rows", rows)?, size("columns", columns)?];
    expect(output, &[batch, rows, columns, channels])?;
    // With that, the number of any pixel fits.
    let pixels = product(&[h, w])?;
    let [ys, xs] = [(h, rows), (w, columns)].map(|(input, output)| nearest_of(site, input, output));
    let xs = xs.collect::<Vec<u32>>();
    let indices = ys.flat_map(|y| xs.iter().map(move |x| y * w + x));
    let indices: Vec<u8> = indices.flat_map(u32::to_le_bytes).collect();
    let params = Gather {
        batches: 1,
        outer: batch,
        count: product(&[rows, columns])?,
        depth: 1,
        inner: slice_bytes(input, &[channels])?,
        index_dtype: DType::Int32 as u32,
        dims: [pixels, 1, 1, 1, 1, 1],
    };
    gathered(site, &params, Operand::Packed(indices))
}

/// For each output row or column the nearest input one, as TFLite's `GetNearestNeighbor` has it.
fn nearest_of(site: &Site, input: u32, output: u32) -> impl Iterator<Item = u32> {
    let (align_corners, half_pixel_centers) = resize::corners_and_centers(site);
    let scale = if align_corners && output > 1 {
        (input - 1) as f32 / (output - 1) as f32
    } else {
        input as f32 / output as f32
    };
    let offset = if half_pixel_centers { 0.5 } else { 0.0 };
    (0..output).map(move |at| {
        let place = (at as f32 + offset) * scale;
        let place = if align_corners {
            place.round()
        } else {
            place.floor()
        };
        (place as u32).min(input - 1)
    })
}

fn gathered(site: &Site, params: &Gather, indices: Operand) -> Result<Record, Refusal> {
    let operands = [
        Operand::Read(site.input_id(0)?),
        indices,
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::GATHER,
        params,
        gather::sizes(params),
        operands,
        0,
    )
}

fn product(sizes: &[u32]) -> Result<u32, Refusal> {
    size(
        "elements",
        sizes.iter().map(|&n| u64::from(n)).product::<u64>(),
    )
}

/// Bytes of a slice with these dimensions.
fn slice_bytes(tensor: &Tensor, sizes: &[u32]) -> Result<u32, Refusal> {
    let element = tensor
        .element
        .dtype()
        .map_or(0, |dtype| dtype.size() as u64);
    let count: u64 = sizes.iter().map(|&n| u64::from(n)).product();
    size("bytes", count * element)
}
