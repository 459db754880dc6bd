// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The contract between host, kernel and firmware: the only place where they meet.
//!
//! [`message`] is what travels between the kernel driver and the firmware; [`program`] is what the
//! compiler writes and the firmware runs. Both are plain little-endian structures without logic.
//! `message.rs` is also compiled, byte for byte the same file, by the kernel driver.

#![no_std]
#![forbid(unsafe_code)]

pub mod message;
pub mod program;
