// SPDX-License-Identifier: GPL-2.0

//! Physical addresses, for devices that reach memory by them.
//!
//! Most devices don't: theirs are the addresses that [`dma`](crate::dma) returns. A remote core
//! that shares all memory with the host, as a virtio device may, does.

use crate::{
    bindings,
    io::PhysAddr,
    prelude::*, //
};
use core::mem::size_of;

/// The physical address of what is in a box. It stays the same until the box is dropped.
pub fn address<T>(memory: &KBox<T>) -> PhysAddr {
    const { assert!(size_of::<T>() != 0, "nothing is nowhere") };

    // SAFETY: What isn't empty was allocated by `kmalloc()`, whose memory is in the linear mapping.
    unsafe { bindings::virt_to_phys(core::ptr::from_ref::<T>(memory).cast_mut().cast()) }
}
