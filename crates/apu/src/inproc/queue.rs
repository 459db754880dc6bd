//! A queue whose core is the calling thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use apu_firmware::{Error, Layout, Operator, Program, View};
use apu_kernels::Isa;
use apu_proto::message::{NO_OP, status};
use apu_workers::Pool;
use rustix::io::Errno;

use super::reached::Reached;
use super::space::Space;
use crate::Job;
use crate::backend::{QueueReport, Submitted, queue_state};

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
    /// What the last job reached.
    reached: Option<Reached>,
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
                reached: None,
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
    pub(super) unsafe fn run(&self, isa: Isa, job: &Job) -> Result<Submitted, Errno> {
        let core = &mut *self.lock();
        if core.report.state != queue_state::OK {
            return Err(Errno::CANCELED);
        }
        // SAFETY: the caller's contract.
        match unsafe { self.run_program(isa, job, core) } {
            Ok(()) => {
                core.report.jobs_done += 1;
                Ok(Submitted::Ended)
            }
            Err(error) => {
                tracing::debug!(%error, "a job failed");
                core.report = stopped(&error, core.report.jobs_done);
                Ok(Submitted::Queued)
            }
        }
    }

    /// # Safety
    /// As [`Queue::run`].
    unsafe fn run_program(&self, isa: Isa, job: &Job, core: &mut Core) -> Result<(), Error> {
        let mappings = self.space.hold();
        let reached = core.reached.take();
        let reached = reached.filter(|reached| reached.is_of(&mappings, job));
        // SAFETY: the caller keeps writers off.
        let code = unsafe { Reached::code(reached.as_ref(), &mappings, job) }?;
        let (program, is_last) = core.programs.checked(code)?;
        let reached = match reached.filter(|_| is_last) {
            Some(reached) => reached,
            None => Reached::new(&mappings, &program.layout, job)?,
        };
        let reached = core.reached.insert(reached);
        if self.timeout.is_zero() {
            return Err(Error::Cancelled { op: 0 });
        }
        // The clock runs from when it is asked first: a short program ends before that, and reading it
        // takes as long as a small operator.
        let mut end = None;
        let is_over = || {
            let now = Instant::now();
            let end = end.get_or_insert_with(|| now.checked_add(self.timeout));
            end.is_some_and(|end| now >= end)
        };
        let Checked {
            layout, operators, ..
        } = program;
        let run = |views: &mut [View<'_>]| {
            apu_firmware::run_operators(layout, operators, isa, &mut core.workers, views, is_over)
        };
        // SAFETY: it is of `mappings`, which are held; the caller's contract.
        unsafe { reached.with_views(&mappings, run) }
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

    /// The program of this code, which is checked if it wasn't before, and whether it is that of the last
    /// call.
    fn checked(&mut self, code: &[u8]) -> Result<(&Checked, bool), Error> {
        let index = self.0.iter().position(|program| program.code == code);
        match index {
            Some(index) => self.0[..=index].rotate_right(1),
            None => {
                let program = Checked::new(code)?;
                self.0.truncate(Self::MOST - 1);
                self.0.insert(0, program);
            }
        }
        Ok((&self.0[0], index == Some(0)))
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
