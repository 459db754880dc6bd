// SPDX-License-Identifier: GPL-2.0

//! Sleep: a device that has had no job for a while may save power.

use crate::driver::Apu;
use kernel::{
    drm,
    pm_runtime::Sleeper,
    prelude::*,
    sync::aref::ARef, //
};

/// How long a device is awake after its last job, in milliseconds.
pub(crate) const DELAY_MS: u16 = 500;

/// What the driver keeps of a device that it is bound to.
pub(crate) struct Host(pub(crate) ARef<drm::Device<Apu>>);

impl Sleeper for Host {
    fn suspend(&self) -> Result {
        self.0.suspend()
    }

    fn resume(&self) -> Result {
        self.0.resume();
        Ok(())
    }
}
