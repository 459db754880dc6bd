// SPDX-License-Identifier: GPL-2.0

//! APU accelerators: cores that run programs, behind firmware that speaks the APU protocol.
//!
//! * [`driver`]: what the framework asks of a leaf driver: memory, jobs, reset.
//! * [`ioctl`] and [`payload`]: the uAPI of `include/uapi/drm/apu_accel.h`.
//! * [`link`]: one connection to the firmware, from greeting to loss.
//! * [`envelope`]: messages on their way; [`message`] is the protocol itself, one source for kernel
//!   and firmware.
//! * [`transport`]: what carries messages and makes memory reachable; [`sim`] is a process that
//!   plays the device.

mod driver;
mod envelope;
mod ioctl;
mod link;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "It is also the source of a crate, whose users need more of it."
)]
mod message;
mod payload;
mod sim;
mod transport;

kernel::prelude::module! {
    type: sim::Module,
    name: "apu",
    authors: ["The TinyAPU authors"],
    description: "APU accelerator driver",
    license: "GPL",
}
