//! The simulated APU: a process that is the hardware behind the kernel driver's sim transport.
//!
//! [`serve`] reads the driver's messages from the control node and gives them to the firmware's
//! server; jobs go to one thread for each [core](cores). Every VM is a reservation of this process's
//! [address space](space), in which the driver's MAPs make pages appear; nothing else of a client's
//! memory is ever visible here.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("each VM takes 4 GiB of address space");

pub mod control;
pub mod cores;
pub mod inject;
pub mod space;

mod daemon;
mod error;
mod mapped;
mod vms;

pub use control::Control;
pub use daemon::{Options, serve};
pub use error::Error;
