//! Is this code a program that can be run safely?
//!
//! Records are copied before they are checked and used, so that code which somebody else can write
//! to at the same time is no danger: each time it is read, it is checked again.

use crate::operator::Operator;
use crate::{Error, TargetName};
use apu_proto::message::MAX_SEGMENTS;
use apu_proto::program::{
    DType, Header, Io, MAGIC, MAX_RANK, Numerics, Op, SEGMENT_CONSTANTS, SEGMENT_IO, TARGET_K4N16,
    VERSION_MAJOR, VERSION_MINOR,
};
use core::mem::size_of;
use zerocopy::FromBytes;

/// Program features that this firmware knows, as bits of [`Header::required_features`].
pub const FEATURES: u64 = 0;
/// Program layout that this firmware runs.
pub const TARGET: TargetName = TargetName::new(TARGET_K4N16);

/// Most operators of a program; it bounds how long validation takes.
const MAX_OPS: u32 = 1 << 16;

/// What a program says about its segments and records. Holds no reference to the code.
///
/// # Invariants
/// There are 2 to [`MAX_SEGMENTS`] segments; the header and all records lie within `code_size`.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    sizes: [usize; MAX_SEGMENTS],
    inputs: usize,
    outputs: usize,
    ops: usize,
}

impl Layout {
    /// Checks the header and the records of inputs and outputs.
    ///
    /// # Errors
    /// Anything about those in [`Error`].
    pub fn read(code: &[u8]) -> Result<Self, Error> {
        let header: Header = record(code, 0)?;
        check_format(&header)?;
        check_counts(&header)?;
        check_code_size(&header, code.len())?;
        // INVARIANT: check_counts bounds the segments, check_code_size the records.
        let mut layout = Self {
            sizes: [0; MAX_SEGMENTS],
            inputs: header.input_count as usize,
            outputs: header.output_count as usize,
            ops: header.op_count as usize,
        };
        let [constants, arena, io @ ..] = &mut layout.sizes;
        *constants = to_usize("constants_size", header.constants_size)?;
        *arena = to_usize("arena_size", header.arena_size)?;
        for (index, size) in io
            .iter_mut()
            .take(layout.inputs + layout.outputs)
            .enumerate()
        {
            let io = record(code, size_of::<Header>() + index * size_of::<Io>())?;
            *size = to_usize("size of an input or output", io_size(index, &io)?)?;
        }
        Ok(layout)
    }

    /// Segments of a run: constants, arena, inputs, outputs.
    pub fn segment_count(&self) -> usize {
        SEGMENT_IO as usize + self.inputs + self.outputs
    }

    /// Inputs; the first is segment [`SEGMENT_IO`].
    pub fn input_count(&self) -> usize {
        self.inputs
    }

    /// Outputs; the first follows the last input.
    pub fn output_count(&self) -> usize {
        self.outputs
    }

    /// Operators.
    pub fn op_count(&self) -> usize {
        self.ops
    }

    /// Bytes that each segment has at least.
    pub fn segment_sizes(&self) -> &[usize] {
        self.sizes.get(..self.segment_count()).unwrap_or_default()
    }

    /// Whether the program may write the segment: the arena and the outputs.
    pub fn is_written(&self, segment: usize) -> bool {
        let io = SEGMENT_IO as usize;
        segment != SEGMENT_CONSTANTS as usize
            && !(io..io + self.inputs).contains(&segment)
            && segment < self.segment_count()
    }

    /// Reads one operator record of the code that this layout is of.
    ///
    /// # Errors
    /// [`Error::Op`], or [`Error::Truncated`] if the code is another one.
    pub(crate) fn operator(&self, code: &[u8], index: usize) -> Result<Operator, Error> {
        let first = size_of::<Header>() + (self.inputs + self.outputs) * size_of::<Io>();
        let op = record(code, first + index * size_of::<Op>())?;
        Operator::check(&op, self).map_err(|reason| Error::Op { index, reason })
    }
}

/// A program whose every record has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    layout: Layout,
    code: &'a [u8],
}

