// SPDX-License-Identifier: GPL-2.0

//! Jobs: from the scheduler's hand to the device and back.

use super::{
    activity::Active,
    device::Engine,
    dump::{
        Crash,
        Seat, //
    },
    queue::Queue,
    seats::Seats,
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
    pm_runtime::Awake,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::Full,
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
    /// Cycles that its core spent on it, or 0 if the device doesn't count.
    pub cycles: u64,
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
    _awake: Awake,
}

impl<D: Driver> Job<D> {
    pub(super) fn new(queue: Arc<Queue<D>>, start: Start<D>) -> Result<Self> {
        let awake = Awake::new(&queue.device().parent)?;
        queue.job_enters()?;
        Ok(Self {
            id: queue.device().new_job_id(),
            queue: Some(queue),
            start: Some(start),
            _awake: awake,
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

impl JobTime {
    fn took(&self) -> Delta {
        let ns = self.end_ns.saturating_sub(self.start_ns);
        Delta::from_nanos(i64::try_from(ns).unwrap_or(i64::MAX))
    }
}

/// A job on the device.
pub(super) struct Running<D: Driver> {
    pub(super) id: JobId,
    queue: Arc<Queue<D>>,
    payload: D::Job,
    fence: DriverFence,
    active: Active,
    /// When the device got it, and after how many others.
    pub(super) entered: Instant<Monotonic>,
    pub(super) turn: u64,
    /// How it ends, once its device is lost.
    pub(super) lost: Option<Outcome>,
    /// How far it is, and since when.
    progress: Option<(u64, Instant<Monotonic>)>,
    cancelled: Option<Cancelled>,
    /// How it ended, while a job before it of its queue has not.
    ended: Option<Outcome>,
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
    pub(super) fn seat(&self, elapsed: Delta, waiting: usize) -> Seat {
        Seat {
            job: self.id,
            vm: self.queue.vm.number(),
            elapsed,
            progress: self.progress.map(|(progress, _)| progress),
            waiting,
            timeout: self.queue.timeout,
            cancelled: self.cancelled.is_some(),
            queue: self.queue.info(),
            queued: self.queue.queued(),
        }
    }

    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.queue.usage
    }

    /// A job with a higher one goes before one with a lower one.
    pub(super) fn urgency(&self) -> u16 {
        self.queue.priority.urgency()
    }

    /// The device says how far it is.
    pub(super) fn goes_on(&mut self, progress: u64) {
        if self.progress.is_none_or(|(before, _)| before < progress) {
            self.progress = Some((progress, Instant::now()));
        }
    }

    pub(super) fn queue(&self) -> &Arc<Queue<D>> {
        &self.queue
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Keeps how it ended until its turn has come to [`tell`](Self::tell).
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.ended = Some(outcome);
    }

    /// Tells queue and waiters how the job ended, and returns what is left of it. A job that the
    /// device had behind one that failed counts as never begun.
    pub(super) fn tell(self) -> (D::Job, Arc<Queue<D>>) {
        let verdict = self.ended.unwrap_or(Outcome::Innocent).verdict();
        let result = match (self.cancelled, verdict) {
            (Some(cancelled), _) => Err(cancelled.error),
            (None, Ok(())) => self.queue.job_done(),
            (None, Err((error, state, report))) => {
                trace::fault(&self.queue.device().parent, self.id, &report);
                self.queue.fail(state, report);
                Err(error)
            }
        };
        trace::done(&self.queue.device().parent, self.id, result);
        drop(self.active);
        self.fence.signal(result);
        (self.payload, self.queue)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }

    fn cancel(&mut self, device: &Device<D>, error: Error) {
        if self.cancelled.is_none() && self.ended.is_none() {
            D::cancel_job(device, &mut self.payload, self.id);
            self.cancelled = Some(Cancelled {
                at: Instant::now(),
                error,
            });
        }
    }

    /// Whether it may go on, which runs since `began`.
    pub(super) fn has_time(&self, began: Instant<Monotonic>) -> bool {
        if let Some(cancelled) = &self.cancelled {
            return cancelled.at.elapsed().min(began.elapsed()) < CANCEL_GRACE;
        }
        let elapsed = began.elapsed();
        let goes_on = |(_, since): (u64, Instant<Monotonic>)| since.elapsed() < self.queue.timeout;
        elapsed < self.queue.timeout
            || elapsed < self.queue.limit && self.progress.is_some_and(goes_on)
    }
}

/// Ends of jobs that are told together. When this is dropped the cores get their next jobs.
pub struct Ends<'a, D: Driver> {
    device: &'a Device<D>,
    /// Bits of the schedulers whose jobs have ended.
    freed: u64,
}

impl<D: Driver> Ends<'_, D> {
    /// Tells that a job has ended. [`ENOENT`] when it isn't running: it has ended before.
    pub fn complete(&mut self, id: JobId, outcome: Outcome, time: JobTime) -> Result {
        let (core, queue) = {
            let mut engine = self.device.engine.lock();
            let (core, seats) = engine.core_of(id).ok_or(ENOENT)?;
            (core, seats.end(id, outcome, time.took()).ok_or(ENOENT)?)
        };
        queue.took(time);
        self.tell(core, queue);
        Ok(())
    }

    /// Tells of the jobs of a queue on `core` that have ended: in order, as who waits for the last
    /// one takes all before it to have ended.
    pub(super) fn tell(&mut self, core: usize, queue: Arc<Queue<D>>) {
        let device = self.device;
        self.freed |= 1 << device.scheduler_index(queue.lane, core);
        while let Some((payload, its_queue)) = device.tell_first(core, &queue) {
            drop(payload);
            its_queue.release();
        }
        if queue.has_failed() {
            device.cancel_jobs_of(&queue);
        }
        queue.release();
    }
}

impl<D: Driver> Drop for Ends<'_, D> {
    fn drop(&mut self) {
        let _plug = self.device.plug();
        for (index, scheduler) in self.device.schedulers.iter().enumerate() {
            if self.freed & 1 << index != 0 {
                scheduler.run_now();
            }
        }
    }
}

