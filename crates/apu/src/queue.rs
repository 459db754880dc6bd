//! Queues of jobs, and fences that say how a job ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::backend::{Backend, Point, QueueId, QueueReport, Submitted, queue_state};
use crate::{Error, Result, Segment, Vm};

/// Whose jobs go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// After all others.
    Low,
    /// The usual one.
    #[default]
    Normal,
    /// Before the two above; the kernel asks for CAP_SYS_NICE.
    High,
    /// Before all others; the kernel asks for CAP_SYS_NICE.
    Realtime,
}

/// How a queue is made.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Whose jobs go first. In-process there is nobody to go before.
    pub priority: Priority,
    /// Cores that may run the jobs, one bit each; 0 for all.
    pub core_mask: u64,
    /// Longest time that one job may run, in whole milliseconds.
    pub timeout: Duration,
    /// Threads that work on one job together: in-process the one that submits it among them, on a
    /// device its cores, of which there have to be so many.
    pub threads: usize,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            priority: Priority::Normal,
            core_mask: 0,
            timeout: Duration::from_secs(5),
            threads: 1,
        }
    }
}

/// What to run: where the code lies, and the program's segments in its order (constants, arena,
/// inputs, outputs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The program's code.
    pub program: Segment,
    /// At most [`DeviceInfo::max_segments`](crate::DeviceInfo::max_segments).
    pub segments: Vec<Segment>,
}

/// Jobs that start and end in order. When one fails, those after it are given up and the queue is
/// done: make another.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    vm: Vm,
    id: QueueId,
    /// Jobs submitted, and so the last point of the timeline that will be signalled.
    submitted: Mutex<u64>,
}

impl Queue {
    pub(crate) fn new(vm: Vm, options: &QueueOptions) -> Result<Self> {
        let id = vm.backend().queue_create(vm.id(), options)?;
        Ok(Self {
            shared: Arc::new(Shared {
                vm,
                id,
                submitted: Mutex::new(0),
            }),
        })
    }

    /// Queues a job that begins when all of `waits` have ended, well or not. In-process the calling
    /// thread is the core: the job has ended when this returns.
    ///
    /// # Errors
    /// What stopped the queue, if something did before; [`Error::Call`] when the job is malformed.
    ///
    /// # Safety
    /// Until the fence is signalled, nobody writes the bytes that `job` names, and nobody reads
    /// those that it can write: no borrow of [`Buffer::bytes`](crate::Buffer::bytes) is alive, and
    /// no other job on them is in flight without `waits` between. No two of its segments are the
    /// same bytes of a buffer, bound twice, if one of them can be written.
    pub unsafe fn submit(&self, job: &Job, waits: &[&Fence]) -> Result<Fence> {
        let points: Vec<Point> = waits.iter().map(|fence| fence.point()).collect();
        let mut submitted = self
            .shared
            .submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let value = *submitted + 1;
        // SAFETY: the caller keeps our own contract, which is the backend's.
        let progress = unsafe { self.backend().submit(self.shared.id, value, job, &points) }
            .map_err(|error| self.shared.cause(error))?;
        *submitted = value;
        Ok(Fence {
            of: Of::Job(self.shared.clone()),
            value,
            has_ended: progress == Submitted::Ended,
        })
    }

    /// Time of the device that the jobs of this queue took together, by the device's own clock; none
    /// when it has not told. In-process there is no device.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn device_time(&self) -> Result<Option<Duration>> {
        let ns = self.backend().queue_report(self.shared.id)?.device_ns;
        Ok((ns > 0).then_some(Duration::from_nanos(ns)))
    }

    fn backend(&self) -> &dyn Backend {
        self.shared.vm.backend()
    }
}

impl Shared {
    /// What stopped the queue explains a refused submit better than the refusal.
    fn cause(&self, refusal: Error) -> Error {
        match self.vm.backend().queue_report(self.id) {
            Ok(report) if report.state != queue_state::OK => Error::from_report(&report),
            _ => refusal,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.vm.backend().queue_destroy(self.id);
    }
}

/// The end of one job, or of a change of a VM that waits for others.
#[derive(Clone, Debug)]
pub struct Fence {
    of: Of,
    value: u64,
    /// Whether it is known that it ended well.
    has_ended: bool,
}

#[derive(Clone, Debug)]
enum Of {
    Job(Arc<Shared>),
    Change(Vm, u32),
}

impl Fence {
    /// The end of a change, which is a point of a timeline that belongs to `vm`.
    pub(crate) fn of_change(vm: Vm, point: Point) -> Self {
        Self {
            of: Of::Change(vm, point.timeline),
            value: point.value,
            has_ended: false,
        }
    }

    /// Waits for the end, `timeout` at most, and says how the job or the change ended.
    ///
    /// # Errors
    /// [`Error::WaitTimedOut`] when it goes on; else what stopped the job, such as
    /// [`Error::DeviceLost`], [`Error::JobTimedOut`], [`Error::Faulted`] or [`Error::Rejected`], or
    /// [`Error::Call`] for a change, upon which its VM is unusable.
    pub fn wait(&self, timeout: Duration) -> Result<()> {
        if self.has_ended {
            return Ok(());
        }
        let vm = match &self.of {
            Of::Job(queue) => &queue.vm,
            Of::Change(vm, _) => vm,
        };
        if !vm.backend().wait(self.point(), timeout)? {
            return Err(Error::WaitTimedOut { after: timeout });
        }
        match &self.of {
            Of::Job(queue) => self.outcome(&vm.backend().queue_report(queue.id)?),
            Of::Change(..) => vm.backend().vm_check(vm.id()),
        }
    }

    /// Jobs of a queue end in order and the first failure is the last job that ran, so the number
    /// of those that ended well tells each one's fate.
    fn outcome(&self, report: &QueueReport) -> Result<()> {
        if report.state == queue_state::OK || report.jobs_done >= self.value {
            Ok(())
        } else {
            Err(Error::from_report(report))
        }
    }

    pub(crate) fn point(&self) -> Point {
        let timeline = match &self.of {
            Of::Job(queue) => queue.id.timeline,
            Of::Change(_, timeline) => *timeline,
        };
        Point {
            timeline,
            value: self.value,
        }
    }
}
