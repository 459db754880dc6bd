// SPDX-License-Identifier: GPL-2.0

//! Devices that have stopped working: the event that asks user space to recover one.
//!
//! What user space does is described in "Device Wedging" of
//! [`Documentation/gpu/drm-uapi.rst`](srctree/Documentation/gpu/drm-uapi.rst).

use crate::{
    bindings,
    drm,
    error::to_result,
    prelude::*, //
};

/// What makes a device work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing more: the driver has done it. The event is for those who count failures.
    None,
    /// Its driver doesn't know.
    Unknown,
    /// Unbinding the driver and binding it again.
    Rebind,
}

impl Recovery {
    /// A bit of `DRM_WEDGE_RECOVERY_*`, which are macros with a call in them.
    fn into_raw(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::None => 1 << 0,
            Self::Rebind => 1 << 1,
        }
    }
}

impl<T: drm::Driver> drm::Device<T, drm::Registered> {
    /// Tells user space that the device is wedged. May sleep and allocate.
    pub fn wedged_event(&self, recovery: Recovery) -> Result {
        // SAFETY: The device is registered, hence it has a node; nothing is told of a task.
        to_result(unsafe {
            bindings::drm_dev_wedged_event(
                self.as_raw(),
                recovery.into_raw(),
                core::ptr::null_mut(),
            )
        })
    }
}