/// Jobs that are started together: the device is told of them when the last one of these is
/// dropped.
pub(super) struct Plug<'a, D: Driver>(&'a Device<D>);

impl<D: Driver> Drop for Plug<'_, D> {
    fn drop(&mut self) {
        if self.0.plugs.fetch_sub(1, Full) == 1 {
            D::kick(self.0);
        }
    }
}

impl<D: Driver> Engine<D> {
    /// Hands a job to the driver.
    fn run(
        &mut self,
        device: &Device<D>,
        id: JobId,
        core: u32,
        queue: &Queue<D>,
        payload: &mut D::Job,
    ) -> Result {
        queue.check()?;
        let mut run = || {
            self.check_place(core)?;
            let placement = Placement {
                job: id,
                vm: queue.vm.id()?,
                core,
                max_cores: queue.max_cores,
                queue: queue.number(),
                priority: queue.priority,
            };
            D::run_job(device, payload, placement)
        };
        run().inspect_err(|_| queue.fail(QueueState::DeviceLost, Report::default()))
    }
}

impl<D: Driver> Device<D> {
    /// For telling ends of jobs together.
    pub fn ends(&self) -> Ends<'_, D> {
        Ends {
            device: self,
            freed: 0,
        }
    }

    /// For starting jobs together.
    pub(super) fn plug(&self) -> Plug<'_, D> {
        self.plugs.fetch_add(1, Full);
        Plug(self)
    }

    /// Tells that a job has ended. [`ENOENT`] when it isn't running: it has ended before.
    pub fn complete(&self, id: JobId, outcome: Outcome, time: JobTime) -> Result {
        self.ends().complete(id, outcome, time)
    }

    /// Tells that the job on `core` has ended, for a device that knows no names of jobs. [`ENOENT`]
    /// when none is there.
    pub fn complete_on(&self, core: u32, outcome: Outcome) -> Result {
        let queue = self.engine.lock().seats(core)?.end_current(outcome);
        self.ends().tell(core as usize, queue.ok_or(ENOENT)?);
        Ok(())
    }

    /// Tells of the first job of a queue on `core`, if that has ended. The fence is signalled under
    /// the lock, so that no job that is started meanwhile can fail before it.
    fn tell_first(&self, core: usize, queue: &Queue<D>) -> Option<(D::Job, Arc<Queue<D>>)> {
        let mut engine = self.engine.lock();
        let first = engine.cores.get_mut(core)?.leave_first(queue)?;
        Some(first.tell())
    }

    /// Tells that a job runs and how far it is, by a number that grows as long as it gets on. A job
    /// that isn't there has ended before.
    pub fn heartbeat(&self, id: JobId, progress: u64) {
        if let Some((_, seats)) = self.engine.lock().core_of(id) {
            seats.heartbeat(id, progress);
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
        // Goes after the lock.
        let _plug = self.plug();
        let mut engine = self.engine.lock();
        let Start {
            mut payload,
            fence,
            active,
        } = start;
        let started = engine.run(self, id, core, queue, &mut payload);
        let seats = engine.cores.get_mut(core as usize).ok_or(ENODEV)?;
        match started {
            // One that can't be started still ends after those before it.
            Err(error) if !seats.has_jobs_of(queue) => return Err(error),
            Err(_) => {}
            Ok(()) => trace::run(&self.parent, id, core),
        }
        let never_begun = |error| Cancelled {
            at: Instant::now(),
            error,
        };
        let (fence, waitable) = fence.start();
        engine.turns += 1;
        let running = Running {
            id,
            queue: queue.clone(),
            payload,
            fence,
            active,
            entered: Instant::now(),
            turn: engine.turns,
            lost: None,
            progress: None,
            ended: started.err().map(|_| Outcome::Innocent),
            cancelled: started.err().map(never_begun),
        };
        engine
            .cores
            .get_mut(core as usize)
            .ok_or(ENODEV)?
            .enter(running)?;
        Ok(waitable)
    }

    /// Looks after the core that has the job.
    fn check_time(&self, id: JobId) {
        let mut engine = self.engine.lock();
        let Some((_, seats)) = engine.core_of(id) else {
            return;
        };
        if self.is_silent(seats) {
            drop(engine);
            self.fell_silent();
            return;
        }
        let Some(running) = seats.overdue() else {
            return;
        };
        if !running.is_cancelled() {
            let queue = running.queue.clone();
            queue.fail(QueueState::TimedOut, Report::default());
            running.cancel(self, ETIMEDOUT);
            let crash = Crash::of(
                &mut engine,
                "a job ran longer than its timeout",
                Recovery::None,
            );
            drop(engine);
            self.cancel_jobs_of(&queue);
            if let Some(crash) = crash {
                crash.report();
            }
            queue.release();
            return;
        }
        drop(engine);
        self.unresponsive();
    }

    /// Whether the device has jobs and says nothing.
    fn is_silent(&self, seats: &Seats<D>) -> bool {
        let began = seats.current().and_then(|running| seats.began(running));
        began.is_some_and(|began| D::is_silent(self, began))
    }

    /// Cancels what the device has of a queue.
    pub(super) fn cancel_jobs_of(&self, queue: &Queue<D>) {
        let mut engine = self.engine.lock();
        for running in engine.running() {
            if core::ptr::eq(&*running.queue, queue) {
                running.cancel(self, ECANCELED);
            }
        }
    }
}
