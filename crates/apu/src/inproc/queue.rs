//! A queue whose core is the calling thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use apu_firmware::memory::{MAX_RANGES, Ranges, RangesError, Reach};
use apu_firmware::{Error, Layout, Operator, Program, View};
use apu_kernels::Isa;
use apu_proto::message::{self, NO_OP, status};
use apu_workers::Pool;
use rustix::io::Errno;

use super::space::{Mappings, Space};
use crate::backend::{QueueReport, queue_state};
use crate::{Job, Segment};

#[derive(Debug)]
pub(super) struct Queue {
    space: Arc<Space>,
    timeout: Duration,
    /// Held while a job runs: the jobs of a queue run one after the other.
    core: Mutex<Core>,
}

/// What the queue's core remembers from job to job.
#[derive(Debug)]
struct Core {
    report: QueueReport,
    programs: Programs,
    workers: Pool,
}

impl Queue {
    pub(super) fn new(space: Arc<Space>, timeout: Duration, workers: Pool) -> Self {
        let report = QueueReport {
            state: queue_state::OK,
            status: 0,
            detail: 0,
            op: NO_OP,
            address: 0,
            jobs_done: 0,
            device_ns: 0,
        };
        Self {
            space,
            timeout,
            core: Mutex::new(Core {
                report,
                programs: Programs::default(),
                workers,
            }),
        }
    }

    pub(super) fn report(&self) -> QueueReport {
        self.lock().report
    }

    /// Runs a job to its end. Its failure is the queue's state, not an error of this call.
    ///
    /// # Safety
    /// While this runs, nobody else writes the memory that `job` names or reads what it can write,
    /// and what it can write is mapped for it only once.
    pub(super) unsafe fn run(&self, isa: Isa, job: &Job) -> Result<(), Errno> {
        let core = &mut *self.lock();
        let report = &mut core.report;
        if report.state != queue_state::OK {
            return Err(Errno::CANCELED);
        }
        // SAFETY: the caller's contract.
        match unsafe { self.run_program(isa, job, &mut core.programs, &mut core.workers) } {
            Ok(()) => report.jobs_done += 1,
            Err(error) => {
                tracing::debug!(%error, "a job failed");
                *report = stopped(&error, report.jobs_done);
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`Queue::run`].
    unsafe fn run_program(
        &self,
        isa: Isa,
        job: &Job,
        programs: &mut Programs,
        workers: &mut Pool,
    ) -> Result<(), Error> {
        let mappings = self.space.hold();
        let fault = |fault| Error::Fault { op: None, fault };
        let code_reach = Reach {
            va: job.program.va,
            size: job.program.size,
            write: false,
        };
        let code = mappings.find(&code_reach).map_err(fault)?;
        // SAFETY: `find` gives that many readable bytes while `mappings` is held, and the caller
        // keeps writers off.
        let code = unsafe { std::slice::from_raw_parts(code.as_ptr(), job.program.size as usize) };
        let program = programs.checked(code)?;
        let ranges = ranges(&program.layout, job)?;
        let mut views: [View<'_>; MAX_RANGES] = Default::default();
        let segments = ranges.as_slice().get(1..).unwrap_or_default();
        for (view, reach) in views.iter_mut().zip(segments) {
            // SAFETY: the caller's contract; and no two views are of the same bytes if one can be
            // written, because `Ranges` promises that for addresses and the caller for buffers.
            *view = unsafe { self::view(&mappings, reach) }.map_err(fault)?;
        }
        // The clock is read so rarely that a short program ends before it is asked.
        if self.timeout.is_zero() {
            return Err(Error::Cancelled { op: 0 });
        }
        let end = Instant::now().checked_add(self.timeout);
        let views = views.get_mut(..segments.len()).unwrap_or_default();
        apu_firmware::run_operators(
            &program.layout,
            &program.operators,
            isa,
            workers,
            views,
            || end.is_some_and(|end| Instant::now() >= end),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last programs, the one used last in front: most queues run the same few again and again.
#[derive(Debug, Default)]
struct Programs(Vec<Checked>);

impl Programs {
    /// Most programs that are kept.
    const MOST: usize = 4;

    /// The program of this code, which is checked if it wasn't before.
    fn checked(&mut self, code: &[u8]) -> Result<&Checked, Error> {
        match self.0.iter().position(|program| program.code == code) {
            Some(index) => self.0[..=index].rotate_right(1),
            None => {
                let program = Checked::new(code)?;
                self.0.truncate(Self::MOST - 1);
                self.0.insert(0, program);
            }
        }
        Ok(&self.0[0])
    }
}

/// A program that was checked, and its code then.
#[derive(Debug)]
struct Checked {
    code: Vec<u8>,
    layout: Layout,
    operators: Vec<Operator>,
}

impl Checked {
    fn new(code: &[u8]) -> Result<Self, Error> {
        let program = Program::validate(code)?;
        Ok(Self {
            code: code.to_vec(),
            layout: *program.layout(),
            operators: program.operators().collect::<Result<_, _>>()?,
        })
    }
}

/// What a job reaches: its code, then its segments.
fn ranges(layout: &Layout, job: &Job) -> Result<Ranges, Error> {
    let mut ranges = Ranges::new();
    let mut push = |segment: Segment, write| {
        ranges
            .push(
                message::Segment {
                    va: segment.va,
                    size: segment.size,
                },
                write,
            )
            .map_err(|error| refusal(error, layout, job))
    };
    push(job.program, false)?;
    for (index, &segment) in job.segments.iter().enumerate() {
        push(segment, layout.is_written(index))?;
    }
    Ok(ranges)
}

fn refusal(error: RangesError, layout: &Layout, job: &Job) -> Error {
    match error {
        RangesError::TooMany => Error::SegmentCount {
            got: job.segments.len(),
            needed: layout.segment_count(),
        },
        RangesError::Overflow(range) => Error::SegmentOverflow {
            segment: range.checked_sub(1),
        },
        RangesError::Overlap(first, second) => Error::SegmentOverlap {
            first: first.checked_sub(1),
            second: second.checked_sub(1),
        },
    }
}

/// # Safety
/// While the view lives, nobody else writes these bytes, and nobody reads them if it can write.
unsafe fn view<'a>(
    mappings: &'a Mappings,
    reach: &Reach,
) -> Result<View<'a>, apu_firmware::memory::AddressFault> {
    let (address, size) = (mappings.find(reach)?.as_ptr(), reach.size as usize);
    Ok(if reach.write {
        // SAFETY: `find` gives `size` bytes that live as long as `mappings`; the caller's contract.
        View::Write(unsafe { std::slice::from_raw_parts_mut(address, size) })
    } else {
        // SAFETY: as above.
        View::Read(unsafe { std::slice::from_raw_parts(address, size) })
    })
}

/// The state of a queue after a failed job, as the kernel driver would tell it.
fn stopped(error: &Error, jobs_done: u64) -> QueueReport {
    let status = error.status();
    let state = match status {
        status::CANCELLED => queue_state::TIMED_OUT,
        status::ADDRESS_FAULT => queue_state::FAULTED,
        _ => queue_state::REJECTED,
    };
    QueueReport {
        state,
        status,
        detail: error.reject(),
        op: error.op(),
        address: error.address(),
        jobs_done,
        device_ns: 0,
    }
}
