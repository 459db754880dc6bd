// SPDX-License-Identifier: GPL-2.0

//! How the device gets from the device addresses of a VM to the pages behind them.

use crate::{
    driver::Apu,
    page_table::Tables,
    quarantine::Quarantine, //
};
use core::ops::Range;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    drm::{
        accel::tiny::{
            BoData,
            BoRange, //
        },
        gem::shmem, //
    },
    io::PhysAddr,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::Arc, //
};

/// Device addresses end here at the latest: half of what a signed 64-bit offset can name.
const VA_END_MAX: u64 = 1 << 62;

/// One way to make memory reachable. Its methods may sleep and allocate.
pub(crate) trait Memory: Send + Sync {
    /// One of the protocol's `addressing`; the device must say the same of itself.
    fn addressing(&self) -> u32;

    /// First device address past those that can be mapped this way.
    fn va_end(&self) -> u64 {
        VA_END_MAX
    }

    /// Parts of the device addresses, of which each VM gets one: more than one if all VMs share the
    /// device's address space.
    fn windows(&self) -> u32 {
        1
    }

    /// Whether mapping and unmapping allocates nothing but what was set aside for it.
    fn maps_without_allocating(&self) -> bool {
        true
    }

    /// Adds to `tables` those that mapping `va` will take.
    fn reserve(&self, tables: &mut Tables, va: &Range<u64>) -> Result {
        let _ = (tables, va);
        Ok(())
    }

    /// Makes the host's side of an empty address space.
    fn vm_create(&self) -> Result<KBox<dyn Space>>;

    /// The device that reaches the pages, if it isn't the parent of the DRM device.
    fn dma_device(&self) -> Option<&Device> {
        None
    }

    /// Makes pages known to the device before they are mapped, if it works that way: returns the
    /// token that MAP messages carry. `parent` is that of the DRM device.
    fn share(&self, parent: &Device<Bound>, pages: Arc<Pages>) -> Result<Option<u64>> {
        let _ = (parent, pages);
        Ok(None)
    }

    /// Where pages stay that a device may still reach which was cut off, if that is possible.
    fn quarantine(&self) -> Option<&Arc<Quarantine>> {
        None
    }

    /// What a MAP carries of pages `offset` bytes into what `token` stands for.
    fn part(&self, token: u64, offset: u64) -> u64 {
        let _ = offset;
        token
    }

    /// Ends what [`share`](Self::share) began with a token.
    fn unshare(&self, token: u64) {
        let _ = token;
    }
}

/// The host's side of one address space.
///
/// It is dropped when the device no longer reaches it.
pub(crate) trait Space: Send {
    /// Where the device finds it, or 0 where it needn't.
    fn root(&self) -> u64;

    /// Maps at `va`, where nothing is mapped, those of `pages` that begin `offset` bytes in, or
    /// changes nothing.
    fn map(&mut self, va: Range<u64>, pages: &Pages, offset: u64, tables: &mut Tables) -> Result;

    /// Unmaps all in `va`. The device may remember what was there until it is told to forget it.
    fn unmap(&mut self, va: Range<u64>) -> Result;

    /// Called when the device has forgotten all that was unmapped.
    fn settle(&mut self) {}
}

/// Part of a buffer object, with its pages pinned.
pub(crate) struct Pages {
    pinned: shmem::Pages<BoData<Apu>>,
    range: BoRange<Apu>,
}

impl Pages {
    /// Pins the pages of `range`, for what `parent` stands for.
    pub(crate) fn pin(parent: &Device<Bound>, range: BoRange<Apu>) -> Result<Arc<Self>> {
        let pinned = range.bo.pages(parent)?;
        Ok(Arc::new(Self { pinned, range }, GFP_KERNEL_ACCOUNT)?)
    }

    /// Whether the device may write.
    pub(crate) fn writable(&self) -> bool {
        self.range.writable()
    }

    /// Maps the whole object for DMA.
    #[cfg(CONFIG_IOMMU_API)]
    pub(crate) fn map_for_dma(&self, parent: &Device<Bound>) -> Result {
        self.range.map_for_dma(parent).map(|_| ())
    }

    /// The pinned pages of the whole object.
    pub(crate) fn pinned(&self) -> &shmem::Pages<BoData<Apu>> {
        &self.pinned
    }

    /// Which pages of the object those are that begin `offset` bytes in, or [`EINVAL`].
    pub(crate) fn numbers(&self, offset: u64, size: u64) -> Result<Range<usize>> {
        let end = offset.checked_add(size).ok_or(EINVAL)?;
        if end > self.range.size {
            return Err(EINVAL);
        }
        let first = usize::try_from(self.range.offset + offset)? >> PAGE_SHIFT;
        let end = usize::try_from(self.range.offset + end)? >> PAGE_SHIFT;
        Ok(first..end)
    }

    /// Each device address of `va` with the physical address of its page, the first of which is
    /// `offset` bytes in.
    pub(crate) fn addresses(
        &self,
        va: &Range<u64>,
        offset: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, PhysAddr)>> + '_> {
        let pages = self.numbers(offset, va.end - va.start)?;
        let vas = (va.start..).step_by(PAGE_SIZE);
        Ok(vas
            .zip(pages)
            .map(|(va, number)| Ok((va, self.pinned.physical_address(number)?))))
    }
}
