// SPDX-License-Identifier: GPL-2.0

//! APU accelerators: cores that run programs, behind firmware that speaks the APU protocol.
//!
//! * [`driver`]: what the framework asks of a leaf driver: memory, jobs, reset.
//! * [`ioctl`] and [`payload`]: the uAPI of `include/uapi/drm/apu_accel.h`.
//! * [`link`]: one connection to the firmware, from greeting to loss.
//! * [`envelope`]: messages on their way; [`message`] is the protocol itself, one source for kernel
//!   and firmware.
//! * [`history`] and [`log`]: the last messages and the firmware's last words, for core dumps and
//!   debugfs.
//! * [`transport`]: what carries messages; [`sim`] is a process that plays the device, [`rpmsg`] a
//!   remote processor.
//! * [`power`]: sleep of a device without jobs.
//! * [`memory`]: how the device reaches pages: by [`tokens`], by a [`page_table`] as [`pte`] has
//!   it, or behind an [`iommu`]. Nothing above knows which. What a device that was cut
//!   off may reach is in [`quarantine`] until its [`watchdog`] or somebody else has stopped it.

mod driver;
mod envelope;
mod history;
mod ioctl;
#[cfg(CONFIG_IOMMU_API)]
mod iommu;
mod last;
mod link;
mod log;
mod memory;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "It is also the source of a crate, whose users need more of it."
)]
mod message;
mod module;
mod page_table;
mod payload;
mod power;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "It is also the source of a crate, whose users need more of it."
)]
mod pte;
mod quarantine;
#[cfg(CONFIG_RPMSG = "y")]
mod rpmsg;
mod sim;
mod tokens;
mod transport;
#[cfg(CONFIG_RPMSG = "y")]
mod watchdog;

kernel::prelude::module! {
    type: module::Module,
    name: "apu",
    authors: ["The TinyAPU authors"],
    description: "APU accelerator driver",
    license: "GPL",
    params: {
        sim: bool {
            default: true,
            description: "Make a simulated device: a node for clients and one for its hardware",
        },
    },
}
