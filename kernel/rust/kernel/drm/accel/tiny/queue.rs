// SPDX-License-Identifier: GPL-2.0

//! Queues: jobs that start and end in order, and what stopped them.

use super::{
    job::{
        Job,
        JobTime, //
    },
    usage::Usage,
    vm::Vm,
    Device,
    Driver,
    Report, //
};
use crate::{
    drm::{
        self,
        sched::{
            self,
            Entity,
            Reaper, //
        }, //
    },
    fmt::{
        self,
        Write, //
    },
    module::this_module,
    prelude::*,
    sync::{
        atomic::Relaxed,
        new_spinlock,
        Arc,
        SpinLock, //
    },
    time::Delta, //
};

/// How urgent the jobs of a queue are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// After all others.
    Low,
    /// The usual one.
    Normal,
    /// Before the two above.
    High,
    /// Before all others.
    Realtime,
}

impl Priority {
    /// A job with a higher one goes before one with a lower one.
    pub fn urgency(self) -> u16 {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::Realtime => 3,
        }
    }
}

/// Which of a core's schedulers a queue belongs to. Urgent jobs have their own, so that they get to
/// a device that chooses among jobs, however many others it has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Usual,
    Urgent,
}

impl Lane {
    /// How many there are if a core has `core_jobs` jobs at once.
    pub(super) const fn count(core_jobs: u32) -> usize {
        if core_jobs > 1 {
            2
        } else {
            1
        }
    }

    fn of(priority: Priority, core_jobs: u32) -> Self {
        match priority {
            Priority::High | Priority::Realtime if Self::count(core_jobs) > 1 => Self::Urgent,
            _ => Self::Usual,
        }
    }
}

/// What a queue is made with.
pub struct QueueConfig {
    /// How urgent its jobs are.
    pub priority: Priority,
    /// Cores that may run its jobs; 0 for all.
    pub core_mask: u64,
    /// Cores that may work on one job together, at least 1.
    pub max_cores: u32,
    /// Longest time that a job may run without getting on.
    pub timeout: Delta,
    /// Longest time that a job may run at all, if the device says that it gets on.
    pub limit: Delta,
}

impl QueueConfig {
    /// The usual priority, on any core.
    pub fn new(timeout: Delta) -> Self {
        Self {
            priority: Priority::Normal,
            core_mask: 0,
            max_cores: 1,
            timeout,
            limit: timeout,
        }
    }
}

/// How a queue does. All but [`Ok`](Self::Ok) are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// Takes jobs.
    Ok,
    /// A job ran longer than its timeout.
    TimedOut,
    /// A job reached outside its VM's mappings.
    Faulted,
    /// The device refused a job.
    Rejected,
    /// Another queue's job made the device unresponsive under a job of this one.
    Innocent,
    /// The device went away under a job.
    DeviceLost,
}

/// How a queue does, and what stopped it.
#[derive(Clone, Copy)]
pub struct QueueInfo {
    /// How it does.
    pub state: QueueState,
    /// What the device said of the job that failed.
    pub report: Report,
    /// Jobs that ended well.
    pub jobs_done: u64,
    /// When the last job ran that the device told of.
    pub last: JobTime,
    /// Time of the device that all jobs took together, in nanoseconds.
    pub device_ns: u64,
}

struct Status {
    info: QueueInfo,
    closed: bool,
    /// Jobs that have not been freed.
    jobs: usize,
}

/// How a queue does, as the queue itself and the device's table hold it.
#[pin_data]
pub(super) struct Standing {
    number: u32,
    vm: u32,
    priority: Priority,
    timeout: Delta,
    #[pin]
    status: SpinLock<Status>,
}

