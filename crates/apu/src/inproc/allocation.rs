//! Zeroed pages of this process that stand for device memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use rustix::io::Errno;

/// Granularity in bytes.
pub(super) const PAGE: usize = 4096;

/// # Invariants
/// `address` is the start of a live allocation of `layout`, which is not empty.
#[derive(Debug)]
pub(super) struct Allocation {
    address: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the allocation belongs to no thread; who may touch its bytes when is the contract of
// `Queue::submit` and of the borrows of `Buffer`.
unsafe impl Send for Allocation {}
// SAFETY: as above.
unsafe impl Sync for Allocation {}

impl Allocation {
    pub(super) fn new(size: usize) -> Result<Self, Errno> {
        if size == 0 {
            return Err(Errno::INVAL);
        }
        let size = size.checked_next_multiple_of(PAGE).ok_or(Errno::NOMEM)?;
        let layout = Layout::from_size_align(size, PAGE).map_err(|_| Errno::NOMEM)?;
        // SAFETY: `layout` is not empty.
        let address = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Errno::NOMEM)?;
        // INVARIANT: just allocated with that layout.
        Ok(Self { address, layout })
    }

    pub(super) fn address(&self) -> NonNull<u8> {
        self.address
    }

    pub(super) fn size(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: the invariant of the type.
        unsafe { dealloc(self.address.as_ptr(), self.layout) }
    }
}
