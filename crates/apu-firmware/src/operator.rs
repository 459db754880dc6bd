//! One operator of a program: its record checked, and how its kernel is called.

use crate::memory::overlap;
use crate::places::Places;
use crate::{Layout, OpError, View, Workers};
use apu_kernels::conv_2d::Conv2d;
use apu_kernels::depthwise_conv_2d::DepthwiseConv2d;
use apu_kernels::elementwise::Elementwise;
use apu_kernels::pool_2d::{Pool2d, Pooling};
use apu_kernels::{
    Isa, arg_max, batch_matmul, cast, copy, dequantize, detection, float_function, float_softmax,
    gather, l2_normalization, log_softmax, lookup, lstm, mean, pad, quantize, reduce,
    resize_bilinear, select, softmax, strided_copy, svdf, table_softmax, wide_conv_2d,
};
use apu_proto::program::{
    self, ArgMax, BatchMatmul, Cast, Dequantize, Detection, FloatFunction, FloatSoftmax, Gather,
    L2Normalization, LogSoftmax, Lookup, Lstm, MAX_OPERANDS, Mean, Op, Operand, Pad, Quantize,
    Reduce, ResizeBilinear, Select, Softmax, StridedCopy, Svdf, TableSoftmax, WideConv2d, opcode,
};
use core::ops::Range;
use zerocopy::FromBytes;

/// Most operands that an operator reads.
pub const MAX_READS: usize = 3;

/// What an operator computes: its parameters, checked to be used often where they are many.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap for what is large"
)]
pub(crate) enum Kernel {
    Conv2d(Conv2d),
    DepthwiseConv2d(DepthwiseConv2d),
    Elementwise(Elementwise),
    Pool2d(Pool2d),
    Copy,
    Softmax(Softmax),
    LogSoftmax(LogSoftmax),
    Quantize(Quantize),
    Dequantize(Dequantize),
    Pad(Pad),
    Mean(Mean),
    Lookup(Lookup),
    StridedCopy(StridedCopy),
    Gather(Gather),
    ResizeBilinear(ResizeBilinear),
    Reduce(Reduce),
    ArgMax(ArgMax),
    BatchMatmul(BatchMatmul),
    Select(Select),
    Cast(Cast),
    FloatFunction(FloatFunction),
    FloatSoftmax(FloatSoftmax),
    L2Normalization(L2Normalization),
    Detection(Detection),
    Svdf(Svdf),
    Lstm(Lstm),
    WideConv2d(WideConv2d),
    TableSoftmax(TableSoftmax),
}

/// The memory of an operator's operands.
#[derive(Debug, Default)]
pub struct Operands<'a> {
    /// Those it reads, in order; the unused ones are empty.
    pub reads: [&'a [u8]; MAX_READS],
    /// Its output.
    pub output: &'a mut [u8],
    /// Its scratch or state, empty if it needs none.
    pub scratch: &'a mut [u8],
}

/// An operator whose record has been checked against a [`Layout`].
///
/// # Invariants
/// Each operand lies within its segment as the layout states it, has the size that the parameters
/// ask for, and, if it is written, lies in a segment that may be written and overlaps no other.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    kernel: Kernel,
    operands: [Operand; MAX_OPERANDS],
    places: Places,
    work: u64,
}

impl Operator {
    /// Checks a record.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(op: &Op, layout: &Layout) -> Result<Self, OpError> {
        let kernel = Kernel::read(op)?;
        // INVARIANT: these three check what the type promises.
        check_sizes(&op.operands, &kernel, op)?;
        check_segments(&op.operands, &kernel, layout)?;
        check_aliases(&op.operands, &kernel)?;
        let (reads, rest) = op.operands.split_at(kernel.reads());
        let (output, scratch) = (rest[0], rest[1]);
        let scratch = if kernel.has_scratch() {
            scratch
        } else {
            Operand::default()
        };
        let bytes: u64 = op.operands.iter().map(|it| u64::from(it.size)).sum();
        Ok(Self {
            kernel,
            operands: op.operands,
            places: Places::new(reads, output, scratch),
            work: bytes + u64::from(output.size) * kernel.work_per_byte(),
        })
    }

    /// What it reads.
    pub fn reads(&self) -> &[Operand] {
        &self.operands[..self.kernel.reads()]
    }

    /// What it writes.
    pub fn output(&self) -> Operand {
        self.operands[self.kernel.reads()]
    }

    /// About how many multiplications it takes, or bytes that it moves.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Computes the output, in segments of the layout that it was checked against.
    ///
    /// # Errors
    /// The kernel's: an index among the data is out of range.
    pub fn run(
        &self,
        isa: Isa,
        workers: &mut impl Workers,
        segments: &mut [View<'_>],
    ) -> Result<(), OpError> {
        let compute = |operands: Operands<'_>| self.kernel.spread(isa, operands, workers);
        match self.places.borrow(segments, compute) {
            Some(result) => result.map_err(OpError::Parameter),
            None => Err(self.missing()),
        }
    }

    /// An operator and the segments that it is run in are of one layout, so this doesn't come.
    fn missing(&self) -> OpError {
        let output = self.output();
        OpError::OperandBounds {
            operand: self.kernel.reads(),
            segment: output.segment,
            end: u64::from(output.offset) + u64::from(output.size),
            limit: 0,
        }
    }
}

