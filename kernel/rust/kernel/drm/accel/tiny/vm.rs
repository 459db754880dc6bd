// SPDX-License-Identifier: GPL-2.0

//! Address spaces on GPUVM.
//!
//! A [`Vm`] is what files and queues hold; a [`Space`] is what the device's table holds, so that
//! every living VM can be told to a device that comes back. GPUVM is the truth about what is mapped
//! where. The device knows as much of it as the driver's part, [`State::hardware`], was told.

use super::{
    bo::BoArgs,
    Access,
    Bo,
    BoRange,
    Device,
    Driver, //
};
use crate::{
    devcoredump::Dump,
    device::Bound,
    drm::{
        self,
        gem::{
            shmem,
            BaseObject, //
        },
        gpuvm::{
            DriverGpuVm,
            GpuVaAlloc,
            GpuVm,
            OpMap,
            OpMapRequest,
            OpMapped,
            OpRemap,
            OpRemapMapData,
            OpRemapped,
            OpUnmap,
            OpUnmapped,
            UniqueRefGpuVm, //
        },
        RegistrationGuard, //
    },
    fmt::{
        self,
        Write, //
    },
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
use core::{
    marker::PhantomData,
    ops::Range, //
};

/// One change of a VM.
pub enum BindOp<D: Driver> {
    /// Map a range of a buffer object at `va`; what was there is unmapped.
    Map {
        /// First device address.
        va: u64,
        /// What to map.
        range: BoRange<D>,
    },
    /// Unmap all in the range.
    Unmap {
        /// The device addresses.
        va: Range<u64>,
    },
}

/// A VM as files and queues hold it. Dropping the last reference destroys it.
pub(super) struct Vm<D: Driver> {
    pub(super) device: ARef<drm::Device<D>>,
    space: Arc<Space<D>>,
}

/// A VM as the device's table holds it.
#[pin_data]
pub(super) struct Space<D: Driver> {
    id: u32,
    /// Device addresses that it can map.
    pub(super) va: Range<u64>,
    device: ARef<drm::Device<D>>,
    /// For jobs, which can't wait for the state. None until the device was told of this VM.
    #[pin]
    vm_id: SpinLock<Option<D::VmId>>,
    #[pin]
    state: Mutex<State<D>>,
}

struct State<D: Driver> {
    gpuvm: UniqueRefGpuVm<Tree<D>>,
    /// None until the device was told of this VM.
    hardware: Option<D::Vm>,
    /// Unmapped, but the device may still reach it.
    unflushed: KVec<Piece<D>>,
    /// Mappings in the tree.
    mapped: usize,
}

/// What GPUVM keeps with each mapping.
pub(super) struct Piece<D: Driver> {
    mapping: D::Mapping,
    access: Access,
}

// Nothing in it is pinned in place.
impl<D: Driver> Unpin for Piece<D> {}

impl<D: Driver> Piece<D> {
    fn new(device: &Device<D>, parent: &D::ParentDevice<Bound>, range: BoRange<D>) -> Result<Self> {
        Ok(Self {
            access: range.access,
            mapping: D::share(device, parent, range)?,
        })
    }

    /// A part of this that stays mapped when the rest goes. The device needn't be told: it only
    /// matters to one that comes back.
    fn part(&self, update: &Update<'_, D>, bo: &Bo<D>, part: &OpRemapMapData) -> Result<Self> {
        let range = BoRange {
            bo: bo.into(),
            offset: part.gem_offset(),
            size: part.length(),
            access: self.access,
        };
        Self::new(update.device, update.parent.ok_or(ENODEV)?, range)
    }
}

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
        let root = Bo::<D>::new(
            device,
            PAGE_SIZE,
            shmem::ObjectConfig::default(),
            BoArgs::default(),
        )?;
        let gpuvm =
            GpuVm::new::<Error, _>(c"accel-tiny", device, &*root, va.clone(), 0..0, Tree::new())?;
        let id = spaces.unused_id();
        let space = Arc::pin_init(
            pin_init!(Space {
                id,
                va,
                device: device.into(),
                vm_id <- new_spinlock!(None),
                state <- new_mutex!(State {
                    gpuvm,
                    hardware: None,
                    unflushed: KVec::new(),
                    mapped: 0,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let memory = UniqueArc::<Self>::new_uninit(GFP_KERNEL_ACCOUNT)?;
        vm = Arc::from(memory.write(Self {
            device: device.into(),
            space: space.clone(),
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

    /// Does one change.
    pub(super) fn bind(&self, op: BindOp<D>) -> Result {
        let guard = registered(&self.device)?;
        let parent = (*guard).as_ref();
        let mut state = self.space.state.lock();
        match op {
            BindOp::Map { va, range } => state.map(&self.device, parent, va, range),
            BindOp::Unmap { va } => state.unmap(&self.device, parent, va),
        }
    }

    /// Returns when the device reaches nothing that was unmapped before.
    pub(super) fn flush(&self) -> Result {
        let mut state = self.space.state.lock();
        if state.unflushed.is_empty() {
            return Ok(());
        }
        if let Some(hardware) = &mut state.hardware {
            settle(&self.device, D::flush(&self.device, hardware))?;
        }
        let unreachable = core::mem::take(&mut state.unflushed);
        drop(state);
        drop(unreachable);
        Ok(())
    }
}

impl<D: Driver> Drop for Vm<D> {
    fn drop(&mut self) {
        self.device.spaces.lock().remove(&self.space);
        let mut state = self.space.state.lock();
        if let Some(mut hardware) = state.hardware.take() {
            let _ = settle(&self.device, D::vm_destroy(&self.device, &mut hardware));
        }
        state.clear(&self.device);
    }
}

impl<D: Driver> Space<D> {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Writes what is mapped into a core dump.
    pub(super) fn write(&self, dump: &mut Dump) -> fmt::Result {
        writeln!(dump, "vm {}: {:#x?}", self.id, self.va)?;
        for va in self.state.lock().gpuvm.iter() {
            let (range, offset) = (va.range(), va.gem_offset());
            let access = va.data().as_ref().map(|piece| piece.access);
            writeln!(dump, "  {range:#x?}: BO offset {offset:#x}, {access:?}")?;
        }
        Ok(())
    }

    /// Tells a device that knows nothing of this VM all about it.
    pub(super) fn replay(&self) -> Result {
        let guard = registered(&self.device)?;
        let device: &Device<D> = &self.device;
        let mut state = self.state.lock();
        let mut hardware = D::vm_create(device, (*guard).as_ref(), self.id)?;
        for va in state.gpuvm.iter() {
            let piece = va.data().as_ref().ok_or(EINVAL)?;
            D::map(device, &mut hardware, va.range(), &piece.mapping)?;
        }
        *self.vm_id.lock() = Some(D::vm_id(&hardware));
        state.hardware = Some(hardware);
        state.unflushed.clear();
        Ok(())
    }
}

// Nothing in it is pinned in place.
impl<D: Driver> Unpin for State<D> {}

impl<D: Driver> State<D> {
    fn map(
        &mut self,
        device: &Device<D>,
        parent: &D::ParentDevice<Bound>,
        va: u64,
        range: BoRange<D>,
    ) -> Result {
        let bytes = range.size;
        self.check_range(va, bytes)?;
        check_bo_range(&range)?;
        if self.mapped >= D::LIMITS.mappings {
            return Err(ENOSPC);
        }
        let gem_offset = range.offset;
        let vm_bo = self.gpuvm.obtain(&range.bo, ())?;
        let fresh = Piece::new(device, parent, range)?;
        let mut update = Update {
            device,
            parent: Some(parent),
            hardware: self.hardware.as_mut(),
            unflushed: Some(&mut self.unflushed),
            mapped: &mut self.mapped,
            fresh: Some(fresh),
            spare: Update::spares()?,
        };
        let result = self.gpuvm.sm_map(OpMapRequest {
            addr: va,
            range: bytes,
            gem_offset,
            vm_bo: &vm_bo,
            context: &mut update,
        });
        drop(vm_bo);
        self.gpuvm.deferred_cleanup();
        result
    }

    fn unmap(
        &mut self,
        device: &Device<D>,
        parent: &D::ParentDevice<Bound>,
        va: Range<u64>,
    ) -> Result {
        let size = va.end.checked_sub(va.start).ok_or(EINVAL)?;
        self.check_range(va.start, size)?;
        let mut update = Update {
            device,
            parent: Some(parent),
            hardware: self.hardware.as_mut(),
            unflushed: Some(&mut self.unflushed),
            mapped: &mut self.mapped,
            fresh: None,
            spare: Update::spares()?,
        };
        let result = self.gpuvm.sm_unmap(va.start, size, &mut update);
        self.gpuvm.deferred_cleanup();
        result
    }

    /// Forgets all mappings, after the device did.
    fn clear(&mut self, device: &Device<D>) {
        let va = self.gpuvm.va_range();
        let mut update = Update {
            device,
            parent: None,
            hardware: None,
            unflushed: None,
            mapped: &mut self.mapped,
            fresh: None,
            spare: [None, None, None],
        };
        // No mapping is split and nothing is allocated, so that this can't fail.
        let _ = self
            .gpuvm
            .sm_unmap(va.start, va.end - va.start, &mut update);
        self.gpuvm.deferred_cleanup();
        self.unflushed.clear();
    }

    fn check_range(&self, va: u64, size: u64) -> Result {
        let page = PAGE_SIZE as u64;
        let end = va.checked_add(size).ok_or(EINVAL)?;
        let space = self.gpuvm.va_range();
        let aligned = va.is_multiple_of(page) && size.is_multiple_of(page);
        if size == 0 || !aligned || va < space.start || end > space.end {
            return Err(EINVAL);
        }
        Ok(())
    }
}

fn check_bo_range<D: Driver>(range: &BoRange<D>) -> Result {
    let end = range.offset.checked_add(range.size).ok_or(EINVAL)?;
    if !range.offset.is_multiple_of(PAGE_SIZE as u64) || end > range.bo.size() as u64 {
        return Err(EINVAL);
    }
    Ok(())
}

/// A lost device is no failure of a change: it is told when it comes back.
fn unless_lost(result: Result) -> Result {
    match result {
        Err(ENODEV) => Ok(()),
        other => other,
    }
}

/// Cuts off a device that doesn't confirm in time; one that is lost reaches nothing.
fn settle<D: Driver>(device: &Device<D>, result: Result) -> Result {
    if result == Err(ETIMEDOUT) {
        device.unresponsive();
        return Ok(());
    }
    unless_lost(result)
}

/// What GPUVM calls back: its steps, applied to the device and to the tree.
pub(super) struct Tree<D>(PhantomData<fn() -> D>);

impl<D> Tree<D> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

/// What a step needs.
pub(super) struct Update<'a, D: Driver> {
    device: &'a Device<D>,
    /// None when nothing is mapped any more.
    parent: Option<&'a D::ParentDevice<Bound>>,
    hardware: Option<&'a mut D::Vm>,
    /// Where unmapped pieces wait for the flush; None when the device reaches nothing any more.
    unflushed: Option<&'a mut KVec<Piece<D>>>,
    mapped: &'a mut usize,
    fresh: Option<Piece<D>>,
    spare: [Option<GpuVaAlloc<Tree<D>>>; 3],
}

impl<D: Driver> Update<'_, D> {
    /// One new mapping and the two ends of one that it splits.
    fn spares() -> Result<[Option<GpuVaAlloc<Tree<D>>>; 3]> {
        Ok([
            Some(GpuVaAlloc::new(GFP_KERNEL_ACCOUNT)?),
            Some(GpuVaAlloc::new(GFP_KERNEL_ACCOUNT)?),
            Some(GpuVaAlloc::new(GFP_KERNEL_ACCOUNT)?),
        ])
    }

    fn spare(&mut self) -> Result<GpuVaAlloc<Tree<D>>> {
        self.spare.iter_mut().find_map(Option::take).ok_or(EINVAL)
    }

    fn write_map(&mut self, va: Range<u64>, piece: &Piece<D>) -> Result {
        let Some(vm) = &mut self.hardware else {
            return Ok(());
        };
        unless_lost(D::map(self.device, vm, va, &piece.mapping))
    }

    /// Unmaps; nothing can fail between this and [`Self::retire`].
    fn write_unmap(&mut self, va: Range<u64>) -> Result {
        if let Some(unflushed) = &mut self.unflushed {
            unflushed.reserve(1, GFP_KERNEL_ACCOUNT)?;
        }
        let Some(vm) = &mut self.hardware else {
            return Ok(());
        };
        unless_lost(D::unmap(self.device, vm, va))
    }

    fn retire(&mut self, piece: Option<Piece<D>>) {
        if let (Some(unflushed), Some(piece)) = (&mut self.unflushed, piece) {
            // There is room, see `write_unmap()`.
            let _ = unflushed.push_within_capacity(piece);
        }
    }
}

impl<D: Driver> DriverGpuVm for Tree<D> {
    type Driver = D;
    type Object = Bo<D>;
    /// Always some; a remap has none where no part is left.
    type VaData = Option<Piece<D>>;
    type VmBoData = ();
    type SmContext<'ctx> = Update<'ctx, D>;

    fn sm_step_map<'op>(
        &mut self,
        op: OpMap<'op, Self>,
        update: &mut Update<'_, D>,
    ) -> Result<OpMapped<'op, Self>> {
        let piece = update.fresh.take().ok_or(EINVAL)?;
        let spare = update.spare()?;
        update.write_map(op.addr()..op.addr() + op.length(), &piece)?;
        *update.mapped += 1;
        Ok(op.insert(spare, Some(piece)))
    }

    fn sm_step_unmap<'op>(
        &mut self,
        op: OpUnmap<'op, Self>,
        update: &mut Update<'_, D>,
    ) -> Result<OpUnmapped<'op, Self>> {
        update.write_unmap(op.va().range())?;
        let (op, va) = op.remove();
        *update.mapped -= 1;
        update.retire(va.into_inner());
        Ok(op)
    }

    fn sm_step_remap<'op>(
        &mut self,
        op: OpRemap<'op, Self>,
        update: &mut Update<'_, D>,
    ) -> Result<OpRemapped<'op, Self>> {
        let old = op.va_to_unmap().data().as_ref().ok_or(EINVAL)?;
        let part = |part| old.part(update, op.obj(), part);
        let head = op.prev().map(part).transpose()?;
        let tail = op.next().map(part).transpose()?;
        let parts = usize::from(head.is_some()) + usize::from(tail.is_some());
        let spares = [update.spare()?, update.spare()?];
        update.write_unmap(hole_of(&op))?;
        let (op, rest) = op.remap(spares, head, tail);
        *update.mapped = *update.mapped - 1 + parts;
        update.spare[0] = update.spare[0].take().or(rest.unused_va);
        update.retire(rest.unmapped_va.into_inner());
        Ok(op)
    }
}

/// The device addresses between the parts that stay mapped.
fn hole_of<D: Driver>(op: &OpRemap<'_, Tree<D>>) -> Range<u64> {
    let old = op.va_to_unmap().range();
    let start = op
        .prev()
        .map_or(old.start, |prev| prev.addr() + prev.length());
    let end = op.next().map_or(old.end, |next| next.addr());
    start..end
}

impl<D: Driver> BoRange<D> {
    /// Whether the device may write.
    pub fn writable(&self) -> bool {
        self.access == Access::ReadWrite
    }
}
