//! From TFLite's operators to the program's: parameters resolved, sizes known, tensors not yet
//! placed.

mod blocks;
mod chain;
mod convolution;
mod detection;
mod elementwise;
mod functions;
mod gather;
pub(crate) mod lookup;
mod matmul;
mod moves;
mod pad;
mod plain;
mod pool;
mod recurrent;
mod reductions;
mod requantisation;
mod resize;
mod rows;
mod scale;
mod sixteens;
mod slices;
mod states;
mod strided;
mod transpose_conv;
mod variables;
pub(crate) mod wide_functions;
pub(crate) mod xnnpack;

use std::{ops::Range, sync::Arc};

use apu_kernels::Sizes;
use apu_proto::program::{PARAMS, Rounding};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    constraints::{self, LIMITS, Refusal, Site},
    graph::{Element, Opcode, Tensor, TensorId},
};

/// What an operator becomes.
pub(crate) enum Step {
    /// Records of the program, in the order in which they run.
    Run(Vec<Record>),
    /// Nothing to do: the outputs are known before the run, or are of no use in it.
    Folded,
    /// Nothing to do: the output is the input's elements in another shape.
    View {
        /// Whose elements.
        input: TensorId,
        /// The other shape.
        output: TensorId,
    },
}

/// A record of the program whose operands have no address yet.
#[derive(Clone)]
pub(crate) struct Record {
    /// One of [`apu_proto::program::opcode`].
    pub opcode: u32,
    /// The opcode's structure, padded with zeros.
    pub params: [u8; PARAMS],
    /// What it reads and writes, in the opcode's order.
    pub operands: Vec<Operand>,
    /// Index of the operator in the model.
    pub source: usize,
    /// The tensor that names it.
    pub output: TensorId,
    /// Multiply-accumulates.
    pub macs: u64,
}

impl Record {
    /// The opcode's structure.
    pub fn params<T: FromBytes>(&self) -> Option<T> {
        Some(T::read_from_prefix(&self.params).ok()?.0)
    }

    /// Replaces the opcode's structure by another of its type.
    pub fn set_params(&mut self, params: &(impl IntoBytes + Immutable)) {
        let bytes = params.as_bytes();
        if let Some(start) = self.params.get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        }
    }

    /// Makes the scratch, which is the last operand of those that have one, as large as the last of
    /// these sizes.
    pub fn set_scratch(&mut self, sizes: &Sizes) {
        if let (Some(Operand::Scratch(scratch)), Some(&size)) =
            (self.operands.last_mut(), sizes.as_slice().last())
        {
            *scratch = size;
        }
    }
}

/// What a record reads or writes.
#[derive(Clone)]
pub(crate) enum Operand {
    /// A tensor that it reads.
    Read(TensorId),
    /// The tensor that it writes.
    Write(TensorId),
    /// The segment of an output, which gets a copy of a tensor that lives elsewhere.
    Output(usize),
    /// Some bytes of a tensor, or of what the arena holds of it.
    Part(TensorId, Range<u64>),
    /// Constants packed for it alone.
    Packed(Vec<u8>),
    /// Constants that several records have in common.
    Shared(Arc<[u8]>),
    /// Memory for the time that it runs, in bytes.
    Scratch(u32),
    /// Memory of its own that is kept from run to run, in bytes.
    State(u32),
    /// All of a variable, which several operators share and which is kept from run to run.
    Variable {
        /// The tensor that stands for it.
        tensor: TensorId,
        /// Bytes.
        size: u64,
    },
    /// Memory for the time that the records of one operator run.
    Temporary {
        /// Which of the operator's.
        index: usize,
        /// Bytes.
        size: u64,
    },
    /// Some bytes of such memory.
    Within {
        /// Which of the operator's.
        index: usize,
        /// Bytes of all of it.
        size: u64,
        /// Those meant.
        part: Range<u64>,
    },
}