impl Kernel {
    fn read(op: &Op) -> Result<Self, OpError> {
        Ok(match op.opcode {
            opcode::CONV_2D => Self::Conv2d(prepared(op, Conv2d::new)?),
            opcode::DEPTHWISE_CONV_2D => Self::DepthwiseConv2d(prepared(op, DepthwiseConv2d::new)?),
            opcode::ELEMENTWISE => Self::Elementwise(prepared(op, Elementwise::new)?),
            opcode::AVERAGE_POOL_2D => Self::Pool2d(prepared(op, pool(Pooling::Average))?),
            opcode::MAX_POOL_2D => Self::Pool2d(prepared(op, pool(Pooling::Max))?),
            opcode::COPY => params(op).map(|()| Self::Copy)?,
            opcode::SOFTMAX => Self::Softmax(params(op)?),
            opcode::LOG_SOFTMAX => Self::LogSoftmax(params(op)?),
            opcode::QUANTIZE => Self::Quantize(params(op)?),
            opcode::DEQUANTIZE => Self::Dequantize(params(op)?),
            opcode::PAD => Self::Pad(params(op)?),
            opcode::MEAN => Self::Mean(params(op)?),
            opcode::LOOKUP => Self::Lookup(params(op)?),
            opcode::STRIDED_COPY => Self::StridedCopy(params(op)?),
            opcode::GATHER => Self::Gather(params(op)?),
            opcode::RESIZE_BILINEAR => Self::ResizeBilinear(params(op)?),
            opcode::REDUCE => Self::Reduce(params(op)?),
            opcode::ARG_MAX => Self::ArgMax(params(op)?),
            opcode::BATCH_MATMUL => Self::BatchMatmul(params(op)?),
            opcode::SELECT => Self::Select(params(op)?),
            opcode::CAST => Self::Cast(params(op)?),
            opcode::FLOAT_FUNCTION => Self::FloatFunction(params(op)?),
            opcode::FLOAT_SOFTMAX => Self::FloatSoftmax(params(op)?),
            opcode::L2_NORMALIZATION => Self::L2Normalization(params(op)?),
            opcode::DETECTION => Self::Detection(params(op)?),
            opcode::SVDF => Self::Svdf(params(op)?),
            opcode::WIDE_CONV_2D => Self::WideConv2d(params(op)?),
            opcode::TABLE_SOFTMAX => Self::TableSoftmax(params(op)?),
            opcode::LSTM => Self::Lstm(params(op)?),
            got => return Err(OpError::Opcode { got }),
        })
    }

    /// Operands that are read; they come first, then the output, then the scratch.
    fn reads(&self) -> usize {
        match self {
            Self::Conv2d(_)
            | Self::DepthwiseConv2d(_)
            | Self::Select(_)
            | Self::Detection(_)
            | Self::WideConv2d(_) => 3,
            Self::Elementwise(_)
            | Self::Lookup(_)
            | Self::Gather(_)
            | Self::BatchMatmul(_)
            | Self::Svdf(_)
            | Self::Lstm(_)
            | Self::TableSoftmax(_) => 2,
            Self::Pool2d(_)
            | Self::Copy
            | Self::Softmax(_)
            | Self::LogSoftmax(_)
            | Self::Quantize(_)
            | Self::Dequantize(_)
            | Self::Pad(_)
            | Self::Mean(_)
            | Self::StridedCopy(_)
            | Self::ResizeBilinear(_)
            | Self::Reduce(_)
            | Self::ArgMax(_)
            | Self::Cast(_)
            | Self::FloatFunction(_)
            | Self::FloatSoftmax(_)
            | Self::L2Normalization(_) => 1,
        }
    }

