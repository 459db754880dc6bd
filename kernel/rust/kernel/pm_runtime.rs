// SPDX-License-Identifier: GPL-2.0

//! Runtime power management, as far as a driver without callbacks of its own needs it: the power
//! domain does the work.
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    prelude::*, //
};

/// Runtime power management of a device is enabled until this is dropped.
pub struct Enabled<'a>(&'a Device<Bound>);

impl<'a> Enabled<'a> {
    /// Enables it. A device that nobody keeps awake may lose its power from now on.
    pub fn new(dev: &'a Device<Bound>) -> Self {
        // SAFETY: The device is valid; enables and disables are counted.
        unsafe { bindings::pm_runtime_enable(dev.as_raw()) };
        Self(dev)
    }

    /// Powers the device and keeps it so until [`put`](Self::put).
    pub fn get(&self) -> Result {
        // SAFETY: The device is valid, and this isn't atomic context.
        to_result(unsafe { bindings::pm_runtime_resume_and_get(self.0.as_raw()) })
    }

    /// Undoes one successful [`get`](Self::get).
    pub fn put(&self) {
        // SAFETY: The device is valid. A counter that nobody has raised is only warned of.
        unsafe { bindings::pm_runtime_put_sync(self.0.as_raw()) };
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        // SAFETY: `new()` has enabled it.
        unsafe { bindings::pm_runtime_disable(self.0.as_raw()) };
    }
}
