//! An address space of the device, and what is mapped in it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::address::AddressSpace;
use crate::backend::Backend;
use crate::{Buffer, DeviceState, Error, Queue, QueueOptions, Result};

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
    addresses: Mutex<AddressSpace>,
}

impl Vm {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        if backend.query()?.state == DeviceState::Lost {
            return Err(Error::DeviceLost);
        }
        let (id, range) = backend.vm_create()?;
        let addresses = Mutex::new(AddressSpace::new(range));
        Ok(Self {
            shared: Arc::new(Shared {
                backend,
                id,
                addresses,
            }),
        })
    }

    /// Maps all of `buffer` at the lowest addresses that are free.
    ///
    /// # Errors
    /// [`Error::AddressesExhausted`], or [`Error::Call`] from the kernel.
    pub fn bind(&self, buffer: &Buffer, access: Access) -> Result<Segment> {
        let mut addresses = self
            .shared
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let size = buffer.size() as u64;
        let range = addresses
            .take(size)
            .ok_or_else(|| Error::AddressesExhausted {
                needed: size,
                free: addresses.free(),
            })?;
        let mapped = self
            .shared
            .backend
            .vm_map(self.shared.id, &buffer.bo, range, access);
        if mapped.is_err() {
            addresses.give_back(range);
        }
        mapped.map(|()| range)
    }

    /// Undoes a [`bind`](Vm::bind): later jobs that reach there fault.
    ///
    /// # Errors
    /// [`Error::NotBound`] for a range that `bind` didn't give, or [`Error::Call`].
    pub fn unbind(&self, range: Segment) -> Result<()> {
        let mut addresses = self
            .shared
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !addresses.give_back(range) {
            return Err(Error::NotBound { range });
        }
        self.shared.backend.vm_unmap(self.shared.id, range)
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

impl Drop for Shared {
    fn drop(&mut self) {
        self.backend.vm_destroy(self.id);
    }
}