/// Lowers one operator.
///
/// # Errors
/// The first constraint that it breaks.
pub(crate) fn lower(site: &Site) -> Result<Step, Refusal> {
    constraints::check(site)?;
    let one = |record: Record| vec![record];
    let records = match site.operator.opcode {
        Opcode::CONV_2D => convolution::conv_2d(site),
        Opcode::DEPTHWISE_CONV_2D => convolution::depthwise_conv_2d(site).map(one),
        Opcode::FULLY_CONNECTED => convolution::fully_connected(site).map(one),
        Opcode::AVERAGE_POOL_2D | Opcode::MAX_POOL_2D => pool::pool_2d(site).map(one),
        Opcode::SOFTMAX | Opcode::LOG_SOFTMAX if unscaled(site) => {
            rows::float_softmax(site).map(one)
        }
        Opcode::SOFTMAX => rows::softmax(site).map(one),
        Opcode::LOG_SOFTMAX => rows::log_softmax(site).map(one),
        Opcode::ADD_N => elementwise::sum(site),
        Opcode::CALL_ONCE | Opcode::VAR_HANDLE => return Ok(Step::Folded),
        Opcode::READ_VARIABLE => variables::read(site).map(one),
        Opcode::ASSIGN_VARIABLE => variables::assign(site).map(one),
        Opcode::SVDF => recurrent::svdf(site),
        Opcode::UNIDIRECTIONAL_SEQUENCE_LSTM => recurrent::lstm(site),
        Opcode::MEAN if unscaled(site) => chain::mean(site),
        Opcode::SUM if unscaled(site) => reductions::reduce(site).map(one),
        Opcode::MEAN | Opcode::SUM => rows::mean(site).map(one),
        Opcode::REDUCE_MAX | Opcode::REDUCE_MIN => reductions::reduce(site).map(one),
        Opcode::ARG_MAX | Opcode::ARG_MIN => reductions::arg_max(site).map(one),
        Opcode::BATCH_MATMUL => matmul::batch_matmul(site),
        Opcode::DETECTION_POSTPROCESS => detection::detection(site),
        Opcode::TRANSPOSE_CONV => transpose_conv::transpose_conv(site),
        Opcode::SELECT | Opcode::SELECT_V2 => plain::select(site).map(one),
        Opcode::CAST => plain::cast(site).map(one),
        Opcode::L2_NORMALIZATION if unscaled(site) => chain::l2_normalization(site),
        Opcode::HARD_SWISH if unscaled(site) => chain::hard_swish(site),
        Opcode::LEAKY_RELU if unscaled(site) => chain::leaky_relu(site),
        Opcode::ABS if of(site, Element::INT32) => chain::abs(site),
        Opcode::FLOOR_DIV | Opcode::FLOOR_MOD if !unscaled(site) => chain::narrow(site),
        Opcode::L2_NORMALIZATION => plain::l2_normalization(site).map(one),
        Opcode::CEIL | Opcode::FLOOR | Opcode::ROUND => plain::float_function(site).map(one),
        Opcode::ABS
        | Opcode::SQRT
        | Opcode::RSQRT
        | Opcode::ELU
        | Opcode::EXP
        | Opcode::LOG
        | Opcode::LOGISTIC
        | Opcode::TANH
            if unscaled(site) =>
        {
            plain::float_function(site).map(one)
        }
        Opcode::QUANTIZE if !unscaled(site) && xnnpack::takes(site) => {
            lookup::lookup(site).map(one)
        }
        Opcode::QUANTIZE if requantisation::is_optimised(site) => requantisation::quantize(site),
        Opcode::QUANTIZE => scale::quantize(site).map(one),
        Opcode::DEQUANTIZE => scale::dequantize(site).map(one),
        Opcode::PAD | Opcode::PADV2 => pad::pad(site).map(one),
        Opcode::RESHAPE | Opcode::SQUEEZE | Opcode::EXPAND_DIMS => {
            return Ok(Step::View {
                input: site.input_id(0)?,
                output: site.output_id()?,
            });
        }
        Opcode::GATHER | Opcode::GATHER_ND | Opcode::RESIZE_NEAREST_NEIGHBOR => {
            gather::gather(site)
        }
        Opcode::RESIZE_BILINEAR => resize::bilinear(site).map(one),
        opcode if constraints::is_moving(opcode) => moves::lower(site),
        opcode if constraints::is_broadcasting(opcode) => elementwise::binary(site),
        Opcode::NEG | Opcode::SQUARE if unscaled(site) => elementwise::product(site).map(one),
        _ if unscaled(site) => elementwise::clamped(site).map(one),
        _ => lookup::lookup(site).map(one),
    };
    records.map(Step::Run)
}

/// Whether an operator computes with plain numbers.
fn unscaled(site: &Site) -> bool {
    let unscaled = [Element::FLOAT32, Element::INT32, Element::INT64];
    site.input(0)
        .is_some_and(|input| unscaled.contains(&input.element))
}

/// Whether the first input has this type.
fn of(site: &Site, element: Element) -> bool {
    site.input(0).is_some_and(|input| input.element == element)
}