    /// Multiplications for one byte of the output; many where that isn't known.
    fn work_per_byte(&self) -> u64 {
        match self {
            Self::Conv2d(conv) => conv.taps() as u64,
            Self::DepthwiseConv2d(conv) => conv.taps() as u64,
            Self::Pool2d(pool) => pool.taps() as u64,
            Self::Copy
            | Self::StridedCopy(_)
            | Self::Pad(_)
            | Self::Lookup(_)
            | Self::Elementwise(_)
            | Self::Quantize(_)
            | Self::Dequantize(_) => 1,
            _ => 1 << 16,
        }
    }

    fn has_scratch(&self) -> bool {
        matches!(
            self,
            Self::Conv2d(_) | Self::Mean(_) | Self::Detection(_) | Self::Svdf(_) | Self::Lstm(_)
        )
    }

    fn operand_count(&self) -> usize {
        self.reads() + 1 + usize::from(self.has_scratch())
    }

    /// Exact sizes of the operands, least size of the scratch.
    fn sizes(&self, op: &Op) -> Result<[u32; MAX_OPERANDS], apu_kernels::Error> {
        let of_params = match self {
            Self::Conv2d(conv) => Ok(conv.sizes()),
            Self::DepthwiseConv2d(conv) => Ok(conv.sizes()),
            Self::Elementwise(elementwise) => Ok(elementwise.sizes()),
            Self::Pool2d(pool) => Ok(pool.sizes()),
            Self::Softmax(params) => softmax::sizes(params),
            Self::LogSoftmax(params) => log_softmax::sizes(params),
            Self::Quantize(params) => quantize::sizes(params),
            Self::Dequantize(params) => dequantize::sizes(params),
            Self::Pad(params) => pad::sizes(params),
            Self::Mean(params) => mean::sizes(params),
            Self::Lookup(params) => lookup::sizes(params),
            Self::StridedCopy(params) => strided_copy::sizes(params),
            Self::Gather(params) => gather::sizes(params),
            Self::ResizeBilinear(params) => resize_bilinear::sizes(params),
            Self::Reduce(params) => reduce::sizes(params),
            Self::ArgMax(params) => arg_max::sizes(params),
            Self::BatchMatmul(params) => batch_matmul::sizes(params),
            Self::Select(params) => select::sizes(params),
            Self::Cast(params) => cast::sizes(params),
            Self::FloatFunction(params) => float_function::sizes(params),
            Self::FloatSoftmax(params) => float_softmax::sizes(params),
            Self::L2Normalization(params) => l2_normalization::sizes(params),
            Self::Detection(params) => detection::sizes(params),
            Self::Svdf(params) => svdf::sizes(params),
            Self::Lstm(params) => lstm::sizes(params),
            Self::WideConv2d(params) => wide_conv_2d::sizes(params),
            Self::TableSoftmax(params) => table_softmax::sizes(params),
            Self::Copy => {
                let size = op.operands[0].size;
                return Ok([size, size, 0, 0, 0, 0]);
            }
        }?;
        let mut sizes = [0; MAX_OPERANDS];
        for (size, &needed) in sizes.iter_mut().zip(of_params.as_slice()) {
            *size = needed;
        }
        Ok(sizes)
    }

