// SPDX-License-Identifier: GPL-2.0

//! Address spaces on GPUVM.
//!
//! A [`Vm`] is what files and queues hold; a [`Space`] is what the device's table holds, so that
//! every living VM can be told to a device that comes back. GPUVM is the truth about what is mapped
//! where. The device knows as much of it as the driver's part, [`State::hardware`], was told.
//!
//! `Space::state` is taken in the fence signalling path: nothing is allocated under it, and no
//! mapping is dropped.

use super::{
    activity::Activity,
    bind::Change,
    bind_queue::BindQueue,
    bo::BoArgs,
    imports::Imports,
    trace,
    tree::{
        unless_lost,
        Piece,
        Seen,
        Tree, //
    },
    BindOp,
    Bo,
    Device,
    Driver, //
};
use crate::{
    drm::{
        self,
        gem::shmem,
        gpuvm::{
            GpuVm,
            UniqueRefGpuVm, //
        },
        RegistrationGuard, //
    },
    fmt::{
        self,
        Write, //
    },
    list::List,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        new_mutex,
        new_spinlock,
        Arc,
        Mutex,
        SpinLock,
        UniqueArc, //
    }, //
};
use core::ops::Range;

/// A VM as files and queues hold it. Dropping the last reference destroys it.
pub(super) struct Vm<D: Driver> {
    pub(super) device: ARef<drm::Device<D>>,
    pub(super) space: Arc<Space<D>>,
    /// Before the state, which its jobs change.
    pub(super) binds: Pin<KBox<BindQueue<D>>>,
}

/// How a VM does.
#[derive(Clone, Copy)]
pub struct VmInfo {
    /// What made it unusable.
    pub failure: Option<BindFailure>,
    /// Mappings in it.
    pub mappings: usize,
    /// Asynchronous changes that are not done yet.
    pub pending: usize,
}

/// An asynchronous change that failed.
#[derive(Clone, Copy)]
pub struct BindFailure {
    /// Why.
    pub error: Error,
    /// Which one of those that were queued together.
    pub op: u32,
    /// First device address of the change.
    pub address: u64,
}

/// A VM as the device's table holds it.
#[pin_data]
pub(super) struct Space<D: Driver> {
    id: u32,
    /// Device addresses that it can map.
    pub(super) va: Range<u64>,
    pub(super) device: ARef<drm::Device<D>>,
    /// For preparing changes, which needs no state.
    pub(super) gpuvm: ARef<GpuVm<Tree<D>>>,
    pub(super) imports: Arc<Imports<D>>,
    pub(super) activity: Arc<Activity>,
    /// For jobs, which can't wait for the state. None until the device was told of this VM.
    #[pin]
    vm_id: SpinLock<Option<D::VmId>>,
    /// Held by who brings changes, but not in the fence signalling path; while it is held no more
    /// come than are queued.
    #[pin]
    pub(super) entry: Mutex<()>,
    #[pin]
    pub(super) state: Mutex<State<D>>,
}

pub(super) struct State<D: Driver> {
    pub(super) gpuvm: UniqueRefGpuVm<Tree<D>>,
    /// None until the device was told of this VM.
    pub(super) hardware: Option<D::Vm>,
    /// Unmapped, but the device may still reach it.
    pub(super) unmapped: List<Piece<D>>,
    /// Mappings in the tree.
    pub(super) mapped: usize,
    /// Counts changes of the tree.
    pub(super) changes: u64,
}

// Nothing in it is pinned in place.
impl<D: Driver> Unpin for State<D> {}

/// Proves that the device is there, or fails with [`ENODEV`].
pub(super) fn registered<D: Driver>(device: &drm::Device<D>) -> Result<RegistrationGuard<'_, D>> {
    // SAFETY: VMs are made by open files alone, hence the device was registered once.
    let device = unsafe { device.assume_ctx::<drm::Ioctl>() };
    device.registration_guard().ok_or(ENODEV)
}

