//! Why a program or a job is refused or ends early, and what the host is told about it.

use crate::memory::AddressFault;
use apu_proto::message::{NO_OP, reject, status};
use apu_proto::program::{VERSION_MAJOR, VERSION_MINOR};
use core::fmt;

/// Name of a target, as program headers and HELLO_ACK hold it: UTF-8, zero padded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TargetName(pub [u8; 32]);

impl TargetName {
    /// The name, cut after 32 bytes.
    pub const fn new(name: &str) -> Self {
        let mut padded = [0; 32];
        let mut at = 0;
        while at < name.len() && at < padded.len() {
            padded[at] = name.as_bytes()[at];
            at += 1;
        }
        Self(padded)
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        for chunk in name.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            if !chunk.invalid().is_empty() {
                write!(f, "{}", char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why a program can't be run, or a run didn't reach its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code is shorter than what its header announces.
    #[error("the code has {got} bytes, its header and records need {needed}")]
    Truncated {
        /// Bytes of the code.
        got: usize,
        /// Bytes that the header and records take.
        needed: u64,
    },
    /// Not a program at all.
    #[error("not a program: begins with {got:02x?}")]
    Magic {
        /// The first bytes.
        got: [u8; 8],
    },
    /// The format is another one than ours or newer.
    #[error(
        "program format {}.{}, this firmware runs {VERSION_MAJOR}.0 to {VERSION_MAJOR}.{VERSION_MINOR}",
        got.0, got.1
    )]
    Version {
        /// Major and minor version of the program.
        got: (u16, u16),
    },
    /// A number in the header contradicts the format.
    #[error("header: {field} is {got}, needs {needed}")]
    Header {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// The value that the format asks for.
        needed: u64,
    },
    /// Packed for another target.
    #[error(
        "the program is for target \"{program}\", this firmware runs \"{firmware}\"; compile it for that"
    )]
    Target {
        /// The program's target.
        program: TargetName,
        /// The firmware's target.
        firmware: TargetName,
    },
    /// Features that the firmware lacks, numerics among them.
    #[error("the program needs {field} {got:#x}, this firmware knows {known:#x}")]
    Feature {
        /// Name of the field.
        field: &'static str,
        /// What the program asks for.
        got: u64,
        /// What the firmware has.
        known: u64,
    },
    /// A number in the header is larger than this firmware can take.
    #[error("header: {field} is {got}, at most {limit} can be taken")]
    Limit {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// The largest value.
        limit: u64,
    },
    /// The record of an input or output contradicts itself.
    #[error("input/output {index}: {field} is {got}, needs {needed}")]
    Io {
        /// Index of the record.
        index: usize,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// What the format or the record's other fields ask for.
        needed: u64,
    },
    /// An operator can't run.
    #[error("operator {index}: {reason}")]
    Op {
        /// Index of the record.
        index: usize,
        /// What is wrong with it.
        reason: OpError,
    },
    /// The run has another number of segments than the program.
    #[error("{got} segments given, the program has {needed}")]
    SegmentCount {
        /// Segments of the run.
        got: usize,
        /// Segments of the program.
        needed: usize,
    },
    /// A segment is smaller than the program says.
    #[error("segment {segment} has {got} bytes, the program needs {needed}")]
    SegmentSize {
        /// Index of the segment.
        segment: usize,
        /// Its size.
        got: u64,
        /// The size that the program states.
        needed: u64,
    },
    /// The arena or an output was given as read-only memory.
    #[error("segment {segment} is read-only, but the program writes it")]
    SegmentReadOnly {
        /// Index of the segment.
        segment: usize,
    },
    /// Two ranges of a job share addresses although one is written.
    #[error("{} and {} overlap, but the program writes one of them", Place(*first), Place(*second))]
    SegmentOverlap {
        /// Index of a segment, [`None`] for the program's code.
        first: Option<usize>,
        /// Index of the other segment.
        second: Option<usize>,
    },
    /// A range of a job goes past the last address.
    #[error("{} goes past the last device address", Place(*segment))]
    SegmentOverflow {
        /// Index of the segment, [`None`] for the program's code.
        segment: Option<usize>,
    },
    /// Memory isn't mapped, or not for writing.
    #[error("{fault}")]
    Fault {
        /// Operator that was about to run, [`None`] before the first.
        op: Option<usize>,
        /// Where.
        fault: AddressFault,
    },
    /// Somebody asked to give the run up.
    #[error("cancelled before operator {op}")]
    Cancelled {
        /// The first operator that didn't run.
        op: usize,
    },
}