    pub(crate) fn run(&self, isa: Isa, operands: Operands<'_>) -> Result<(), apu_kernels::Error> {
        let Operands {
            reads: [a, b, c],
            output,
            scratch,
        } = operands;
        match self {
            Self::Conv2d(conv) => conv.run(isa, a, b, c, output, scratch),
            Self::DepthwiseConv2d(conv) => conv.run(isa, a, b, c, output),
            Self::Elementwise(elementwise) => elementwise.run(isa, a, b, output),
            Self::Pool2d(pool) => pool.run(isa, a, output),
            Self::Copy => copy::run(a, output),
            Self::Softmax(params) => softmax::run(isa, params, a, output),
            Self::LogSoftmax(params) => log_softmax::run(isa, params, a, output),
            Self::Quantize(params) => quantize::run(isa, params, a, output),
            Self::Dequantize(params) => dequantize::run(isa, params, a, output),
            Self::Pad(params) => pad::run(isa, params, a, output),
            Self::Mean(params) => mean::run(isa, params, a, output, scratch),
            Self::Lookup(params) => lookup::run(isa, params, a, b, output),
            Self::StridedCopy(params) => strided_copy::run(isa, params, a, output),
            Self::Gather(params) => gather::run(isa, params, a, b, output),
            Self::ResizeBilinear(params) => resize_bilinear::run(isa, params, a, output),
            Self::Reduce(params) => reduce::run(isa, params, a, output),
            Self::ArgMax(params) => arg_max::run(isa, params, a, output),
            Self::BatchMatmul(params) => batch_matmul::run(isa, params, a, b, output),
            Self::Select(params) => select::run(isa, params, a, b, c, output),
            Self::Cast(params) => cast::run(isa, params, a, output),
            Self::FloatFunction(params) => float_function::run(isa, params, a, output),
            Self::FloatSoftmax(params) => float_softmax::run(isa, params, a, output),
            Self::L2Normalization(params) => l2_normalization::run(isa, params, a, output),
            Self::Detection(params) => detection::run(isa, params, [a, b, c], output, scratch),
            Self::Svdf(params) => svdf::run(isa, params, a, b, output, scratch),
            Self::Lstm(params) => lstm::run(isa, params, a, b, output, scratch),
            Self::WideConv2d(params) => wide_conv_2d::run(isa, params, a, b, c, output),
            Self::TableSoftmax(params) => table_softmax::run(isa, params, a, b, output),
        }
    }
}

/// The opcode's own structure; what follows it must be zero.
fn params<T: FromBytes>(op: &Op) -> Result<T, OpError> {
    match T::read_from_prefix(&op.params) {
        Ok((params, rest)) if rest.iter().all(|byte| *byte == 0) => Ok(params),
        _ => Err(OpError::NotZero {
            what: "space behind the parameters",
        }),
    }
}

fn pool(pooling: Pooling) -> impl FnOnce(&program::Pool2d) -> Result<Pool2d, apu_kernels::Error> {
    move |params| Pool2d::new(pooling, params)
}

/// The kernel of the opcode's own structure.
fn prepared<P: FromBytes, K>(
    op: &Op,
    kernel: impl FnOnce(&P) -> Result<K, apu_kernels::Error>,
) -> Result<K, OpError> {
    kernel(&params(op)?).map_err(OpError::Parameter)
}

fn check_sizes(
    operands: &[Operand; MAX_OPERANDS],
    kernel: &Kernel,
    op: &Op,
) -> Result<(), OpError> {
    let sizes = kernel.sizes(op).map_err(OpError::Parameter)?;
    let scratch = kernel.has_scratch().then_some(kernel.reads() + 1);
    for (index, (operand, needed)) in operands.iter().zip(sizes).enumerate() {
        let got = operand.size;
        if got < needed || (got > needed && scratch != Some(index)) {
            return Err(OpError::OperandSize {
                operand: index,
                got,
                needed,
            });
        }
    }
    Ok(())
}

fn check_segments(
    operands: &[Operand; MAX_OPERANDS],
    kernel: &Kernel,
    layout: &Layout,
) -> Result<(), OpError> {
    let used = &operands[..kernel.operand_count()];
    for (index, operand) in used.iter().enumerate().filter(|(_, it)| it.size > 0) {
        let segment = operand.segment as usize;
        let limit = layout.segment_sizes().get(segment).copied().unwrap_or(0) as u64;
        let end = u64::from(operand.offset) + u64::from(operand.size);
        if end > limit {
            return Err(OpError::OperandBounds {
                operand: index,
                segment: operand.segment,
                end,
                limit,
            });
        }
        if index >= kernel.reads() && !layout.is_written(segment) {
            return Err(OpError::ReadOnly {
                operand: index,
                segment: operand.segment,
            });
        }
    }
    Ok(())
}

fn check_aliases(operands: &[Operand; MAX_OPERANDS], kernel: &Kernel) -> Result<(), OpError> {
    let used = &operands[..kernel.operand_count()];
    for (written, operand) in used.iter().enumerate().skip(kernel.reads()) {
        let clash = used.iter().enumerate().find(|&(other, it)| {
            other != written
                && it.segment == operand.segment
                && overlap(&bytes(it), &bytes(operand))
        });
        if let Some((other, _)) = clash {
            return Err(OpError::Alias { written, other });
        }
    }
    Ok(())
}

/// Where in its segment an operand lies. In 64 bits the end can't overflow.
fn bytes(operand: &Operand) -> Range<u64> {
    let start = u64::from(operand.offset);
    start..start + u64::from(operand.size)
}
