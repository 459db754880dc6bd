//! Everything that can go wrong, with what, where, and what was needed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use apu_proto::message::{NO_OP, reject, status};

use crate::Segment;
use crate::backend::{QueueReport, queue_state};

/// Why something of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device name that means nothing.
    #[error(
        "there is no device `{name}`: name `in-process`, or the path of a node such as /dev/accel/accel0"
    )]
    UnknownDevice {
        /// As given.
        name: String,
    },
    /// A device node can't be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device node of something else, or of a driver that this crate can't talk to.
    #[error("{} is not an APU that this library knows: {found}, needed is the driver apu 1", path.display())]
    NotAnApu {
        /// The node.
        path: PathBuf,
        /// Its driver and that one's major version, or that it is no DRM device at all.
        found: String,
    },
    /// The kernel refused a call, for a reason that has no variant of its own.
    #[error("the device refused {call}")]
    Call {
        /// The uAPI's name of the call.
        call: &'static str,
        /// The errno.
        source: io::Error,
    },
    /// A VM has no gap that is large enough.
    #[error("no {needed} bytes of device addresses in a row are left ({free} are free in all)")]
    AddressesExhausted {
        /// Bytes that were wanted.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// An unbind of what isn't bound.
    #[error("nothing is bound at device address {:#x}, {} bytes", range.va, range.size)]
    NotBound {
        /// As given.
        range: Segment,
    },

    /// A file that isn't a compiled program.
    #[error("not a compiled program: it begins with {found:02x?}, not with \"TINYAPU\"")]
    NotAProgram {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// A program of another format version.
    #[error(
        "the program has format version {major}.{minor}, this library reads {}.x",
        apu_proto::program::VERSION_MAJOR
    )]
    ProgramVersion {
        /// Major version of the program.
        major: u16,
        /// Minor version of the program.
        minor: u16,
    },
    /// A program that ends too early.
    #[error("the program is cut off: its {part} would end at byte {needed}, the file has {got}")]
    Truncated {
        /// What doesn't fit.
        part: &'static str,
        /// Where it ends.
        needed: u64,
        /// Bytes that there are.
        got: u64,
    },
    /// A program whose bytes changed since it was written.
    #[error("the program is damaged: its hash does not match its content")]
    Damaged,
    /// A program that contradicts itself.
    #[error("the program is malformed: {what}")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// A program that was packed for another device.
    #[error(
        "the program is packed for target `{program}`, the device runs `{device}`; compile the model for that"
    )]
    WrongTarget {
        /// Layout of the program.
        program: String,
        /// Layout that the device runs.
        device: String,
    },
    /// A program that needs what the device lacks.
    #[error("the program needs the features {missing:#x}, which the device lacks")]
    MissingFeatures {
        /// The bits that the device doesn't have.
        missing: u64,
    },
    /// A program with more segments than a job can name.
    #[error("the program has {got} segments, a job takes {limit} at most")]
    TooManySegments {
        /// Constants, arena, inputs and outputs.
        got: usize,
        /// The device's limit.
        limit: u32,
    },

    /// More threads than the device has cores.
    #[error("a job can't be spread over {got} threads: the device has {limit} core{}", if *limit == 1 { "" } else { "s" })]
    TooManyThreads {
        /// As asked for.
        got: usize,
        /// The device's cores.
        limit: u32,
    },

    /// Too few or too many tensors.
    #[error("{got} {what}s were given, the model has {needed}")]
    TensorCount {
        /// "input" or "output".
        what: &'static str,
        /// How many were given.
        got: usize,
        /// How many the model has.
        needed: usize,
    },
    /// A tensor of the wrong length.
    #[error("{what} {index} (`{name}`) takes {needed} bytes, {got} were given")]
    TensorSize {
        /// "input" or "output".
        what: &'static str,
        /// Which one.
        index: usize,
        /// Its name in the model.
        name: String,
        /// Bytes that were given.
        got: usize,
        /// Bytes of the tensor.
        needed: usize,
    },
    /// An input or output that the model doesn't have.
    #[error("there is no {what} {index}: the model has {count}")]
    NoSuchTensor {
        /// "input" or "output".
        what: &'static str,
        /// As asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Outputs were asked for when there are none, because the last run was given up.
    #[error("there are no outputs: the last inference was given up")]
    NoOutputs,

    /// No firmware answers, or it went away under a job.
    #[error("the device is lost: no firmware answers; once one does, run again")]
    DeviceLost,
    /// Too many jobs wait in the queue.
    #[error("the queue is full: wait for the fence of an earlier job")]
    QueueFull,
    /// A job ran longer than its queue allows.
    #[error("the job timed out in {op}: it ran longer than its queue allows")]
    JobTimedOut {
        /// Where it was, if the device said so.
        op: Operator,
    },
    /// A job did not end while somebody waited.
    #[error("the job did not end within {after:?}; the device may be busy with others")]
    WaitTimedOut {
        /// How long the wait was.
        after: Duration,
    },
    /// A job reached outside its VM's mappings, or wrote through a read-only one.
    #[error("{op} reached device address {address:#x}, which is not mapped for that")]
    Faulted {
        /// The operator that did.
        op: Operator,
        /// Where it reached.
        address: u64,
    },
    /// The firmware refused a program or job.
    #[error("the device rejected {op}: {rule}")]
    Rejected {
        /// The operator that broke the rule.
        op: Operator,
        /// The rule.
        rule: Rule,
    },
    /// Another client's job brought the device down under this one.
    #[error("the job was lost in a reset that another client's job caused; run again")]
    Innocent,
    /// The device itself failed in a job.
    #[error("the device failed in {op} (status {status}, detail {detail})")]
    DeviceFailed {
        /// Where it was.
        op: Operator,
        /// The protocol's status code.
        status: u32,
        /// The protocol's detail code.
        detail: u32,
    },
}

