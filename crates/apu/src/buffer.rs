//! Memory that the device reaches.

use std::ffi::CString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::Result;
use crate::backend::{Backend, Bo};

/// A buffer object, mapped into this process for as long as it lives. A [`Vm`](crate::Vm) keeps
/// what it maps, so a bound buffer may be dropped.
pub struct Buffer {
    backend: Arc<dyn Backend>,
    pub(crate) bo: Bo,
}

// SAFETY: the memory behind `bo.address` belongs to this value and is not tied to a thread; access
// goes through `&self` (reads) and `&mut self` (writes).
unsafe impl Send for Buffer {}
// SAFETY: as above: with `&self` the bytes are only read.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub(crate) fn new(backend: Arc<dyn Backend>, size: usize) -> Result<Self> {
        let bo = backend.bo_create(size)?;
        Ok(Self { backend, bo })
    }

    /// Bytes, a multiple of the device's page size.
    pub fn size(&self) -> usize {
        self.bo.size
    }

    /// The bytes, in place.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `Bo` promises `size` readable bytes until `bo_close`, which is in `drop`; the
        // device doesn't write meanwhile, which is the contract of `Queue::submit`.
        unsafe { std::slice::from_raw_parts(self.bo.address.as_ptr(), self.bo.size) }
    }

    /// The bytes, in place and writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.bo.address.as_ptr(), self.bo.size) }
    }

    /// Says what it is for, to people who look for faults: the kernel shows that with what is mapped,
    /// in debugfs and in core dumps. A device that knows no labels, as that in-process, has none to
    /// show.
    pub fn set_label(&self, label: &str) {
        // Up to the first 0, if there is one in it.
        let text: Vec<u8> = label.bytes().take_while(|byte| *byte != 0).collect();
        let set = CString::new(text).map(|text| self.backend.bo_set_label(&self.bo, &text));
        if let Ok(Err(error)) = set {
            tracing::debug!(label, %error, "a buffer has no label");
        }
    }

    /// A dma-buf of the same memory for other devices and processes. What they write there while
    /// [`bytes`](Buffer::bytes) is borrowed is theirs to prevent.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call) when the kernel refuses, and always in-process, where there is no kernel.
    pub fn export(&self) -> Result<OwnedFd> {
        self.backend.bo_export(&self.bo)
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("size", &self.bo.size)
            .finish_non_exhaustive()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.backend.bo_close(&self.bo);
    }
}
