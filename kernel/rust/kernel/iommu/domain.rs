// SPDX-License-Identifier: GPL-2.0

//! Address spaces of devices behind an IOMMU.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use super::pgtable::prot;
use crate::{
    bindings,
    error::to_result,
    of_reserved_mem::DevicePool,
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};
use core::{
    ops::Range,
    ptr::NonNull, //
};

/// An address space: what its devices reach, and where.
#[repr(transparent)]
pub struct Domain(Opaque<bindings::iommu_domain>);

// SAFETY: The C side synchronizes changes of different ranges, and those of one range need no more
// than that for memory safety: what is mapped is what `map()` was told.
unsafe impl Send for Domain {}

// SAFETY: As above.
unsafe impl Sync for Domain {}

impl Domain {
    /// # Safety
    ///
    /// `raw` must be a paging domain that lives for `'a`.
    pub(crate) unsafe fn from_raw<'a>(raw: NonNull<bindings::iommu_domain>) -> &'a Self {
        // SAFETY: The layouts are the same, and the rest is for the caller to guarantee.
        unsafe { raw.cast().as_ref() }
    }

    fn as_raw(&self) -> *mut bindings::iommu_domain {
        self.0.get()
    }

    /// Shows physical memory at `va`, where nothing is mapped.
    ///
    /// # Safety
    ///
    /// Until it is unmapped, or the domain has no device any more, the memory must stay what the
    /// devices may reach; with [`prot::WRITE`], nobody may rely on its content.
    pub unsafe fn map(&self, va: u64, memory: Range<bindings::phys_addr_t>, access: u32) -> Result {
        let size = memory.end.checked_sub(memory.start).ok_or(EINVAL)?;
        let aligned = |address: u64| address.is_multiple_of(PAGE_SIZE as u64);
        if !aligned(va) || !aligned(memory.start) || !aligned(size) {
            return Err(EINVAL);
        }
        // SAFETY: The domain is valid; what the mapping means is for the caller to guarantee.
        to_result(unsafe {
            bindings::iommu_map(
                self.as_raw(),
                usize::try_from(va)?,
                memory.start,
                usize::try_from(size)?,
                access as c_int,
                bindings::GFP_KERNEL,
            )
        })
    }

    /// Shows the device its own pool where it is: device address and physical address are the same.
    pub fn map_pool(&self, pool: &DevicePool<'_>) -> Result {
        let memory = pool.memory();

        // SAFETY: The device tree has set the memory aside for this device; whoever allocates from
        // it shares it with the device.
        unsafe { self.map(memory.start, memory, prot::READ | prot::WRITE) }
    }

    /// Takes everything in `range` away, mapped or not. Returns when no device reaches it.
    pub fn unmap(&self, range: Range<u64>) {
        let page = PAGE_SIZE as u64;
        let mut va = range.start;
        while va < range.end {
            let run = self.mapped_from(va, range.end);
            if run > 0 {
                // CAST: Addresses that are mapped fit.
                let (va, run) = (va as usize, run as usize);
                // SAFETY: The domain is valid and all of the range is mapped.
                unsafe { bindings::iommu_unmap(self.as_raw(), va, run) };
            }
            va += run.max(page);
        }
    }

    /// Bytes that are mapped from `va` on without a hole.
    fn mapped_from(&self, va: u64, end: u64) -> u64 {
        let mut next = va;
        // SAFETY: The domain is valid.
        while next < end && unsafe { bindings::iommu_iova_to_phys(self.as_raw(), next) } != 0 {
            next += PAGE_SIZE as u64;
        }
        next - va
    }
}
