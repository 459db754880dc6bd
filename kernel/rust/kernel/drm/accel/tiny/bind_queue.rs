// SPDX-License-Identifier: GPL-2.0

//! Changes of a VM that wait for fences.
//!
//! They are jobs of a scheduler of the VM's own, made with the first of them: a VM whose changes
//! wait for its device holds no other VM up. A job does its changes and waits for the device to
//! forget what was unmapped, all in the fence signalling path. What is left over, and what was
//! unmapped, is freed by a system worker.

use super::{
    bind::Change,
    prepared::{
        Prepared,
        Syncs, //
    },
    tree::Piece,
    vm::{
        BindFailure,
        Vm, //
    },
    BindOp,
    Driver,
    File, //
};
use crate::{
    dma_fence::{
        DriverFenceAlloc,
        Fence, //
    },
    drm::{
        self,
        sched::{
            Context,
            Entity,
            JobOps,
            Priority,
            Reaper,
            Scheduler, //
        }, //
    },
    list::List,
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        new_mutex,
        new_spinlock,
        Arc,
        Mutex,
        SpinLock,
        UniqueArc, //
    },
    time::Delta,
    ThisModule, //
};
use core::slice;

/// Most changes of one VM that wait at the same time: each holds memory.
pub const MAX_PENDING_BINDS: usize = 256;

/// How often the scheduler asks about a job. Each ends by itself, so it doesn't matter.
const TICK: Delta = Delta::from_millis(1000);

/// The asynchronous side of a VM.
#[pin_data]
pub(super) struct BindQueue<D: Driver> {
    /// Made when it is needed first.
    #[pin]
    entity: Mutex<Option<Entity<BindJob<D>>>>,
    #[pin]
    status: SpinLock<Status>,
}

struct Status {
    failure: Option<BindFailure>,
    closed: bool,
    pending: usize,
}

impl<D: Driver> BindQueue<D> {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            entity <- new_mutex!(None),
            status <- new_spinlock!(Status {
                failure: None,
                closed: false,
                pending: 0,
            }),
        })
    }

    /// What made the VM unusable, and how many changes wait.
    pub(super) fn status(&self) -> (Option<BindFailure>, usize) {
        let status = self.status.lock();
        (status.failure, status.pending)
    }

    /// Fails with [`ECANCELED`] when the VM is unusable.
    pub(super) fn check(&self) -> Result {
        let status = self.status.lock();
        if status.closed || status.failure.is_some() {
            return Err(ECANCELED);
        }
        Ok(())
    }

    /// Lets changes that wait fail when their turn comes.
    pub(super) fn close(&self) {
        self.status.lock().closed = true;
    }

    fn fail(&self, failure: BindFailure) {
        self.status.lock().failure.get_or_insert(failure);
    }
}

/// Counts changes that wait.
struct Pending<D: Driver> {
    vm: Arc<Vm<D>>,
    count: usize,
}

impl<D: Driver> Pending<D> {
    fn new(vm: &Arc<Vm<D>>, count: usize) -> Result<Self> {
        let mut status = vm.binds.status.lock();
        if count > MAX_PENDING_BINDS - status.pending {
            return Err(EAGAIN);
        }
        status.pending += count;
        drop(status);
        Ok(Self {
            vm: vm.clone(),
            count,
        })
    }

    fn done(&mut self) {
        self.vm.binds.status.lock().pending -= core::mem::take(&mut self.count);
    }
}

impl<D: Driver> Drop for Pending<D> {
    fn drop(&mut self) {
        self.done();
        // The changes have gone before this.
        self.vm.space.gpuvm.deferred_cleanup();
    }
}

/// Changes that were queued together, and what has become of them. The VM goes last.
struct Batch<D: Driver> {
    changes: KVec<Change<D>>,
    room: D::Room,
    unreachable: List<Piece<D>>,
    /// The last field: what is above is of this VM.
    pending: Pending<D>,
}

