// SPDX-License-Identifier: GPL-2.0

//! DRM synchronisation objects: userspace's containers of fences, binary or timeline.
//!
//! Creating, waiting, exporting and transferring are ioctls of the DRM core for drivers with
//! [`FEAT_SYNCOBJ`](drm::Driver::FEAT_SYNCOBJ); here is what a submit needs.
//!
//! C header: [`include/drm/drm_syncobj.h`](srctree/include/drm/drm_syncobj.h)

use crate::{
    dma_fence::Fence,
    drm::{
        self,
        file::DriverFile, //
    },
    error::to_result,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};
use core::{
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A synchronisation object.
///
/// # Examples
///
/// ```
/// use kernel::{
///     dma_fence::DriverFenceAlloc,
///     drm::syncobj::{
///         FenceChain,
///         SyncObj, //
///     }, //
/// };
///
/// // All that can fail comes first.
/// let timeline = SyncObj::new()?;
/// let point = FenceChain::new()?;
/// let (fence, waitable) = DriverFenceAlloc::new()?.start();
///
/// timeline.add_point(point, &waitable, 1);
/// fence.signal(Ok(()));
/// # assert!(timeline.fence().is_some_and(|fence| fence.is_signaled()));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `self.0` is a valid `struct drm_syncobj`, alive while its reference count isn't zero.
#[repr(transparent)]
pub struct SyncObj(Opaque<bindings::drm_syncobj>);

// SAFETY: A `struct drm_syncobj` may be used and released on any thread.
unsafe impl Send for SyncObj {}

// SAFETY: All operations on a `struct drm_syncobj` are synchronised by its own lock.
unsafe impl Sync for SyncObj {}

// SAFETY: `struct drm_syncobj` is reference counted, and these are its get and put.
unsafe impl AlwaysRefCounted for SyncObj {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant this is a live syncobj, and `&self` keeps it so.
        unsafe { bindings::drm_syncobj_get(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given up here.
        unsafe { bindings::drm_syncobj_put(obj.as_ptr().cast()) };
    }
}

impl SyncObj {
    /// Creates an object that no handle names and that holds no fence.
    pub fn new() -> Result<ARef<Self>> {
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is a valid place for the result; there is no fence to start with.
        to_result(unsafe { bindings::drm_syncobj_create(&mut raw, 0, ptr::null_mut()) })?;
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: drm_syncobj_create() returned a valid object with a reference for us; `SyncObj`
        // is transparent over it.
        Ok(unsafe { ARef::from_raw(raw.cast()) })
    }

    /// Finds the object that `handle` names in `file`, or [`ENOENT`].
    pub fn lookup<F: DriverFile>(file: &drm::File<F>, handle: u32) -> Result<ARef<Self>> {
        // SAFETY: `file` is a valid open DRM file.
        let raw = unsafe { bindings::drm_syncobj_find(file.as_raw(), handle) };
        let raw = NonNull::new(raw).ok_or(ENOENT)?;
        // SAFETY: drm_syncobj_find() returned a valid object with a reference for us; `SyncObj` is
        // transparent over it.
        Ok(unsafe { ARef::from_raw(raw.cast()) })
    }

    /// Finds the fence to wait for: that of a timeline's `point`, or with 0 that of a binary
    /// object. [`ENOENT`] when there is no such handle, [`EINVAL`] when it has no such fence yet.
    pub fn find_fence<F: DriverFile>(
        file: &drm::File<F>,
        handle: u32,
        point: u64,
    ) -> Result<ARef<Fence>> {
        let mut raw = ptr::null_mut();
        // SAFETY: `file` is a valid open DRM file, `raw` a valid place for the result.
        to_result(unsafe {
            bindings::drm_syncobj_find_fence(file.as_raw(), handle, point, 0, &mut raw)
        })?;
        let raw = NonNull::new(raw).ok_or(EINVAL)?;
        // SAFETY: drm_syncobj_find_fence() returned a valid fence with a reference for us.
        Ok(unsafe { Fence::from_owned(raw) })
    }

    /// The fence that the object holds now; for a timeline that of its last point.
    pub fn fence(&self) -> Option<ARef<Fence>> {
        // SAFETY: By the type invariant this is a live syncobj.
        let raw = NonNull::new(unsafe { bindings::drm_syncobj_fence_get(self.0.get()) })?;
        // SAFETY: drm_syncobj_fence_get() returned a valid fence with a reference for us.
        Some(unsafe { Fence::from_owned(raw) })
    }

    /// Puts `fence` in place of what a binary object holds.
    pub fn replace_fence(&self, fence: Option<&Fence>) {
        let raw = fence.map_or(ptr::null_mut(), Fence::as_raw);
        // SAFETY: By the type invariant this is a live syncobj; `raw` is NULL or a live fence, of
        // which the C side takes a reference of its own.
        unsafe { bindings::drm_syncobj_replace_fence(self.0.get(), raw) };
    }

    /// Adds `fence` as `point` of a timeline.
    pub fn add_point(&self, chain: FenceChain, fence: &Fence, point: u64) {
        let chain = ManuallyDrop::new(chain);
        // SAFETY: By the type invariants this is a live syncobj and `chain` memory for a link,
        // whose ownership goes to the C side; that takes a reference of its own to `fence`.
        unsafe {
            bindings::drm_syncobj_add_point(self.0.get(), chain.0.as_ptr(), fence.as_raw(), point)
        };
    }
}

/// Memory for one point of a timeline, allocated before the point is promised.
///
/// # Invariants
///
/// `self.0` comes from `dma_fence_chain_alloc()` and is owned by this.
pub struct FenceChain(NonNull<bindings::dma_fence_chain>);

// SAFETY: This is memory that nobody else knows of.
unsafe impl Send for FenceChain {}

impl FenceChain {
    /// Allocates the memory.
    pub fn new() -> Result<Self> {
        // SAFETY: May be called in any context that can sleep.
        let raw = unsafe { bindings::dma_fence_chain_alloc() };
        // INVARIANT: `raw` has just been allocated.
        NonNull::new(raw).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for FenceChain {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, and this is the only owner.
        unsafe { bindings::dma_fence_chain_free(self.0.as_ptr()) };
    }
}

#[macros::kunit_tests(rust_drm_syncobj)]
mod tests {
    use super::*;
    use crate::dma_fence::DriverFenceAlloc;

    #[test]
    fn a_binary_object_holds_the_fence_that_was_put_last() -> Result {
        let binary = SyncObj::new()?;
        assert!(binary.fence().is_none());

        let (first, waitable) = DriverFenceAlloc::new()?.start();
        binary.replace_fence(Some(&waitable));
        let (second, waitable) = DriverFenceAlloc::new()?.start();
        binary.replace_fence(Some(&waitable));
        first.signal(Ok(()));
        assert_eq!(binary.fence().and_then(|fence| fence.status()), None);
        second.signal(Ok(()));
        assert_eq!(
            binary.fence().and_then(|fence| fence.status()),
            Some(Ok(()))
        );

        binary.replace_fence(None);
        assert!(binary.fence().is_none());
        Ok(())
    }

    #[test]
    fn a_point_is_reached_after_all_points_before_it() -> Result {
        let timeline = SyncObj::new()?;
        let (first, waitable) = DriverFenceAlloc::new()?.start();
        timeline.add_point(FenceChain::new()?, &waitable, 1);
        let (second, waitable) = DriverFenceAlloc::new()?.start();
        timeline.add_point(FenceChain::new()?, &waitable, 2);

        let last = timeline.fence().ok_or(ENOENT)?;
        second.signal(Ok(()));
        assert!(!last.is_signaled());
        first.signal(Ok(()));
        assert!(last.is_signaled());
        Ok(())
    }

    #[test]
    fn an_unused_point_is_freed() -> Result {
        drop(FenceChain::new()?);
        Ok(())
    }
}
