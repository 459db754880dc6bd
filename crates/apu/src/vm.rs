//! An address space of the device, and what is mapped in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::AddressSpace;
use crate::backend::{Backend, Point};
use crate::changes::Changes;
use crate::{Buffer, DeviceState, Error, Fence, Queue, QueueOptions, Result};

/// A range of device addresses. The layout is that of `struct drm_apu_segment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// First device address.
    pub va: u64,
    /// Bytes.
    pub size: u64,
}

/// What the device may do through a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads alone; a write is a fault.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// An address space. Clones name the same one; it lives as long as any of them and its queues.
#[derive(Clone, Debug)]
pub struct Vm {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    id: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    addresses: AddressSpace,
    changes: Changes,
}

impl Vm {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        if backend.query()?.state == DeviceState::Lost {
            return Err(Error::DeviceLost);
        }
        let (id, range) = backend.vm_create()?;
        let state = Mutex::new(State {
            addresses: AddressSpace::new(range),
            changes: Changes::default(),
        });
        Ok(Self {
            shared: Arc::new(Shared { backend, id, state }),
        })
    }

    /// Maps all of `buffer` at the lowest addresses that are free.
    ///
    /// # Errors
    /// [`Error::AddressesExhausted`], or [`Error::Call`] from the kernel.
    pub fn bind(&self, buffer: &Buffer, access: Access) -> Result<Segment> {
        let mut state = self.state();
        let range = state.take(self.backend(), buffer.size() as u64)?;
        let mapped = self
            .backend()
            .vm_map(self.id(), &buffer.bo, range, access, None);
        if mapped.is_err() {
            state.addresses.give_back(range);
        }
        mapped.map(|()| range)
    }

    /// The same, but when all of `waits` have ended, well or not, and what was to wait before has
    /// been done. Jobs that reach there are to wait for the fence; so is [`unbind`](Vm::unbind).
    ///
    /// # Errors
    /// As of [`bind`](Vm::bind); [`Error::Call`] too from a device whose changes can't wait.
    pub fn bind_after(
        &self,
        buffer: &Buffer,
        access: Access,
        waits: &[&Fence],
    ) -> Result<(Segment, Fence)> {
        let waits: Vec<Point> = waits.iter().map(|fence| fence.point()).collect();
        let (backend, mut state) = (self.backend(), self.state());
        let range = state.take(backend, buffer.size() as u64)?;
        let queued = state.changes.queue(backend, &waits, |later| {
            backend.vm_map(self.id(), &buffer.bo, range, access, Some(later))
        });
        if queued.is_err() {
            state.addresses.give_back(range);
        }
        Ok((range, Fence::of_change(self.clone(), queued?)))
    }

    /// Undoes a [`bind`](Vm::bind): later jobs that reach there fault.
    ///
    /// # Errors
    /// [`Error::NotBound`] for a range that `bind` didn't give, or [`Error::Call`].
    pub fn unbind(&self, range: Segment) -> Result<()> {
        let mut state = self.state();
        state.check(range)?;
        state.addresses.give_back(range);
        self.backend().vm_unmap(self.id(), range, None)
    }

    /// The same, but when all of `waits` have ended, well or not, and what was to wait before has
    /// been done. Jobs can reach there until the fence is signalled.
    ///
    /// # Errors
    /// As of [`unbind`](Vm::unbind).
    pub fn unbind_after(&self, range: Segment, waits: &[&Fence]) -> Result<Fence> {
        let waits: Vec<Point> = waits.iter().map(|fence| fence.point()).collect();
        let (backend, mut state) = (self.backend(), self.state());
        state.check(range)?;
        let point = state.changes.queue(backend, &waits, |later| {
            backend.vm_unmap(self.id(), range, Some(later))
        })?;
        state.changes.leaves(point, range);
        Ok(Fence::of_change(self.clone(), point))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue of jobs that see this address space.
    ///
    /// # Errors
    /// [`Error::Call`] when there are too many, or the priority isn't ours to take.
    pub fn create_queue(&self, options: &QueueOptions) -> Result<Queue> {
        Queue::new(self.clone(), options)
    }

    pub(crate) fn id(&self) -> u32 {
        self.shared.id
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.shared.backend
    }
}

impl State {
    /// Takes the lowest `size` bytes of addresses in a row that are free.
    fn take(&mut self, backend: &dyn Backend, size: u64) -> Result<Segment> {
        for range in self.changes.left(backend) {
            self.addresses.give_back(range);
        }
        let range = self.addresses.take(size);
        range.ok_or_else(|| Error::AddressesExhausted {
            needed: size,
            free: self.addresses.free(),
        })
    }

    /// That `range` is bound, and stays so.
    fn check(&self, range: Segment) -> Result<()> {
        if !self.addresses.is_taken(range) || self.changes.is_leaving(range) {
            return Err(Error::NotBound { range });
        }
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.backend.vm_destroy(self.id);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.changes.close(&*self.backend);
    }
}