impl<D: Driver> Batch<D> {
    fn new(vm: &Arc<Vm<D>>, changes: KVec<Change<D>>, room: D::Room) -> Result<UniqueArc<Self>> {
        let batch = Self {
            pending: Pending::new(vm, changes.len())?,
            changes,
            room,
            unreachable: List::new(),
        };
        Ok(UniqueArc::new(batch, GFP_KERNEL_ACCOUNT)?)
    }

    /// Does the changes, up to the first one that fails.
    fn run(&mut self) -> Result {
        let vm = &self.pending.vm;
        let mut result = vm.binds.check();
        for (op, change) in (0..).zip(&mut self.changes) {
            if result.is_err() {
                break;
            }
            result = vm.space.apply(change, &mut self.room);
            if let Err(error) = result {
                vm.binds.fail(BindFailure {
                    error,
                    op,
                    address: change.va.start,
                });
            }
        }
        self.unreachable = vm.space.flush(&mut self.room)?;
        result
    }
}

/// A batch in the scheduler's hands.
pub(super) struct BindJob<D: Driver> {
    /// Some until the job is dropped.
    batch: Option<UniqueArc<Batch<D>>>,
    /// Some until the job has run.
    fence: Option<DriverFenceAlloc>,
    reaper: Arc<Reaper>,
}

impl<D: Driver> Drop for BindJob<D> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.reaper.clone().reap(Arc::from(batch));
        }
    }
}

impl<D: Driver> JobOps for BindJob<D> {
    fn run(&mut self, _core: u32) -> Result<ARef<Fence>> {
        let batch = self.batch.as_mut().ok_or(ECANCELED)?;
        let result = batch.run();
        batch.pending.done();
        result?;
        let (fence, waitable) = self.fence.take().ok_or(ECANCELED)?.start();
        fence.signal(Ok(()));
        Ok(waitable)
    }

    /// It ends when the device has answered or was cut off for not doing so.
    fn timed_out(&self) {}
}

/// Queues all changes or none. The number of those that could be comes with the result.
pub(super) fn bind<D: Driver>(
    file: &drm::File<File<D>>,
    vm: &Arc<Vm<D>>,
    ops: impl Iterator<Item = Result<BindOp<D>>>,
    syncs: Syncs,
) -> (u32, Result) {
    let mut room = D::Room::default();
    let mut changes = KVec::new();
    let mut count = 0;
    let mut result = Ok(());
    for op in ops {
        result = op
            .and_then(|op| vm.prepare(op, &mut room))
            .and_then(|change| Ok(changes.push(change, GFP_KERNEL_ACCOUNT)?));
        if result.is_err() {
            break;
        }
        count += 1;
    }
    let result = result.and_then(|()| push(file, vm, Batch::new(vm, changes, room)?, syncs));
    // For the buffer objects of what comes to nothing.
    vm.space.gpuvm.deferred_cleanup();
    (count, result)
}

fn push<D: Driver>(
    file: &drm::File<File<D>>,
    vm: &Arc<Vm<D>>,
    batch: UniqueArc<Batch<D>>,
    syncs: Syncs,
) -> Result {
    vm.binds.check()?;
    let job = BindJob {
        batch: Some(batch),
        fence: Some(DriverFenceAlloc::new()?),
        reaper: Reaper::new(owner::<D>())?,
    };
    let mut entity = vm.binds.entity.lock();
    let entity = match &mut *entity {
        Some(entity) => entity,
        none => none.insert(new_entity(vm)?),
    };
    let job = Prepared::new(file, entity, 1, job, syncs)?;
    let _entry = vm.space.entry.lock();
    job.push(|_| ());
    Ok(())
}

fn new_entity<D: Driver>(vm: &Vm<D>) -> Result<Entity<BindJob<D>>> {
    let scheduler = Scheduler::new(&vm.device.parent, D::INFO.name, 0, 1, TICK, Context::Worker)?;
    let schedulers = slice::from_ref(&scheduler);
    Entity::new(Priority::Normal, schedulers, owner::<D>())
}

fn owner<D: Driver>() -> &'static ThisModule {
    this_module::<<D as drm::Driver>::OwnerModule>()
}