/// A record, after the kernel has accepted its parameters and said how large each operand is.
fn record(
    site: &Site,
    opcode: u32,
    params: &(impl IntoBytes + Immutable),
    sizes: Result<Sizes, apu_kernels::Error>,
    operands: impl IntoIterator<Item = Operand>,
    macs: u64,
) -> Result<Record, Refusal> {
    let sizes = sizes.map_err(|error| LIMITS.refuse(error.to_string()))?;
    let operands: Vec<Operand> = operands.into_iter().collect();
    for (operand, &needed) in operands.iter().zip(sizes.as_slice()) {
        let got = match operand {
            Operand::Read(id) | Operand::Write(id) => site.graph.tensors[*id].bytes(),
            Operand::Output(index) => site
                .graph
                .outputs
                .get(*index)
                .map_or(0, |&id| site.graph.tensors[id].bytes()),
            Operand::Part(_, part) | Operand::Within { part, .. } => part.end - part.start,
            Operand::Packed(bytes) => bytes.len() as u64,
            Operand::Shared(bytes) => bytes.len() as u64,
            Operand::Scratch(bytes) | Operand::State(bytes) => u64::from(*bytes),
            Operand::Temporary { size, .. } | Operand::Variable { size, .. } => *size,
        };
        if got != u64::from(needed) {
            return Err(LIMITS.refuse(format!(
                "an operand of {got} bytes where the kernel takes {needed}"
            )));
        }
    }
    let mut padded = [0; PARAMS];
    padded
        .get_mut(..params.as_bytes().len())
        .ok_or_else(|| LIMITS.refuse("parameters larger than a record"))?
        .copy_from_slice(params.as_bytes());
    Ok(Record {
        opcode,
        params: padded,
        operands,
        source: site.operator.index,
        // What has no output is named after what it changes.
        output: site.output_id().or_else(|_| site.input_id(0))?,
        macs,
    })
}

/// The first input and the output.
fn ends(site: &Site) -> Result<[Operand; 2], Refusal> {
    Ok([
        Operand::Read(site.input_id(0)?),
        Operand::Write(site.output_id()?),
    ])
}

/// How the records of an operator round that round either as TFLite or as XNNPACK.
fn rounding(site: &Site) -> u32 {
    match xnnpack::takes(site) {
        true => Rounding::EVEN,
        false => Rounding::AWAY,
    }
}

/// The scratch that a kernel asks for as operand `index`.
fn scratch(sizes: &Result<Sizes, apu_kernels::Error>, index: usize) -> Operand {
    Operand::Scratch(
        sizes
            .as_ref()
            .ok()
            .and_then(|sizes| sizes.as_slice().get(index))
            .copied()
            .unwrap_or(0),
    )
}

/// Number of an 8-bit tensor's type in a record.
fn dtype(tensor: &Tensor) -> u32 {
    tensor.element.dtype().map_or(0, |dtype| dtype as u32)
}

/// Scale and zero point of an 8-bit activation.
fn quantisation(tensor: &Tensor) -> Result<(f32, i32), Refusal> {
    let (scale, zero_point) = tensor
        .per_tensor()
        .ok_or_else(|| LIMITS.refuse(format!("{} without one scale", tensor.label())))?;
    Ok((scale, size("zero point", zero_point)?))
}

/// Scale and zero point; 1 and 0 for a tensor that has none, as float tensors.
fn quantisation_or_unit(tensor: &Tensor) -> Result<(f32, i32), Refusal> {
    if tensor.element == Element::FLOAT32 {
        Ok((1.0, 0))
    } else {
        quantisation(tensor)
    }
}

/// A number in the width of its field.
fn size<T: Copy + std::fmt::Display, U: TryFrom<T>>(what: &str, value: T) -> Result<U, Refusal> {
    U::try_from(value).map_err(|_| LIMITS.refuse(format!("{what} {value}")))
}

/// A ratio of scales that no multiplier holds.
fn ratio_out_of_range(site: &Site) -> Refusal {
    let scales: Vec<f32> = site
        .activations()
        .chain(site.weights())
        .filter_map(|t| t.quantization.as_ref())
        .filter_map(|q| q.scales.first().copied())
        .collect();
    LIMITS.refuse(format!(
        "scales {scales:?}, whose ratio fits no 32-bit multiplier"
    ))
}

/// A shape of six dimensions, leading ones for lower ranks.
fn six<const N: usize>(shape: &[u32]) -> Result<[u32; N], Refusal> {
    let mut padded = [1; N];
    let at = N
        .checked_sub(shape.len())
        .ok_or_else(|| LIMITS.refuse(format!("{} dimensions", shape.len())))?;
    padded[at..].copy_from_slice(shape);
    Ok(padded)
}
