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
    module::this_module,
    prelude::*,
    sync::{
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

/// What a queue is made with.
pub struct QueueConfig {
    /// How urgent its jobs are.
    pub priority: Priority,
    /// Cores that may run its jobs; 0 for all.
    pub core_mask: u64,
    /// Longest time that a job may run.
    pub timeout: Delta,
}

impl QueueConfig {
    /// The usual priority, on any core.
    pub fn new(timeout: Delta) -> Self {
        Self {
            priority: Priority::Normal,
            core_mask: 0,
            timeout,
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

/// A queue of jobs on a VM. The entity goes before the VM.
#[pin_data]
pub(super) struct Queue<D: Driver> {
    entity: Entity<Job<D>>,
    pub(super) timeout: Delta,
    #[pin]
    status: SpinLock<Status>,
    reaper: Arc<Reaper>,
    pub(super) vm: Arc<Vm<D>>,
    pub(super) usage: Arc<Usage>,
}

impl<D: Driver> Queue<D> {
    pub(super) fn new(vm: Arc<Vm<D>>, config: QueueConfig, usage: Arc<Usage>) -> Result<Arc<Self>> {
        let owner = this_module::<<D as drm::Driver>::OwnerModule>();
        let reaper = Reaper::new(owner)?;
        let entity = {
            let schedulers = vm.device.schedulers(config.core_mask)?;
            Entity::new(config.priority.into(), &schedulers, owner)?
        };
        Arc::pin_init(
            pin_init!(Self {
                entity,
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
                reaper,
                vm,
                usage,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    pub(super) fn device(&self) -> &Device<D> {
        &self.vm.device
    }

    pub(super) fn entity(&self) -> &Entity<Job<D>> {
        &self.entity
    }

    /// How the queue does.
    pub(super) fn info(&self) -> QueueInfo {
        self.status.lock().info
    }

    /// Jobs that have not been freed.
    pub(super) fn queued(&self) -> usize {
        self.status.lock().jobs
    }

    /// Fails with [`ECANCELED`] when the queue takes no more jobs, or its VM is unusable.
    pub(super) fn check(&self) -> Result {
        self.vm.binds.check()?;
        let status = self.status.lock();
        if status.closed || status.info.state != QueueState::Ok {
            return Err(ECANCELED);
        }
        Ok(())
    }

    /// Stops the queue; the first reason stays.
    pub(super) fn fail(&self, state: QueueState, report: Report) {
        let info = &mut self.status.lock().info;
        if info.state == QueueState::Ok {
            info.state = state;
            info.report = report;
        }
    }

    /// Counts a job that ended well.
    pub(super) fn job_done(&self) {
        self.status.lock().info.jobs_done += 1;
    }

    /// Keeps when a job ran.
    pub(super) fn took(&self, time: JobTime) {
        let info = &mut self.status.lock().info;
        info.last = time;
        info.device_ns = info
            .device_ns
            .saturating_add(time.end_ns.saturating_sub(time.start_ns));
    }

    /// Counts a job in, or fails with [`EAGAIN`] when too many wait.
    pub(super) fn job_enters(&self) -> Result {
        let mut status = self.status.lock();
        if status.jobs >= D::LIMITS.queued_jobs {
            return Err(EAGAIN);
        }
        status.jobs += 1;
        Ok(())
    }

    /// Counts a job out.
    pub(super) fn job_leaves(&self) {
        self.status.lock().jobs -= 1;
    }

    /// Ends all its jobs: what runs is cancelled, what waits fails when its turn comes.
    pub(super) fn close(&self) {
        self.status.lock().closed = true;
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
