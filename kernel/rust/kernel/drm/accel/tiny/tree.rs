// SPDX-License-Identifier: GPL-2.0

//! What GPUVM keeps of each mapping, and what its steps do to the tree and to the device.
//!
//! Steps may be taken in the fence signalling path. They allocate nothing and free nothing that
//! takes locks to free: what they need is in an [`Update`], and so is afterwards what is left over.

use super::{
    activity::MappedBo,
    imports::Import,
    vm::{
        settle,
        Space, //
    },
    Access,
    Bo,
    BoRange,
    Device,
    Driver,
    Part, //
};
use crate::{
    device::Bound,
    drm::gpuvm::{
        DriverGpuVm,
        GpuVa,
        GpuVaAlloc,
        OpMap,
        OpMapped,
        OpRemap,
        OpRemapped,
        OpUnmap,
        OpUnmapped, //
    },
    list::{
        impl_list_arc_safe,
        impl_list_item,
        List,
        ListArc,
        ListLinks, //
    },
    prelude::*,
    sync::{
        Arc,
        UniqueArc, //
    }, //
};
use core::{
    convert::Infallible,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range, //
};

/// A mapping as it was made. When it is split, the parts share it.
pub(super) struct Mapped<D: Driver> {
    pub(super) mapping: D::Mapping,
    /// First byte in the buffer object.
    pub(super) start: u64,
    pub(super) access: Access,
    pub(super) of: MappedBo<D>,
    /// If it is of a foreign buffer.
    _import: Option<Import<D>>,
}

impl<D: Driver> Mapped<D> {
    pub(super) fn new(
        device: &Device<D>,
        parent: &D::ParentDevice<Bound>,
        space: &Space<D>,
        range: BoRange<D>,
    ) -> Result<Arc<Self>> {
        let mapped = Self {
            _import: space.imports.count(&range)?,
            of: MappedBo::new(&range.bo, &space.activity)?,
            start: range.offset,
            access: range.access,
            mapping: D::share(device, parent, range)?,
        };
        Ok(Arc::new(mapped, GFP_KERNEL_ACCOUNT)?)
    }
}

/// What GPUVM keeps with a mapping, or with a part that is left of one.
#[pin_data]
pub(super) struct Piece<D: Driver> {
    pub(super) of: Arc<Mapped<D>>,
    /// For when it is unmapped.
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl{D: Driver} ListArcSafe<0> for Piece<D> { untracked; }
}
impl_list_item! {
    impl{D: Driver} ListItem<0> for Piece<D> { using ListLinks { self.links }; }
}

/// Memory of the mappings that one change makes at most: a new one, and the two ends of what it
/// splits.
pub(super) struct Spares<D: Driver> {
    nodes: [Option<GpuVaAlloc<Tree<D>>>; 3],
    pieces: [Option<UniqueArc<MaybeUninit<Piece<D>>>>; 3],
}

impl<D: Driver> Spares<D> {
    pub(super) fn new() -> Result<Self> {
        let node = || GpuVaAlloc::new(GFP_KERNEL_ACCOUNT);
        let piece = || UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT);
        Ok(Self {
            nodes: [Some(node()?), Some(node()?), Some(node()?)],
            pieces: [Some(piece()?), Some(piece()?), Some(piece()?)],
        })
    }

    /// For a change that splits nothing.
    pub(super) fn none() -> Self {
        Self {
            nodes: [None, None, None],
            pieces: [None, None, None],
        }
    }

    fn node(&mut self) -> Result<GpuVaAlloc<Tree<D>>> {
        self.nodes.iter_mut().find_map(Option::take).ok_or(EINVAL)
    }

    fn put_back(&mut self, node: Option<GpuVaAlloc<Tree<D>>>) {
        if let Some(room) = self.nodes.iter_mut().find(|node| node.is_none()) {
            *room = node;
        }
    }

    fn piece(&mut self, of: &Arc<Mapped<D>>) -> Result<ListArc<Piece<D>>> {
        let memory = self.pieces.iter_mut().find_map(Option::take);
        let piece = memory
            .ok_or(EINVAL)?
            .pin_init_with::<Infallible>(pin_init!(Piece {
                of: of.clone(),
                links <- ListLinks::new(),
            }));
        match piece {
            Ok(piece) => Ok(piece.into()),
            Err(never) => match never {},
        }
    }
}

/// GPUVM's callbacks.
pub(super) struct Tree<D>(PhantomData<fn() -> D>);

