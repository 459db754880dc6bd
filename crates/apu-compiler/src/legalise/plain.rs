//! Operators on plain numbers: CAST, SELECT, and functions of float32. And L2_NORMALIZATION, which has
//! no scales to compute either.

use apu_kernels::{cast, float_function, l2_normalization, select};
use apu_proto::program::{Cast, FloatFunction, L2Normalization, OP_RANK, Select, opcode};

use super::{Operand, Record, dtype, ends, quantisation, record, six, size};
use crate::{
    constraints::{Refusal, Site},
    graph::{Opcode, Tensor},
};

pub(super) fn cast(site: &Site) -> Result<Record, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let params = Cast {
        input_dtype: dtype(input),
        output_dtype: dtype(output),
        count: size("elements", input.count())?,
    };
    record(
        site,
        opcode::CAST,
        &params,
        cast::sizes(&params),
        ends(site)?,
        0,
    )
}

pub(super) fn float_function(site: &Site) -> Result<Record, Refusal> {
    let params = FloatFunction {
        function: match site.operator.opcode {
            Opcode::ABS => FloatFunction::ABS,
            Opcode::CEIL => FloatFunction::CEIL,
            Opcode::FLOOR => FloatFunction::FLOOR,
            Opcode::ROUND => FloatFunction::ROUND,
            Opcode::SQRT => FloatFunction::SQRT,
            Opcode::EXP => FloatFunction::EXP,
            Opcode::LOG => FloatFunction::LOG,
            Opcode::LOGISTIC => FloatFunction::LOGISTIC,
            Opcode::TANH => FloatFunction::TANH,
            Opcode::ELU => FloatFunction::ELU,
            _ => FloatFunction::RSQRT,
        },
        count: size("elements", site.need_input(0)?.count())?,
    };
    let sizes = float_function::sizes(&params);
    record(site, opcode::FLOAT_FUNCTION, &params, sizes, ends(site)?, 0)
}

pub(super) fn l2_normalization(site: &Site) -> Result<Record, Refusal> {
    let input = site.need_input(0)?;
    let columns = input.shape.last().copied().unwrap_or(1);
    let params = L2Normalization {
        dtype: dtype(input),
        rows: size("rows", input.count() / u64::from(columns.max(1)))?,
        columns,
        input_zero_point: quantisation(input)?.1,
    };
    let sizes = l2_normalization::sizes(&params);
    record(
        site,
        opcode::L2_NORMALIZATION,
        &params,
        sizes,
        ends(site)?,
        0,
    )
}

pub(super) fn select(site: &Site) -> Result<Record, Refusal> {
    let output = site.need_output()?;
    let shape: [u32; OP_RANK] = six(&output.shape)?;
    let mut broadcast = [0; 3];
    for (index, bits) in broadcast.iter_mut().enumerate() {
        let input: [u32; OP_RANK] = six(&aligned(site, index)?)?;
        let same = input.iter().zip(&shape);
        *bits = same.enumerate().fold(0, |bits, (dim, (size, whole))| {
            bits | u32::from(size != whole) << dim
        });
    }
    let params = Select {
        element_size: output
            .element
            .dtype()
            .map_or(0, |dtype| dtype.size() as u32),
        shape,
        broadcast,
    };
    let operands = [
        Operand::Read(site.input_id(0)?),
        Operand::Read(site.input_id(1)?),
        Operand::Read(site.input_id(2)?),
        Operand::Write(site.output_id()?),
    ];
    record(
        site,
        opcode::SELECT,
        &params,
        select::sizes(&params),
        operands,
        0,
    )
}

/// The shape of an input of a selection. The condition of SELECT may be a vector over the first
/// dimension, where SELECT_V2 aligns it to the last.
fn aligned(site: &Site, index: usize) -> Result<Vec<u32>, Refusal> {
    let input = site.need_input(index)?;
    let rank = site.need_output()?.shape.len();
    let rows = index == 0 && site.operator.opcode == Opcode::SELECT && is_vector(input);
    let mut shape = input.shape.clone();
    if rows && rank > 1 {
        shape.resize(rank, 1);
    }
    Ok(shape)
}

fn is_vector(tensor: &Tensor) -> bool {
    tensor.shape.len() == 1
}
