// SPDX-License-Identifier: GPL-2.0

//! Where the DRM core wants text from a driver: files of procfs and debugfs, or a core dump.
//!
//! C header: [`include/drm/drm_print.h`](srctree/include/drm/drm_print.h)

use crate::{
    bindings,
    fmt,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// Takes text, by `write!()`.
///
/// # Invariants
///
/// `inner` is a valid `struct drm_printer` that no other thread uses.
#[repr(transparent)]
pub struct Printer {
    inner: Opaque<bindings::drm_printer>,
    _not_send: NotThreadSafe,
}

impl Printer {
    /// Creates a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `struct drm_printer` for the duration of `'a`, during which no other
    /// thread uses it.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::drm_printer) -> &'a Self {
        // CAST: `Printer` is transparent over the structure.
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        unsafe { &*ptr.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::drm_printer {
        self.inner.get()
    }

    /// Used by `write!()`.
    pub fn write_fmt(&self, args: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant the printer is valid; `%pA` takes a pointer to `Arguments`.
        unsafe {
            bindings::drm_printf(
                self.as_raw(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<c_void>(),
            );
        }
    }
}
