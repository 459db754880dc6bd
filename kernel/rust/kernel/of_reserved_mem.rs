// SPDX-License-Identifier: GPL-2.0

//! Memory that the device tree keeps back for a device.
//!
//! C header: [`include/linux/of_reserved_mem.h`](srctree/include/linux/of_reserved_mem.h)

use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    prelude::*, //
};
use core::{
    mem::MaybeUninit,
    ops::Range, //
};

/// The first region of a device's `memory-region`, as the pool of its coherent allocations.
///
/// # Invariants
///
/// The region is assigned to `dev`.
pub struct DevicePool<'a> {
    dev: &'a Device<Bound>,
    memory: Range<bindings::phys_addr_t>,
}

impl<'a> DevicePool<'a> {
    /// Assigns the region to the device. [`ENODEV`] if the device tree names none, [`EINVAL`] if it
    /// isn't kept back as a pool.
    pub fn assign(dev: &'a Device<Bound>) -> Result<Self> {
        let mut resource = MaybeUninit::<bindings::resource>::zeroed();

        // SAFETY: The device is valid.
        let node = unsafe { (*dev.as_raw()).of_node };
        // SAFETY: The node is that of a bound device or null, and there is room for a resource.
        to_result(unsafe {
            bindings::of_reserved_mem_region_to_resource(node, 0, resource.as_mut_ptr())
        })?;
        // SAFETY: A resource may be all zeroes, and it was filled in above.
        let resource = unsafe { resource.assume_init() };

        // SAFETY: As above.
        to_result(unsafe { bindings::of_reserved_mem_device_init_by_idx(dev.as_raw(), node, 0) })?;
        // INVARIANT: It was assigned above.
        Ok(Self {
            dev,
            memory: resource.start..resource.end + 1,
        })
    }

    /// The physical addresses.
    pub fn memory(&self) -> Range<bindings::phys_addr_t> {
        self.memory.clone()
    }
}

impl Drop for DevicePool<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is assigned.
        unsafe { bindings::of_reserved_mem_device_release(self.dev.as_raw()) };
    }
}
