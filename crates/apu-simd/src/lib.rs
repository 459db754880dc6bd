//! The simulated APU: a process that is the hardware behind the kernel driver.
//!
//! [`serve`] reads the driver's messages from a [wire](wire::Wire) and gives them to the firmware's
//! server; jobs go to one thread for each [core](cores). Every VM is a reservation of this process's
//! [address space](space), in which its pages appear as the [platform](platform::Platform) says.
//!
//! There are two devices. The one behind the [control node](Control) gets messages and [pages](tokens)
//! from there, and sees nothing else of a client's memory. The other one is a
//! [remote core](vhost_user) behind [rpmsg], which walks [page tables](page_tables) in the memory of
//! the machine that it belongs to.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("each VM takes 4 GiB of address space");

pub mod clock;
pub mod control;
pub mod cores;
mod crew;
mod cycles;
pub mod inject;
pub mod mediatek;
pub mod packets;
pub mod page_tables;
pub mod platform;
pub mod rpmsg;
pub mod space;
pub mod tokens;
pub mod vhost_user;
pub mod wire;

mod daemon;
mod error;
mod mapped;
mod vms;

pub use control::Control;
pub use daemon::{Options, VA, serve};
pub use error::Error;