impl<'a> Program<'a> {
    /// Checks the code part of a program: header, inputs and outputs, each operator.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(code: &'a [u8]) -> Result<Self, Error> {
        let layout = Layout::read(code)?;
        for index in 0..layout.ops {
            layout.operator(code, index)?;
        }
        Ok(Self { layout, code })
    }

    /// Segments and records.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The operators, each checked anew: [`run_operators`](crate::run_operators) takes them as often
    /// as one likes.
    ///
    /// # Errors
    /// None comes, as the program is valid.
    pub fn operators(&self) -> impl Iterator<Item = Result<Operator, Error>> {
        (0..self.layout.ops).map(|index| self.layout.operator(self.code, index))
    }
}

fn check_format(header: &Header) -> Result<(), Error> {
    if header.magic != MAGIC {
        return Err(Error::Magic { got: header.magic });
    }
    if header.version_major != VERSION_MAJOR || header.version_minor > VERSION_MINOR {
        return Err(Error::Version {
            got: (header.version_major, header.version_minor),
        });
    }
    exactly(
        "header_size",
        header.header_size,
        size_of::<Header>() as u64,
    )?;
    if header.target != TARGET.0 {
        return Err(Error::Target {
            program: TargetName(header.target),
            firmware: TARGET,
        });
    }
    let feature = |field, got, known| Err(Error::Feature { field, got, known });
    if header.required_features & !FEATURES != 0 {
        return feature("required_features", header.required_features, FEATURES);
    }
    if header.numerics > Numerics::XNNPACK {
        let known = Numerics::XNNPACK.into();
        return feature("numerics", header.numerics.into(), known);
    }
    Ok(())
}

fn check_counts(header: &Header) -> Result<(), Error> {
    let io = u64::from(header.input_count) + u64::from(header.output_count);
    at_most(
        "input_count + output_count",
        io,
        MAX_SEGMENTS as u64 - u64::from(SEGMENT_IO),
    )?;
    at_most("op_count", header.op_count.into(), MAX_OPS.into())
}

/// The code may be longer: a device hands over whole pages.
fn check_code_size(header: &Header, got: usize) -> Result<(), Error> {
    let io = u64::from(header.input_count) + u64::from(header.output_count);
    let needed = size_of::<Header>() as u64
        + io * size_of::<Io>() as u64
        + u64::from(header.op_count) * size_of::<Op>() as u64;
    exactly("code_size", header.code_size, needed)?;
    if (got as u64) < needed {
        return Err(Error::Truncated { got, needed });
    }
    Ok(())
}

/// The size of an input or output, which its shape and type must confirm.
fn io_size(index: usize, io: &Io) -> Result<u64, Error> {
    let error = |field, got: u64, needed: u64| Error::Io {
        index,
        field,
        got,
        needed,
    };
    let Some(dtype) = DType::from_raw(io.dtype) else {
        return Err(error("dtype", io.dtype.into(), DType::Int8 as u64));
    };
    let Some(shape) = io.shape.get(..io.rank as usize) else {
        return Err(error("rank", io.rank.into(), MAX_RANK as u64));
    };
    let size = shape
        .iter()
        .try_fold(dtype.size() as u64, |size, &dimension| {
            size.checked_mul(dimension.into())
        });
    match size {
        Some(size) if size == io.size => Ok(size),
        _ => Err(error("size", io.size, size.unwrap_or(u64::MAX))),
    }
}

/// A copy of the record at byte `at`.
fn record<T: FromBytes>(code: &[u8], at: usize) -> Result<T, Error> {
    code.get(at..)
        .and_then(|rest| T::read_from_prefix(rest).ok())
        .map(|(record, _)| record)
        .ok_or(Error::Truncated {
            got: code.len(),
            needed: (at + size_of::<T>()) as u64,
        })
}

fn exactly(field: &'static str, got: u32, needed: u64) -> Result<(), Error> {
    match u64::from(got) {
        got if got == needed => Ok(()),
        got => Err(Error::Header { field, got, needed }),
    }
}

fn at_most(field: &'static str, got: u64, limit: u64) -> Result<(), Error> {
    if got > limit {
        return Err(Error::Limit { field, got, limit });
    }
    Ok(())
}

fn to_usize(field: &'static str, got: u64) -> Result<usize, Error> {
    let limit = usize::MAX as u64;
    usize::try_from(got).map_err(|_| Error::Limit { field, got, limit })
}
