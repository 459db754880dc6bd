// SPDX-License-Identifier: GPL-2.0

//! Jobs: from the scheduler's hand to the device and back.

use super::{
    activity::Active,
    device::{
        Engine,
        MAX_CORES, //
    },
    dump::{
        Crash,
        Seat, //
    },
    queue::Queue,
    trace,
    usage::Usage,
    Device,
    Driver,
    Placement,
    QueueState, //
};
use crate::{
    dma_fence::{
        DriverFence,
        DriverFenceAlloc,
        Fence, //
    },
    drm::{
        self,
        sched::JobOps,
        wedge::Recovery, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Names a job, from when it is started to when it has ended. Never 0.
pub type JobId = u64;

/// Longest time from a cancel to the end of the job; after that the device is cut off.
const CANCEL_GRACE: Delta = Delta::from_millis(1000);

/// What a device says of a job that failed. The codes belong to the driver.
#[derive(Clone, Copy)]
pub struct Report {
    /// Status code.
    pub status: u32,
    /// More about the status.
    pub detail: u32,
    /// Which of the job's operations failed, or `u32::MAX`.
    pub op: u32,
    /// Device address of a fault, else 0.
    pub address: u64,
}

impl Report {
    /// No more than where the device found nothing mapped.
    pub fn fault(address: u64) -> Self {
        Self {
            address,
            ..Self::default()
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            status: 0,
            detail: 0,
            op: u32::MAX,
            address: 0,
        }
    }
}

/// When a job ran, by the device's clock. All 0 if the device doesn't tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobTime {
    /// When it began, in nanoseconds.
    pub start_ns: u64,
    /// When it ended, not before that.
    pub end_ns: u64,
}

/// How a job ended.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// Well.
    Done,
    /// Given up, because it was asked for.
    Cancelled(Report),
    /// It reached outside of its VM's mappings: [`EFAULT`].
    Faulted(Report),
    /// The device refused it: [`EINVAL`].
    Rejected(Report),
    /// The device failed or went away under it: [`ENODEV`].
    Lost(Report),
    /// The device was cut off because of another job: [`ENODEV`].
    Innocent,
}

impl Outcome {
    /// The fence's result, and for a failure the queue's state.
    fn verdict(self) -> Result<(), (Error, QueueState, Report)> {
        match self {
            Self::Done => Ok(()),
            Self::Cancelled(report) => Err((ECANCELED, QueueState::Rejected, report)),
            Self::Faulted(report) => Err((EFAULT, QueueState::Faulted, report)),
            Self::Rejected(report) => Err((EINVAL, QueueState::Rejected, report)),
            Self::Lost(report) => Err((ENODEV, QueueState::DeviceLost, report)),
            Self::Innocent => Err((ENODEV, QueueState::Innocent, Report::default())),
        }
    }
}

/// What starting a job takes; all of it is allocated with the job.
pub(super) struct Start<D: Driver> {
    pub(super) payload: D::Job,
    pub(super) fence: DriverFenceAlloc,
    pub(super) active: Active,
}

/// A job in the scheduler's hands.
pub(super) struct Job<D: Driver> {
    id: JobId,
    /// Some until the job is dropped.
    queue: Option<Arc<Queue<D>>>,
    /// Some until the job is started.
    start: Option<Start<D>>,
}

impl<D: Driver> Job<D> {
    pub(super) fn new(queue: Arc<Queue<D>>, start: Start<D>) -> Result<Self> {
        queue.job_enters()?;
        Ok(Self {
            id: queue.device().new_job_id(),
            queue: Some(queue),
            start: Some(start),
        })
    }

    /// Tells who looks on that a client queues it.
    pub(super) fn submitted(&self, client: u64) {
        if let Some(queue) = &self.queue {
            trace::submit(&queue.device().parent, client, self.id, queue.vm.number());
        }
    }
}

impl<D: Driver> Drop for Job<D> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.job_leaves();
            queue.release();
        }
    }
}

impl<D: Driver> JobOps for Job<D> {
    fn run(&mut self, core: u32) -> Result<ARef<Fence>> {
        let queue = self.queue.as_ref().ok_or(ECANCELED)?;
        let start = self.start.take().ok_or(ECANCELED)?;
        queue.device().start(self.id, core, queue, start)
    }

    /// Always asks for more time: a job that is out of time ends like any other, by the device's
    /// word or by the loss of the device, and both signal its fence.
    fn timed_out(&self) {
        if let Some(queue) = &self.queue {
            queue.device().check_time(self.id);
        }
    }
}

/// A job on the device.
pub(super) struct Running<D: Driver> {
    id: JobId,
    queue: Arc<Queue<D>>,
    payload: D::Job,
    fence: DriverFence,
    active: Active,
    started: Instant<Monotonic>,
    cancelled: Option<Cancelled>,
}

struct Cancelled {
    at: Instant<Monotonic>,
    /// What the fence says, whatever the device says.
    error: Error,
}

impl<D: Driver> Running<D> {
    pub(super) fn device(&self) -> ARef<drm::Device<D>> {
        self.queue.vm.device.clone()
    }

