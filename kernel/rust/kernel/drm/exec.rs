// SPDX-License-Identifier: GPL-2.0

//! Locking the reservations of several objects at once.
//!
//! The reservation of a buffer holds the fences of those who read and write it. Whoever wants to
//! use several buffers waits for those and adds a fence of its own while it holds the locks of all.
//!
//! C header: [`include/drm/drm_exec.h`](srctree/include/drm/drm_exec.h)

use crate::{
    dma_fence::Fence,
    drm::gem::IntoGEMObject,
    error::to_result,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// What will be done with an object.
pub struct Use<O: IntoGEMObject + AlwaysRefCounted> {
    /// The object.
    pub object: ARef<O>,
    /// Whether it is written; it may be read in any case.
    pub writes: bool,
}

/// The reservations of objects, locked as long as this lives.
///
/// # Invariants
///
/// `exec` is initialised and has the reservations of all `uses` locked. If `has_room` is set, each
/// of them has room for two fences.
pub struct Locked<O: IntoGEMObject + AlwaysRefCounted> {
    exec: KBox<Opaque<bindings::drm_exec>>,
    uses: KVec<Use<O>>,
    has_room: bool,
    _not_send: NotThreadSafe,
}

impl<O: IntoGEMObject + AlwaysRefCounted> Locked<O> {
    /// Locks the reservations of all objects of `uses`, which may have some in common.
    ///
    /// Fails with [`EINTR`] when a signal to the task comes first.
    pub fn new(uses: KVec<Use<O>>) -> Result<Self> {
        let exec = KBox::new(Opaque::zeroed(), GFP_KERNEL)?;
        let flags = bindings::DRM_EXEC_INTERRUPTIBLE_WAIT | bindings::DRM_EXEC_IGNORE_DUPLICATES;
        // SAFETY: `exec` is valid for writes, and doesn't move until it is finalised.
        unsafe { bindings::drm_exec_init(exec.get(), flags, uses.len().try_into()?) };
        // INVARIANT: `lock()` locks them and makes room before anybody else sees this.
        let mut this = Self {
            exec,
            uses,
            has_room: false,
            _not_send: NotThreadSafe,
        };
        this.lock()?;
        Ok(this)
    }

    fn lock(&mut self) -> Result {
        let exec = self.exec.get();
        // SAFETY: By the type invariant, here and below. This takes all locks back if one of them
        // had to be waited for.
        while unsafe { bindings::drm_exec_cleanup(exec) } {
            for Use { object, .. } in &self.uses {
                // SAFETY: The object is valid, and kept by the reference.
                let done = unsafe { bindings::drm_exec_prepare_obj(exec, object.as_raw(), 2) };
                // SAFETY: The field is only changed by the calls here.
                if !unsafe { (*exec).contended }.is_null() {
                    break;
                }
                to_result(done)?;
            }
        }
        self.has_room = true;
        Ok(())
    }

    /// Whose reservations are locked.
    pub fn uses(&self) -> &[Use<O>] {
        &self.uses
    }

    /// Has everybody else wait for `fence`. Nothing is allocated. Only the first fence is taken.
    pub fn publish(&mut self, fence: &Fence) {
        if !core::mem::take(&mut self.has_room) {
            return;
        }
        for Use { object, writes } in &self.uses {
            let usage = match writes {
                true => bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE,
                false => bindings::dma_resv_usage_DMA_RESV_USAGE_READ,
            };
            // SAFETY: By the type invariant the reservation is locked. It has room: of one fence it
            // keeps one for each usage at most, however often it is locked here.
            unsafe { bindings::dma_resv_add_fence((*object.as_raw()).resv, fence.as_raw(), usage) };
        }
    }
}

impl<O: IntoGEMObject + AlwaysRefCounted> Drop for Locked<O> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::drm_exec_fini(self.exec.get()) };
    }
}
