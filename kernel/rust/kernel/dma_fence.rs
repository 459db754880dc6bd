// SPDX-License-Identifier: GPL-2.0

//! DMA fences: a promise that something will have happened, in bounded time.
//!
//! [`Fence`] is what waits; [`DriverFence`] is what signals, exactly once. The memory of a fence is
//! allocated before the promise is made ([`DriverFenceAlloc`]), so that nothing can fail after.
//!
//! C header: [`include/linux/dma-fence.h`](srctree/include/linux/dma-fence.h)

use crate::{
    error::to_result,
    ffi::c_char,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    time::Jiffies,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};
use core::{
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A fence, from the side of those who wait.
///
/// # Invariants
///
/// `self.0` is an initialised `struct dma_fence`, alive while its reference count isn't zero.
#[repr(transparent)]
pub struct Fence(Opaque<bindings::dma_fence>);

// SAFETY: A `struct dma_fence` may be used and released on any thread.
unsafe impl Send for Fence {}

// SAFETY: All operations on a `struct dma_fence` that `&Fence` offers are synchronised by the C
// side.
unsafe impl Sync for Fence {}

// SAFETY: `struct dma_fence` is reference counted, and these are its get and put.
unsafe impl AlwaysRefCounted for Fence {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant this is a live fence, and `&self` keeps it so.
        unsafe { bindings::dma_fence_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is given up here.
        unsafe { bindings::dma_fence_put(obj.as_ptr().cast()) };
    }
}

impl Fence {
    /// Takes a reference over from C.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialised fence, and the caller must own a reference to it.
    pub(crate) unsafe fn from_owned(ptr: NonNull<bindings::dma_fence>) -> ARef<Self> {
        // SAFETY: `Fence` is transparent over `struct dma_fence`; the reference is handed over.
        unsafe { ARef::from_raw(ptr.cast()) }
    }

    /// Borrows a fence of the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialised fence that lives as long as `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::dma_fence) -> &'a Self {
        // SAFETY: `Fence` is transparent over `struct dma_fence`, which is valid by the
        // requirement.
        unsafe { &*ptr.cast() }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::dma_fence {
        self.0.get()
    }

    /// Whether the fence has been signalled.
    pub fn is_signaled(&self) -> bool {
        // SAFETY: By the type invariant this is a live fence.
        unsafe { bindings::dma_fence_is_signaled(self.as_raw()) }
    }

    /// None until the fence is signalled, then how what it stands for has ended.
    pub fn status(&self) -> Option<Result> {
        // SAFETY: By the type invariant this is a live fence.
        match unsafe { bindings::dma_fence_get_status(self.as_raw()) } {
            0 => None,
            status if status > 0 => Some(Ok(())),
            error => Some(to_result(error)),
        }
    }

    /// Waits until the fence is signalled; [`ETIME`] when that takes longer than `timeout`, and
    /// [`ERESTARTSYS`] when a signal to the task comes first.
    pub fn wait_interruptible_timeout(&self, timeout: Jiffies) -> Result {
        let timeout = timeout.try_into().unwrap_or(crate::ffi::c_long::MAX);
        // SAFETY: By the type invariant this is a live fence.
        let left = unsafe { bindings::dma_fence_wait_timeout(self.as_raw(), true, timeout) };
        match left {
            0 => Err(ETIME),
            left if left > 0 => Ok(()),
            error => to_result(error as i32),
        }
    }
}

/// Memory for a fence that isn't promised to anybody yet.
///
/// # Examples
///
/// ```
/// use kernel::dma_fence::DriverFenceAlloc;
///
/// let (fence, waitable) = DriverFenceAlloc::new()?.start();
/// assert!(waitable.status().is_none());
/// fence.signal(Err(ETIMEDOUT));
/// assert_eq!(waitable.status(), Some(Err(ETIMEDOUT)));
/// # Ok::<(), Error>(())
/// ```
pub struct DriverFenceAlloc(KBox<Opaque<bindings::dma_fence>>);

// SAFETY: This is memory that nobody else knows of.
unsafe impl Send for DriverFenceAlloc {}

impl DriverFenceAlloc {
    /// Allocates the memory of a fence.
    pub fn new() -> Result<Self> {
        Ok(Self(KBox::new(Opaque::zeroed(), GFP_KERNEL_ACCOUNT)?))
    }

    /// Makes the promise: the fence with its signalling side. It is in a context of its own, so it
    /// has no order among other fences.
    pub fn start(self) -> (DriverFence, ARef<Fence>) {
        let raw = Opaque::cast_into(KBox::into_raw(self.0));
        // SAFETY: Always safe to call.
        let context = unsafe { bindings::dma_fence_context_alloc(1) };
        // SAFETY: `raw` is zeroed memory from kmalloc(), which is where dma_fence_free(), the
        // default without a release operation, expects it to come from. `OPS` is never freed.
        // Without a lock the fence uses its own.
        unsafe { bindings::dma_fence_init(raw, &OPS, ptr::null_mut(), context, 1) };
        // SAFETY: `raw` has just been initialised, with one reference that goes to `signaller`.
        let signaller = unsafe { Fence::from_owned(NonNull::new_unchecked(raw)) };
        let waitable = signaller.clone();
        (DriverFence(signaller), waitable)
    }
}

/// The side of a fence that signals. Dropping it signals [`ECANCELED`].
///
/// # Invariants
///
/// The fence has not been signalled, and nobody else can signal it.
#[must_use = "dropping it signals an error"]
pub struct DriverFence(ARef<Fence>);

impl DriverFence {
    /// Keeps the promise.
    pub fn signal(self, result: Result) {
        self.end(result);
        // INVARIANT: Signalled, so the drop that would signal again must not run; only the
        // reference is given up.
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used again.
        drop(unsafe { ptr::read(&this.0) });
    }

    /// Must be called once only, and as the last thing before `self` goes.
    fn end(&self, result: Result) {
        let raw = self.0.as_raw();
        if let Err(error) = result {
            // SAFETY: By the type invariant the fence is alive and not signalled.
            unsafe { bindings::dma_fence_set_error(raw, error.to_errno()) };
        }
        // SAFETY: By the type invariant the fence is alive.
        unsafe { bindings::dma_fence_signal(raw) };
    }
}

impl Drop for DriverFence {
    fn drop(&mut self) {
        self.end(Err(ECANCELED));
    }
}

/// A section of code that a fence waits for, from when others can see the fence until it is
/// signalled.
///
/// Such code must not allocate memory with reclaim, nor wait for a fence, nor take a lock that is
/// held over one of these elsewhere: reclaim may wait for the very fence. While this lives, lockdep
/// checks that. Sections may be nested.
#[must_use = "the section ends when this is dropped"]
pub struct Signalling {
    cookie: bool,
    _not_send: NotThreadSafe,
}

impl Signalling {
    /// Begins a section.
    #[inline]
    pub fn begin() -> Self {
        Self {
            // SAFETY: May be called in any context.
            cookie: unsafe { bindings::dma_fence_begin_signalling() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for Signalling {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `cookie` is from the begin of this section, which is in the same task as its end.
        unsafe { bindings::dma_fence_end_signalling(self.cookie) };
    }
}

/// Operations of all fences made here; they live in the kernel image, not in a module.
static OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
    get_driver_name: Some(driver_name),
    get_timeline_name: Some(timeline_name),
    enable_signaling: None,
    signaled: None,
    wait: None,
    release: None,
    set_deadline: None,
};

/// # Safety
///
/// None: it doesn't look at the fence.
unsafe extern "C" fn driver_name(_fence: *mut bindings::dma_fence) -> *const c_char {
    c"rust".as_char_ptr()
}

/// # Safety
///
/// None: it doesn't look at the fence.
unsafe extern "C" fn timeline_name(_fence: *mut bindings::dma_fence) -> *const c_char {
    c"unordered".as_char_ptr()
}

#[macros::kunit_tests(rust_dma_fence)]
mod tests {
    use super::*;

    #[test]
    fn a_signalled_fence_says_so() -> Result {
        let (fence, waitable) = DriverFenceAlloc::new()?.start();
        assert!(!waitable.is_signaled());
        fence.signal(Ok(()));
        assert!(waitable.is_signaled());
        assert_eq!(waitable.status(), Some(Ok(())));
        Ok(())
    }

    #[test]
    fn a_failure_is_kept() -> Result {
        let (fence, waitable) = DriverFenceAlloc::new()?.start();
        fence.signal(Err(EFAULT));
        assert_eq!(waitable.status(), Some(Err(EFAULT)));
        Ok(())
    }

    #[test]
    fn a_dropped_fence_is_cancelled() -> Result {
        let (fence, waitable) = DriverFenceAlloc::new()?.start();
        drop(fence);
        assert_eq!(waitable.status(), Some(Err(ECANCELED)));
        Ok(())
    }

    #[test]
    fn a_wait_ends_with_its_timeout() -> Result {
        let (fence, waitable) = DriverFenceAlloc::new()?.start();
        assert_eq!(waitable.wait_interruptible_timeout(1), Err(ETIME));
        fence.signal(Ok(()));
        assert_eq!(waitable.wait_interruptible_timeout(1), Ok(()));
        Ok(())
    }

    #[test]
    fn memory_without_a_promise_is_freed() -> Result {
        drop(DriverFenceAlloc::new()?);
        Ok(())
    }
}
