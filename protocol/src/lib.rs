// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The contract between host, kernel and firmware: the only place where they meet.
//!
//! [`message`] is what travels between the kernel driver and the firmware; [`program`] is what the
//! compiler writes and the firmware runs; [`pte`] is the page tables of devices that walk some. All
//! are plain little-endian structures without logic. The kernel driver compiles `message.rs` and
//! `pte.rs` too, byte for byte the same files.

#![no_std]
#![forbid(unsafe_code)]

pub mod message;
pub mod program;
pub mod pte;
