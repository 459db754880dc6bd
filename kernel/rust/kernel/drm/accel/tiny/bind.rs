// SPDX-License-Identifier: GPL-2.0

//! Changes of a VM: prepared where memory can be had, and done where it can't.

use super::{
    bo::check_range,
    tree::{
        Mapped,
        Spares,
        Tree,
        Update, //
    },
    vm::{
        registered,
        State,
        Vm, //
    },
    BoRange,
    Device,
    Driver, //
};
use crate::{
    drm::gpuvm::{
        GpuVmBo,
        OpMapRequest, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};
use core::ops::Range;

/// One change of a VM.
pub enum BindOp<D: Driver> {
    /// Map a range of a buffer object at `va`.
    Map {
        /// First device address.
        va: u64,
        /// What to map.
        range: BoRange<D>,
        /// Fail with [`EEXIST`] where something is mapped; else that is unmapped.
        exclusive: bool,
    },
    /// Unmap all in the range.
    Unmap {
        /// The device addresses.
        va: Range<u64>,
    },
}

impl<D: Driver> BindOp<D> {
    /// Maps `range` at `va`; what was there is unmapped.
    pub fn map(va: u64, range: BoRange<D>) -> Self {
        Self::Map {
            va,
            range,
            exclusive: false,
        }
    }

    fn va(&self) -> Result<Range<u64>> {
        match self {
            Self::Map { va, range, .. } => Ok(*va..va.checked_add(range.size).ok_or(EINVAL)?),
            Self::Unmap { va } => Ok(va.clone()),
        }
    }
}

/// A change with all that it takes. Nothing is left to allocate, and what can be known to be wrong
/// has been refused.
pub(super) struct Change<D: Driver> {
    pub(super) va: Range<u64>,
    map: Option<Map<D>>,
    spares: Spares<D>,
}

impl<D: Driver> Change<D> {
    pub(super) fn maps(&self) -> bool {
        self.map.is_some()
    }
}

struct Map<D: Driver> {
    of: Arc<Mapped<D>>,
    vm_bo: ARef<GpuVmBo<Tree<D>>>,
    exclusive: bool,
}

impl<D: Driver> Vm<D> {
    /// Prepares a change; what the driver needs for it goes into `room`.
    pub(super) fn prepare(&self, op: BindOp<D>, room: &mut D::Room) -> Result<Change<D>> {
        let guard = registered(&self.device)?;
        let (device, parent): (&Device<D>, _) = (&self.device, (*guard).as_ref());
        let va = op.va()?;
        self.check_va(&va)?;
        let maps = matches!(op, BindOp::Map { .. });
        D::reserve(device, room, maps.then_some(&va))?;
        let map = match op {
            BindOp::Unmap { .. } => None,
            BindOp::Map {
                range, exclusive, ..
            } => {
                check_range(&range)?;
                Some(Map {
                    vm_bo: self.space.gpuvm.obtain(&range.bo, ())?,
                    of: Mapped::new(device, parent, &self.space, range)?,
                    exclusive,
                })
            }
        };
        Ok(Change {
            va,
            map,
            spares: Spares::new()?,
        })
    }

    fn check_va(&self, va: &Range<u64>) -> Result {
        let aligned = |address: u64| address.is_multiple_of(PAGE_SIZE as u64);
        let space = self.va();
        if va.is_empty()
            || !aligned(va.start)
            || !aligned(va.end)
            || va.start < space.start
            || va.end > space.end
        {
            return Err(EINVAL);
        }
        Ok(())
    }
}

impl<D: Driver> State<D> {
    /// See [`Space::apply`](super::vm::Space::apply).
    pub(super) fn apply(
        &mut self,
        device: &Device<D>,
        change: &mut Change<D>,
        room: &mut D::Room,
    ) -> Result {
        let Change { va, map, spares } = change;
        if map.is_some() && self.mapped >= D::LIMITS.mappings {
            return Err(ENOSPC);
        }
        self.changes += 1;
        let size = va.end - va.start;
        let mut update = Update {
            device,
            hardware: self.hardware.as_mut(),
            room,
            va: va.clone(),
            fresh: map.as_ref().map(|map| &map.of),
            exclusive: map.as_ref().is_some_and(|map| map.exclusive),
            spares,
            mapped: &mut self.mapped,
            unmapped: &mut self.unmapped,
            cleared: false,
        };
        match &*map {
            None => self.gpuvm.sm_unmap(va.start, size, &mut update),
            Some(map) => self.gpuvm.sm_map(OpMapRequest {
                addr: va.start,
                range: size,
                gem_offset: map.of.start,
                vm_bo: &map.vm_bo,
                context: &mut update,
            }),
        }
    }

    /// Forgets all mappings, which the device did before.
    pub(super) fn clear(&mut self, device: &Device<D>) {
        let va = self.gpuvm.va_range();
        let mut update = Update {
            device,
            hardware: None,
            room: &mut D::Room::default(),
            va: va.clone(),
            fresh: None,
            exclusive: false,
            spares: &mut Spares::none(),
            mapped: &mut self.mapped,
            unmapped: &mut self.unmapped,
            cleared: true,
        };
        // No mapping is split, so that this can't fail.
        let _ = self
            .gpuvm
            .sm_unmap(va.start, va.end - va.start, &mut update);
    }
}
