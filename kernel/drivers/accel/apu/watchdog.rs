// SPDX-License-Identifier: GPL-2.0

//! Who can restart a remote core that doesn't do what it must.

use kernel::device::{
    Bound,
    Device, //
};
#[cfg(all(CONFIG_REMOTEPROC, CONFIG_IOMMU_API))]
use kernel::{
    remoteproc::{
        Crash,
        Rproc, //
    },
    sync::aref::ARef, //
};

/// The remote processor that a channel belongs to, if it is one of remoteproc's.
pub(crate) struct Watchdog {
    #[cfg(all(CONFIG_REMOTEPROC, CONFIG_IOMMU_API))]
    processor: Option<ARef<Rproc>>,
}

impl Watchdog {
    /// Watches the processor that `channel` belongs to.
    pub(crate) fn of(channel: &Device<Bound>) -> Self {
        let _ = channel;
        Self {
            #[cfg(all(CONFIG_REMOTEPROC, CONFIG_IOMMU_API))]
            processor: Rproc::of_child(channel),
        }
    }

    /// Has the processor restarted, in the background. May be called in the fence signalling path.
    pub(crate) fn bite(&self) {
        #[cfg(all(CONFIG_REMOTEPROC, CONFIG_IOMMU_API))]
        if let Some(processor) = &self.processor {
            processor.report_crash(Crash::Watchdog);
        }
    }
}