impl Error {
    /// Whether the same call may well succeed when it is simply made again.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::DeviceLost | Self::Innocent | Self::QueueFull | Self::WaitTimedOut { .. }
        )
    }

    /// Whether the model or program is to blame, rather than the device or the caller.
    pub fn is_bad_program(&self) -> bool {
        matches!(
            self,
            Self::NotAProgram { .. }
                | Self::ProgramVersion { .. }
                | Self::Truncated { .. }
                | Self::Damaged
                | Self::Malformed { .. }
                | Self::WrongTarget { .. }
                | Self::MissingFeatures { .. }
                | Self::TooManySegments { .. }
                | Self::Faulted { .. }
                | Self::Rejected { .. }
        )
    }

    /// The operator to blame, if there is one.
    pub fn operator(&self) -> Option<&Operator> {
        match self {
            Self::JobTimedOut { op }
            | Self::Faulted { op, .. }
            | Self::Rejected { op, .. }
            | Self::DeviceFailed { op, .. } => op.index.map(|_| op),
            _ => None,
        }
    }

    /// What stopped a queue, in words.
    pub(crate) fn from_report(report: &QueueReport) -> Self {
        let op = Operator::new(report.op);
        match (report.state, report.status) {
            (queue_state::DEVICE_LOST, _) => Self::DeviceLost,
            (queue_state::INNOCENT, _) => Self::Innocent,
            (queue_state::TIMED_OUT, _) => Self::JobTimedOut { op },
            (queue_state::FAULTED, _) => Self::Faulted {
                op,
                address: report.address,
            },
            (queue_state::REJECTED, status::REJECTED) => Self::Rejected {
                op,
                rule: Rule(report.detail),
            },
            (_, status) => Self::DeviceFailed {
                op,
                status,
                detail: report.detail,
            },
        }
    }

    /// Gives the operator to blame the name that it has in the program.
    pub(crate) fn with_operator_name(mut self, name: impl FnOnce(usize) -> Option<String>) -> Self {
        if let Self::JobTimedOut { op }
        | Self::Faulted { op, .. }
        | Self::Rejected { op, .. }
        | Self::DeviceFailed { op, .. } = &mut self
        {
            op.name = op.index.and_then(name);
        }
        self
    }
}

/// The operator of a program that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its index in the program; none when no operator is to blame but the program as a whole.
    pub index: Option<usize>,
    /// Its kind and name, where they are known.
    pub name: Option<String>,
}

impl Operator {
    fn new(op: u32) -> Self {
        let index = if op == NO_OP {
            None
        } else {
            usize::try_from(op).ok()
        };
        Self { index, name: None }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index, &self.name) {
            (None, _) => f.write_str("the program"),
            (Some(index), None) => write!(f, "operator {index}"),
            (Some(index), Some(name)) => write!(f, "operator {index} ({name})"),
        }
    }
}

/// The rule that a rejected program broke ([`apu_proto::message::reject`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(pub u32);

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            reject::HEADER => "its header has a wrong magic, version or size",
            reject::FEATURE => "it needs a feature that the firmware lacks",
            reject::SEGMENT => "the number or size of its segments does not fit",
            reject::OPCODE => "the operator is unknown to the firmware",
            reject::OPERAND => {
                "an operand leaves its segment, or is not as long as the parameters say"
            }
            reject::PARAMETER => "a parameter is out of its range",
            reject::ALIAS => "an output is read-only, or overlaps an operand that is read",
            other => return write!(f, "it broke rule {other}, which this library does not know"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: QueueReport = QueueReport {
        state: queue_state::OK,
        status: 0,
        detail: 0,
        op: NO_OP,
        address: 0,
        jobs_done: 0,
        device_ns: 0,
    };

    fn message(report: QueueReport) -> String {
        Error::from_report(&report)
            .with_operator_name(|i| Some(format!("CONV_2D `c{i}`")))
            .to_string()
    }

    #[test]
    fn each_state_says_what_where_and_what_to_do() {
        let rejected = QueueReport {
            state: queue_state::REJECTED,
            status: status::REJECTED,
            ..FINE
        };
        let cases = [
            (
                QueueReport {
                    op: 7,
                    detail: reject::OPERAND,
                    ..rejected
                },
                "the device rejected operator 7 (CONV_2D `c7`): an operand leaves its segment, or is not as long as the parameters say",
            ),
            (
                QueueReport {
                    detail: 99,
                    ..rejected
                },
                "the device rejected the program: it broke rule 99, which this library does not know",
            ),
            (
                QueueReport {
                    state: queue_state::FAULTED,
                    op: 2,
                    address: 0x4000,
                    ..FINE
                },
                "operator 2 (CONV_2D `c2`) reached device address 0x4000, which is not mapped for that",
            ),
            (
                QueueReport {
                    state: queue_state::TIMED_OUT,
                    ..FINE
                },
                "the job timed out in the program: it ran longer than its queue allows",
            ),
            (
                QueueReport {
                    state: queue_state::DEVICE_LOST,
                    ..FINE
                },
                "the device is lost: no firmware answers; once one does, run again",
            ),
        ];
        for (report, expected) in cases {
            assert_eq!(message(report), expected);
        }
    }

    #[test]
    fn only_others_faults_are_worth_a_retry() {
        let retryable = |state| Error::from_report(&QueueReport { state, ..FINE }).is_retryable();
        assert!(retryable(queue_state::DEVICE_LOST));
        assert!(retryable(queue_state::INNOCENT));
        assert!(!retryable(queue_state::FAULTED));
        assert!(!retryable(queue_state::REJECTED));
        assert!(!retryable(queue_state::TIMED_OUT));
    }
}