    /// What a core dump says of it.
    pub(super) fn seat(&self) -> Seat {
        Seat {
            job: self.id,
            vm: self.queue.vm.number(),
            elapsed: self.started.elapsed(),
            timeout: self.queue.timeout,
            cancelled: self.cancelled.is_some(),
            queue: self.queue.info(),
            queued: self.queue.queued(),
        }
    }

    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.queue.usage
    }

    /// How long it has been on its core.
    pub(super) fn elapsed_ns(&self) -> u64 {
        // CAST: The clock doesn't go back.
        self.started.elapsed().as_nanos() as u64
    }

    /// Tells queue and waiters how the job ended. Not under any lock.
    fn end(self, outcome: Outcome) {
        let result = match (self.cancelled, outcome.verdict()) {
            (Some(cancelled), _) => Err(cancelled.error),
            (None, Ok(())) => {
                self.queue.job_done();
                Ok(())
            }
            (None, Err((error, state, report))) => {
                trace::fault(&self.queue.device().parent, self.id, &report);
                self.queue.fail(state, report);
                Err(error)
            }
        };
        trace::done(&self.queue.device().parent, self.id, result);
        drop(self.active);
        self.fence.signal(result);
        self.queue.release();
    }

    fn cancel(&mut self, device: &Device<D>, error: Error) {
        if self.cancelled.is_none() {
            D::cancel_job(device, &mut self.payload, self.id);
            self.cancelled = Some(Cancelled {
                at: Instant::now(),
                error,
            });
        }
    }

    fn has_time(&self) -> bool {
        match &self.cancelled {
            None => self.started.elapsed() < self.queue.timeout,
            Some(cancelled) => cancelled.at.elapsed() < CANCEL_GRACE,
        }
    }
}

impl<D: Driver> Device<D> {
    /// Tells that a job has ended. [`ENOENT`] when it isn't running: it has ended before.
    pub fn complete(&self, id: JobId, outcome: Outcome, time: JobTime) -> Result {
        let (core, running) = self.engine.lock().take(id).ok_or(ENOENT)?;
        running.queue.took(time);
        self.end(core, running, outcome);
        Ok(())
    }

    /// Tells that the job on `core` has ended, for a device that knows no names of jobs. [`ENOENT`]
    /// when none is there.
    pub fn complete_on(&self, core: u32, outcome: Outcome) -> Result {
        let running = leave(self.engine.lock().seat(core)?).ok_or(ENOENT)?;
        self.end(core as usize, running, outcome);
        Ok(())
    }

    /// Ends a job, and gives its core the next one.
    pub(super) fn end(&self, core: usize, running: Running<D>, outcome: Outcome) {
        running.end(outcome);
        if let Some(scheduler) = self.schedulers.get(core) {
            scheduler.run_now();
        }
    }

    /// Hands a job to the device.
    fn start(
        &self,
        id: JobId,
        core: u32,
        queue: &Arc<Queue<D>>,
        start: Start<D>,
    ) -> Result<ARef<Fence>> {
        let mut engine = self.engine.lock();
        queue.check()?;
        let Start {
            mut payload,
            fence,
            active,
        } = start;
        let started = engine.seat(core).and_then(|_| {
            let placement = Placement {
                job: id,
                vm: queue.vm.id()?,
                core,
            };
            D::run_job(self, &mut payload, placement)
        });
        if let Err(error) = started {
            queue.fail(QueueState::DeviceLost, Report::default());
            return Err(error);
        }
        trace::run(&self.parent, id, core);
        let (fence, waitable) = fence.start();
        *engine.seat(core)? = Some(Running {
            id,
            queue: queue.clone(),
            payload,
            fence,
            active,
            started: Instant::now(),
            cancelled: None,
        });
        Ok(waitable)
    }

    /// Cancels a job that is out of time, and cuts the device off when that doesn't help.
    fn check_time(&self, id: JobId) {
        let mut engine = self.engine.lock();
        let Some(running) = engine.find(id).filter(|running| !running.has_time()) else {
            return;
        };
        if running.cancelled.is_none() {
            running.queue.fail(QueueState::TimedOut, Report::default());
            running.cancel(self, ETIMEDOUT);
            let crash = Crash::of(
                &mut engine,
                "a job ran longer than its timeout",
                Recovery::None,
            );
            drop(engine);
            if let Some(crash) = crash {
                crash.report();
            }
            return;
        }
        drop(engine);
        self.unresponsive();
    }

    /// Cancels what runs of a queue.
    pub(super) fn cancel_jobs_of(&self, queue: &Queue<D>) {
        let mut engine = self.engine.lock();
        for running in engine.running() {
            if core::ptr::eq(&*running.queue, queue) {
                running.cancel(self, ECANCELED);
            }
        }
    }
}

impl<D: Driver> Engine<D> {
    fn find(&mut self, id: JobId) -> Option<&mut Running<D>> {
        self.running().find(|running| running.id == id)
    }

    /// Takes a job off its core, and tells which that was.
    fn take(&mut self, id: JobId) -> Option<(usize, Running<D>)> {
        let runs =
            |seat: &Option<Running<D>>| seat.as_ref().is_some_and(|running| running.id == id);
        let core = self.seats.iter().position(runs)?;
        Some((core, leave(self.seats.get_mut(core)?)?))
    }

    /// Takes all jobs off their cores.
    pub(super) fn take_all(&mut self) -> [Option<Running<D>>; MAX_CORES] {
        self.seats.each_mut().map(leave)
    }
}

/// Takes a job off its core, and counts its time.
fn leave<D: Driver>(seat: &mut Option<Running<D>>) -> Option<Running<D>> {
    let running = seat.take()?;
    running.usage().add_busy(running.elapsed_ns());
    Some(running)
}