/// What is wrong with an operator record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// No such operator.
    #[error("opcode {got} is unknown")]
    Opcode {
        /// The opcode.
        got: u32,
    },
    /// The kernel refuses the parameters.
    #[error("{0}")]
    Parameter(apu_kernels::Error),
    /// Something lies where the record must be zero.
    #[error("{what} isn't zero")]
    NotZero {
        /// Part of the record.
        what: &'static str,
    },
    /// An operand has another size than the parameters say.
    #[error("operand {operand} has {got} bytes, the parameters ask for {needed}")]
    OperandSize {
        /// Index of the operand.
        operand: usize,
        /// Its size.
        got: u32,
        /// The right size.
        needed: u32,
    },
    /// An operand leaves its segment, or the segment doesn't exist (then `limit` is 0).
    #[error(
        "operand {operand} reaches to byte {end} of segment {segment}, which has {limit} bytes"
    )]
    OperandBounds {
        /// Index of the operand.
        operand: usize,
        /// Its segment.
        segment: u32,
        /// Its end within the segment.
        end: u64,
        /// Size of the segment.
        limit: u64,
    },
    /// An output or scratch lies in constants or an input.
    #[error("operand {operand} is written, but segment {segment} is read-only")]
    ReadOnly {
        /// Index of the operand.
        operand: usize,
        /// Its segment.
        segment: u32,
    },
    /// A written operand shares bytes with another one.
    #[error("operand {written} is written and overlaps operand {other}")]
    Alias {
        /// Index of the written operand.
        written: usize,
        /// Index of the other one.
        other: usize,
    },
}

/// A segment of a job for people.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "the program's code"),
            Some(segment) => write!(f, "segment {segment}"),
        }
    }
}

impl Error {
    /// The value of [`status`] that tells the host.
    pub fn status(&self) -> u32 {
        match self {
            Self::Target { .. } => status::WRONG_TARGET,
            Self::Fault { .. } => status::ADDRESS_FAULT,
            Self::Cancelled { .. } => status::CANCELLED,
            _ => status::REJECTED,
        }
    }

    /// The value of [`reject`] that goes with [`status::REJECTED`], else 0.
    pub fn reject(&self) -> u32 {
        match self {
            Self::Target { .. } | Self::Fault { .. } | Self::Cancelled { .. } => 0,
            Self::Truncated { .. }
            | Self::Magic { .. }
            | Self::Version { .. }
            | Self::Header { .. }
            | Self::Limit { .. } => reject::HEADER,
            Self::Feature { .. } => reject::FEATURE,
            Self::Io { .. }
            | Self::SegmentCount { .. }
            | Self::SegmentSize { .. }
            | Self::SegmentOverflow { .. } => reject::SEGMENT,
            Self::SegmentReadOnly { .. } | Self::SegmentOverlap { .. } => reject::ALIAS,
            Self::Op { reason, .. } => reason.reject(),
        }
    }

    /// The operator to blame, or [`NO_OP`].
    pub fn op(&self) -> u32 {
        let index = match *self {
            Self::Op { index, .. } => Some(index),
            Self::Cancelled { op } => Some(op),
            Self::Fault { op, .. } => op,
            _ => None,
        };
        index.and_then(|op| u32::try_from(op).ok()).unwrap_or(NO_OP)
    }

    /// The device address of a fault, else 0.
    pub fn address(&self) -> u64 {
        match self {
            Self::Fault { fault, .. } => fault.address,
            _ => 0,
        }
    }
}

impl OpError {
    fn reject(&self) -> u32 {
        match self {
            Self::Opcode { .. } => reject::OPCODE,
            Self::Parameter(_) | Self::NotZero { .. } => reject::PARAMETER,
            Self::OperandSize { .. } | Self::OperandBounds { .. } => reject::OPERAND,
            Self::ReadOnly { .. } | Self::Alias { .. } => reject::ALIAS,
        }
    }
}