impl<D: Driver> Vm<D> {
    /// Creates an empty VM and tells the device, if there is one.
    pub(super) fn new(device: &drm::Device<D>) -> Result<Arc<Self>> {
        // Declared before the lock, so that a VM which comes to nothing is dropped after it.
        let vm;
        let mut spaces = device.spaces.lock();
        let va = spaces.admit()?;
        let space = Space::new(device, spaces.unused_id(), va)?;
        let memory = UniqueArc::<Self>::new_uninit(GFP_KERNEL_ACCOUNT)?;
        let binds = KBox::pin_init(BindQueue::new(), GFP_KERNEL_ACCOUNT)?;
        vm = Arc::from(memory.write(Self {
            device: device.into(),
            space: space.clone(),
            binds,
        }));
        spaces.list.push(space.clone(), GFP_KERNEL_ACCOUNT)?;
        unless_lost(space.replay())?;
        Ok(vm)
    }

    /// By which the device knows this VM, or [`ENODEV`] when it doesn't.
    pub(super) fn id(&self) -> Result<D::VmId> {
        (*self.space.vm_id.lock()).ok_or(ENODEV)
    }

    /// The number that no other living VM has.
    pub(super) fn number(&self) -> u32 {
        self.space.id
    }

    /// Device addresses that it can map.
    pub(super) fn va(&self) -> Range<u64> {
        self.space.va.clone()
    }

    /// How it does.
    pub(super) fn info(&self) -> VmInfo {
        let (failure, pending) = self.binds.status();
        VmInfo {
            failure,
            mappings: self.space.state.lock().mapped,
            pending,
        }
    }

    /// Does one change at once.
    pub(super) fn bind(&self, op: BindOp<D>, room: &mut D::Room) -> Result {
        self.binds.check()?;
        let mut change = self.prepare(op, room)?;
        let _entry = self.space.entry.lock();
        self.space.apply(&mut change, room)
    }

    /// Returns when the device reaches nothing that was unmapped before.
    pub(super) fn flush(&self, room: &mut D::Room) -> Result {
        let unreachable = self.space.flush(room);
        self.space.gpuvm.deferred_cleanup();
        unreachable.map(drop)
    }
}

impl<D: Driver> Drop for Vm<D> {
    fn drop(&mut self) {
        let Self { device, space, .. } = self;
        device.spaces.lock().remove(space);
        let mut hardware = space.state.lock().hardware.take();
        if let Some(hardware) = &mut hardware {
            let _ = settle(device, D::vm_destroy(device, hardware));
        }
        let mut state = space.state.lock();
        state.clear(device);
        let unreachable = core::mem::take(&mut state.unmapped);
        drop(state);
        drop(unreachable);
        space.gpuvm.deferred_cleanup();
    }
}

