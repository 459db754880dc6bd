// SPDX-License-Identifier: GPL-2.0

//! Foreign buffers in a VM.
//!
//! Drivers that know of no syncobjs tell each other by the reservation of a buffer who uses it. A
//! job may reach all that its VM maps, hence it waits for the others who use the foreign buffers
//! there, and they for it. What the VM maps of its own driver is for syncobjs alone.

use super::{
    Access,
    Bo,
    BoRange,
    Driver, //
};
use crate::{
    drm::exec::{
        Locked,
        Use, //
    },
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// The foreign buffers of a VM. Its lock is the last one outside the fence signalling path.
#[pin_data]
pub(super) struct Imports<D: Driver> {
    /// By the object's address.
    #[pin]
    buffers: Mutex<RBTree<usize, Buffer<D>>>,
}

struct Buffer<D: Driver> {
    bo: ARef<Bo<D>>,
    /// Mappings of it, and those of them that the device may write.
    mappings: usize,
    writable: usize,
}

impl<D: Driver> Imports<D> {
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { buffers <- new_mutex!(RBTree::new()) }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Counts a mapping, if it is one of a foreign buffer.
    pub(super) fn count(self: &Arc<Self>, range: &BoRange<D>) -> Result<Option<Import<D>>> {
        if !range.bo.is_imported() {
            return Ok(None);
        }
        let writable = range.access == Access::ReadWrite;
        let key = core::ptr::from_ref(&*range.bo).addr();
        let mut buffers = self.buffers.lock();
        if buffers.get(&key).is_none() {
            let buffer = Buffer {
                bo: range.bo.clone(),
                mappings: 0,
                writable: 0,
            };
            buffers.try_create_and_insert(key, buffer, GFP_KERNEL_ACCOUNT)?;
        }
        if let Some(buffer) = buffers.get_mut(&key) {
            buffer.mappings += 1;
            buffer.writable += usize::from(writable);
        }
        drop(buffers);
        Ok(Some(Import {
            imports: self.clone(),
            key,
            writable,
        }))
    }

    /// Locks the reservations of all foreign buffers; None if there are none.
    pub(super) fn lock(&self) -> Result<Option<Locked<Bo<D>>>> {
        let mut uses = KVec::new();
        for buffer in self.buffers.lock().values() {
            let foreign = Use {
                object: buffer.bo.clone(),
                writes: buffer.writable > 0,
            };
            uses.push(foreign, GFP_KERNEL)?;
        }
        if uses.is_empty() {
            return Ok(None);
        }
        Locked::new(uses).map(Some)
    }
}

/// A mapping of a foreign buffer, which counts as long as this lives.
pub(super) struct Import<D: Driver> {
    imports: Arc<Imports<D>>,
    key: usize,
    writable: bool,
}

impl<D: Driver> Drop for Import<D> {
    fn drop(&mut self) {
        let mut buffers = self.imports.buffers.lock();
        let Some(buffer) = buffers.get_mut(&self.key) else {
            return;
        };
        buffer.mappings -= 1;
        buffer.writable -= usize::from(self.writable);
        if buffer.mappings == 0 {
            let last = buffers.remove(&self.key);
            drop(buffers);
            // The object may go with it.
            drop(last);
        }
    }
}