impl Standing {
    fn new(number: u32, vm: u32, config: &QueueConfig) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                number,
                vm,
                priority: config.priority,
                timeout: config.timeout,
                status <- new_spinlock!(Status {
                    info: QueueInfo {
                        state: QueueState::Ok,
                        report: Report::default(),
                        jobs_done: 0,
                        last: JobTime::default(),
                        device_ns: 0,
                    },
                    closed: false,
                    jobs: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// One line about it.
    pub(super) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let (info, jobs) = {
            let status = self.status.lock();
            (status.info, status.jobs)
        };
        writeln!(
            out,
            "queue {} on vm {}: {:?}, {:?}, {} jobs done in {} us, {jobs} queued, timeout {} ms",
            self.number,
            self.vm,
            self.priority,
            info.state,
            info.jobs_done,
            info.device_ns / 1000,
            self.timeout.as_millis()
        )
    }
}

/// A queue of jobs on a VM. The entity goes before the VM.
#[pin_data(PinnedDrop)]
pub(super) struct Queue<D: Driver> {
    entity: Entity<Job<D>>,
    pub(super) priority: Priority,
    pub(super) lane: Lane,
    pub(super) max_cores: u32,
    pub(super) timeout: Delta,
    pub(super) limit: Delta,
    standing: Arc<Standing>,
    reaper: Arc<Reaper>,
    pub(super) vm: Arc<Vm<D>>,
    pub(super) usage: Arc<Usage>,
}

impl<D: Driver> Queue<D> {
    pub(super) fn new(vm: Arc<Vm<D>>, config: QueueConfig, usage: Arc<Usage>) -> Result<Arc<Self>> {
        let owner = this_module::<<D as drm::Driver>::OwnerModule>();
        let reaper = Reaper::new(owner)?;
        let online = vm.device.online().ok_or(ENODEV)?;
        if config.max_cores > online.cores {
            return Err(EINVAL);
        }
        let lane = Lane::of(config.priority, online.core_jobs);
        let entity = {
            let schedulers = vm.device.schedulers(config.core_mask, lane)?;
            Entity::new(config.priority.into(), &schedulers, owner)?
        };
        let standing = Standing::new(vm.device.new_queue_number(), vm.number(), &config)?;
        let queue = Arc::pin_init(
            pin_init!(Self {
                entity,
                priority: config.priority,
                lane,
                max_cores: config.max_cores,
                timeout: config.timeout,
                limit: config.limit,
                standing,
                reaper,
                vm,
                usage,
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let mut queues = queue.device().queues.lock();
        queues.push(queue.standing.clone(), GFP_KERNEL_ACCOUNT)?;
        drop(queues);
        Ok(queue)
    }

    pub(super) fn device(&self) -> &Device<D> {
        &self.vm.device
    }

    /// No other living queue of the device has it.
    pub(super) fn number(&self) -> u32 {
        self.standing.number
    }

    pub(super) fn entity(&self) -> &Entity<Job<D>> {
        &self.entity
    }

    /// How the queue does.
    pub(super) fn info(&self) -> QueueInfo {
        self.standing.status.lock().info
    }

    /// Jobs that have not been freed.
    pub(super) fn queued(&self) -> usize {
        self.standing.status.lock().jobs
    }

    /// Fails with [`ECANCELED`] when the queue takes no more jobs, or its VM is unusable.
    pub(super) fn check(&self) -> Result {
        self.vm.binds.check()?;
        let status = self.standing.status.lock();
        if status.closed || status.info.state != QueueState::Ok {
            return Err(ECANCELED);
        }
        Ok(())
    }

    /// Stops the queue; the first reason stays.
    pub(super) fn fail(&self, state: QueueState, report: Report) {
        let info = &mut self.standing.status.lock().info;
        if info.state == QueueState::Ok {
            info.state = state;
            info.report = report;
        }
    }

    /// Whether something has stopped the queue.
    pub(super) fn has_failed(&self) -> bool {
        self.standing.status.lock().info.state != QueueState::Ok
    }

    /// Counts a job that ended well, or fails with [`ECANCELED`] if one before it has failed.
    pub(super) fn job_done(&self) -> Result {
        let info = &mut self.standing.status.lock().info;
        if info.state != QueueState::Ok {
            return Err(ECANCELED);
        }
        info.jobs_done += 1;
        Ok(())
    }

    /// Keeps when a job ran, if the device tells.
    pub(super) fn took(&self, time: JobTime) {
        if time.end_ns == 0 {
            return;
        }
        self.usage.add_cycles(time.cycles);
        let info = &mut self.standing.status.lock().info;
        info.last = time;
        info.device_ns = info
            .device_ns
            .saturating_add(time.end_ns.saturating_sub(time.start_ns));
    }

    /// Counts a job in, or fails with [`EAGAIN`] when too many wait.
    pub(super) fn job_enters(&self) -> Result {
        let mut status = self.standing.status.lock();
        if status.jobs >= D::LIMITS.queued_jobs {
            return Err(EAGAIN);
        }
        self.usage.job_enters(D::LIMITS.file_jobs())?;
        status.jobs += 1;
        Ok(())
    }

    /// Counts a job out.
    pub(super) fn job_leaves(&self) {
        self.usage.job_leaves();
        self.standing.status.lock().jobs -= 1;
    }

    /// Ends all its jobs: what runs is cancelled, what waits fails when its turn comes.
    pub(super) fn close(&self) {
        self.standing.status.lock().closed = true;
        self.device().cancel_jobs_of(self);
    }

    /// Drops a reference from the fence signalling path: should it be the last one, a system worker
    /// tears the queue down.
    pub(super) fn release(self: Arc<Self>) {
        let reaper = self.reaper.clone();
        if let Some(last) = Arc::into_unique_or_drop(self) {
            reaper.reap(Arc::from(last));
        }
    }
}

impl<D: Driver> Device<D> {
    /// A number that no living queue has, never 0.
    fn new_queue_number(&self) -> u32 {
        loop {
            let number = self.last_queue.fetch_add(1, Relaxed).wrapping_add(1);
            let taken = |queue: &Arc<Standing>| queue.number == number;
            if number != 0 && !self.queues.lock().iter().any(taken) {
                return number;
            }
        }
    }
}

#[pinned_drop]
impl<D: Driver> PinnedDrop for Queue<D> {
    fn drop(self: Pin<&mut Self>) {
        let mut queues = self.device().queues.lock();
        queues.retain(|other| !Arc::ptr_eq(other, &self.standing));
    }
}

impl From<Priority> for sched::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Realtime => Self::Kernel,
        }
    }
}