impl<D> Tree<D> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// What the steps of one change need.
pub(super) struct Update<'a, D: Driver> {
    pub(super) device: &'a Device<D>,
    /// None when the device knows nothing of this VM.
    pub(super) hardware: Option<&'a mut D::Vm>,
    pub(super) room: &'a mut D::Room,
    /// All that the change is about.
    pub(super) va: Range<u64>,
    /// What a map maps.
    pub(super) fresh: Option<&'a Arc<Mapped<D>>>,
    /// What is there stays, and the change fails.
    pub(super) exclusive: bool,
    pub(super) spares: &'a mut Spares<D>,
    /// Mappings in the tree.
    pub(super) mapped: &'a mut usize,
    /// Where pieces go that the device may still reach.
    pub(super) unmapped: &'a mut List<Piece<D>>,
    /// The device has been told to forget what was there.
    pub(super) cleared: bool,
}

impl<D: Driver> Update<'_, D> {
    /// Has the device forget all that is in the way, once. Nothing can fail between this and the
    /// change of the tree.
    fn clear(&mut self) -> Result {
        if self.exclusive {
            return Err(EEXIST);
        }
        if core::mem::replace(&mut self.cleared, true) {
            return Ok(());
        }
        let Some(vm) = &mut self.hardware else {
            return Ok(());
        };
        settle(
            self.device,
            D::unmap(self.device, vm, self.va.clone(), self.room),
        )
    }

    fn retire(&mut self, piece: Option<ListArc<Piece<D>>>) {
        if let Some(piece) = piece {
            self.unmapped.push_back(piece);
        }
    }
}

impl<D: Driver> DriverGpuVm for Tree<D> {
    type Driver = D;
    type Object = Bo<D>;
    /// Always some; a remap has none where no part is left.
    type VaData = Option<ListArc<Piece<D>>>;
    type VmBoData = ();
    type SmContext<'ctx> = Update<'ctx, D>;

    fn sm_step_map<'op>(
        &mut self,
        op: OpMap<'op, Self>,
        update: &mut Update<'_, D>,
    ) -> Result<OpMapped<'op, Self>> {
        let fresh = update.fresh.take().ok_or(EINVAL)?;
        let (node, piece) = (update.spares.node()?, update.spares.piece(fresh)?);
        if let Some(vm) = &mut update.hardware {
            let part = Part {
                va: op.addr()..op.addr() + op.length(),
                mapping: &fresh.mapping,
                offset: 0,
            };
            settle(update.device, D::map(update.device, vm, part, update.room))?;
        }
        *update.mapped += 1;
        Ok(op.insert(node, Some(piece)))
    }

    fn sm_step_unmap<'op>(
        &mut self,
        op: OpUnmap<'op, Self>,
        update: &mut Update<'_, D>,
    ) -> Result<OpUnmapped<'op, Self>> {
        update.clear()?;
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
        let parts = usize::from(op.prev().is_some()) + usize::from(op.next().is_some());
        let left = *update.mapped - 1 + parts;
        if left + usize::from(update.fresh.is_some()) > D::LIMITS.mappings && parts > 1 {
            return Err(ENOSPC);
        }
        let mut end = |part: Option<_>| part.map(|_| update.spares.piece(&old.of)).transpose();
        let (head, tail) = (end(op.prev())?, end(op.next())?);
        let nodes = [update.spares.node()?, update.spares.node()?];
        update.clear()?;
        let (op, rest) = op.remap(nodes, head, tail);
        *update.mapped = left;
        update.spares.put_back(rest.unused_va);
        update.retire(rest.unmapped_va.into_inner());
        Ok(op)
    }
}

/// What the device is to be told of a mapping.
pub(super) struct Seen<D: Driver> {
    pub(super) va: Range<u64>,
    /// Bytes of the mapping as it was made that lie before this part.
    pub(super) offset: u64,
    pub(super) of: Arc<Mapped<D>>,
}

impl<D: Driver> Seen<D> {
    pub(super) fn part(&self) -> Part<'_, D> {
        Part {
            va: self.va.clone(),
            mapping: &self.of.mapping,
            offset: self.offset,
        }
    }

    pub(super) fn new(va: &GpuVa<Tree<D>>) -> Option<Self> {
        let of = va.data().as_ref()?.of.clone();
        Some(Self {
            va: va.range(),
            offset: va.gem_offset() - of.start,
            of,
        })
    }
}

impl<D: Driver> PartialEq for Seen<D> {
    fn eq(&self, other: &Self) -> bool {
        self.va == other.va && Arc::ptr_eq(&self.of, &other.of)
    }
}

/// A lost device is no failure of a change: it is told when it comes back.
pub(super) fn unless_lost(result: Result) -> Result {
    match result {
        Err(ENODEV) => Ok(()),
        other => other,
    }
}