impl<D: Driver> Space<D> {
    fn new(device: &drm::Device<D>, id: u32, va: Range<u64>) -> Result<Arc<Self>> {
        let config = shmem::ObjectConfig::default();
        let root = Bo::<D>::new(device, PAGE_SIZE, config, BoArgs::default())?;
        let tree =
            GpuVm::new::<Error, _>(c"accel-tiny", device, &*root, va.clone(), 0..0, Tree::new())?;
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                va,
                device: device.into(),
                gpuvm: (&*tree).into(),
                imports: Imports::new()?,
                activity: Activity::new()?,
                vm_id <- new_spinlock!(None),
                entry <- new_mutex!(()),
                state <- new_mutex!(State {
                    gpuvm: tree,
                    hardware: None,
                    unmapped: List::new(),
                    mapped: 0,
                    changes: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Does a change, on the device and in the tree. May be called in the fence signalling path.
    pub(super) fn apply(&self, change: &mut Change<D>, room: &mut D::Room) -> Result {
        let result = self.state.lock().apply(&self.device, change, room);
        let (va, maps) = (&change.va, change.maps());
        trace::bind(&self.device.parent, self.id, va, maps, result);
        result
    }

    /// Returns when the device reaches nothing that was unmapped before, with what that was. May be
    /// called in the fence signalling path; what it returns is to be dropped elsewhere.
    pub(super) fn flush(&self, room: &mut D::Room) -> Result<List<Piece<D>>> {
        let mut state = self.state.lock();
        if state.unmapped.is_empty() {
            return Ok(List::new());
        }
        if let Some(hardware) = &mut state.hardware {
            settle(&self.device, D::flush(&self.device, hardware, room))?;
        }
        Ok(core::mem::take(&mut state.unmapped))
    }

    /// All that is mapped, by rising address, and which change was the last.
    fn snapshot(&self) -> Result<(KVVec<Seen<D>>, u64)> {
        let mut seen = KVVec::new();
        loop {
            let count = self.state.lock().mapped;
            seen.reserve(count, GFP_KERNEL_ACCOUNT)?;
            let state = self.state.lock();
            if state.mapped <= seen.capacity() {
                for mapping in state.gpuvm.iter().filter_map(Seen::new) {
                    // There is room.
                    let _ = seen.push_within_capacity(mapping);
                }
                return Ok((seen, state.changes));
            }
        }
    }

    /// Writes what is mapped.
    pub(super) fn write(&self, dump: &mut dyn Write) -> fmt::Result {
        writeln!(dump, "vm {}: {:#x?}", self.id, self.va)?;
        let Ok((mappings, _)) = self.snapshot() else {
            return Ok(());
        };
        for Seen { va, offset, of } in &mappings {
            let offset = of.start + offset;
            write!(dump, "  {va:#x?}: BO offset {offset:#x}, {:?}", of.access)?;
            if let Some(label) = &*of.of.bo().label.lock() {
                write!(dump, ", {label:?}")?;
            }
            writeln!(dump)?;
        }
        Ok(())
    }

    /// Tells a device that knows nothing of this VM all about it.
    ///
    /// That takes memory, so that queued changes can't be kept out meanwhile: if some were done,
    /// the device is told what they changed, until nothing did.
    pub(super) fn replay(&self) -> Result {
        let guard = registered(&self.device)?;
        let device: &Device<D> = &self.device;
        let _entry = self.entry.lock();
        let mut hardware = D::vm_create(device, (*guard).as_ref(), self.id)?;
        let mut told = KVVec::new();
        loop {
            let (now, changes) = self.snapshot()?;
            self.tell(&mut hardware, &told, &now)?;
            told = now;
            let mut state = self.state.lock();
            if state.changes == changes {
                *self.vm_id.lock() = Some(D::vm_id(&hardware));
                let old = state.hardware.replace(hardware);
                let unreachable = core::mem::take(&mut state.unmapped);
                drop(state);
                drop((old, unreachable));
                return Ok(());
            }
        }
    }

    /// Brings a device that was told one state of the VM to another one.
    fn tell(&self, hardware: &mut D::Vm, told: &[Seen<D>], now: &[Seen<D>]) -> Result {
        let device: &Device<D> = &self.device;
        for gone in told.iter().filter(|seen| !contains(now, seen)) {
            let mut room = D::Room::default();
            D::reserve(device, &mut room, None)?;
            D::unmap(device, hardware, gone.va.clone(), &mut room)?;
        }
        for fresh in now.iter().filter(|seen| !contains(told, seen)) {
            let mut room = D::Room::default();
            D::reserve(device, &mut room, Some(&fresh.va))?;
            D::map(device, hardware, fresh.part(), &mut room)?;
        }
        Ok(())
    }
}

/// Whether a mapping is in a list by rising address.
fn contains<D: Driver>(list: &[Seen<D>], wanted: &Seen<D>) -> bool {
    let found = list.binary_search_by_key(&wanted.va.start, |seen| seen.va.start);
    found.is_ok_and(|index| list.get(index) == Some(wanted))
}

/// Cuts off a device that doesn't confirm in time; one that is lost reaches nothing.
pub(super) fn settle<D: Driver>(device: &Device<D>, result: Result) -> Result {
    if result == Err(ETIMEDOUT) {
        device.unresponsive();
        return Ok(());
    }
    unless_lost(result)
}
