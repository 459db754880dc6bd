// SPDX-License-Identifier: GPL-2.0

//! Memory behind an IOMMU: one address space for all clients, of which each VM has a part.
//!
//! The domain is that of the remote processor. A MAP still tells the device of each mapping, so
//! that it can keep VMs apart, which the IOMMU doesn't.

use crate::{
    driver::Apu,
    memory::{
        Memory,
        Pages,
        Space, //
    },
    message::addressing,
    page_table::Tables, //
};
use core::ops::Range;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    drm::{
        accel::tiny::BoData,
        gem::shmem, //
    },
    iommu::domain::{
        Mapped,
        Window, //
    },
    prelude::*,
    sync::Arc, //
};

/// Device addresses have 32 bits; the first page stays free.
const ADDRESSES: Range<u64> = 0x1000..1 << 32;
/// VMs at the same time.
const WINDOWS: u32 = 8;

/// The device's address space.
pub(crate) struct Iommu(Arc<Window>);

impl Iommu {
    /// The address space of `dev` or of an ancestor, if there is one.
    pub(crate) fn of(dev: &Device<Bound>) -> Result<Option<Self>> {
        Ok(Window::of_ancestor(dev, ADDRESSES)?.map(Self))
    }
}

impl Memory for Iommu {
    fn addressing(&self) -> u32 {
        addressing::EXTERNAL
    }

    fn va_end(&self) -> u64 {
        ADDRESSES.end
    }

    fn windows(&self) -> u32 {
        WINDOWS
    }

    /// An IOMMU's page tables are its own.
    fn maps_without_allocating(&self) -> bool {
        false
    }

    fn vm_create(&self) -> Result<KBox<dyn Space>> {
        let part = Part {
            window: self.0.clone(),
            mapped: KVec::new(),
            unmapped: KVec::new(),
        };
        Ok(KBox::new(part, GFP_KERNEL_ACCOUNT)?)
    }

    fn dma_device(&self) -> Option<&Device> {
        Some(self.0.owner())
    }

    fn share(&self, parent: &Device<Bound>, pages: Arc<Pages>) -> Result<Option<u64>> {
        // The IOMMU only says where the pages are.
        pages.map_for_dma(parent)?;
        // The device address says it all.
        Ok(Some(0))
    }
}

type Piece = Mapped<shmem::Pages<BoData<Apu>>>;

/// What one VM has mapped.
struct Part {
    window: Arc<Window>,
    mapped: KVec<Piece>,
    /// Stays mapped until the device has been told to forget it.
    unmapped: KVec<Piece>,
}

impl Space for Part {
    fn root(&self) -> u64 {
        0
    }

    fn map(&mut self, va: Range<u64>, pages: &Pages, offset: u64, _: &mut Tables) -> Result {
        self.mapped.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let numbers = pages.numbers(offset, va.end - va.start)?;
        let pinned = pages.pinned().clone();
        let piece = self
            .window
            .map(va.start, pinned, numbers, pages.writable())?;
        self.mapped.push(piece, GFP_KERNEL_ACCOUNT)?;
        Ok(())
    }

    fn unmap(&mut self, va: Range<u64>) -> Result {
        // One mapping at most is split, and brings one part more.
        self.mapped.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let hit = |piece: &Piece| piece.va().start < va.end && va.start < piece.va().end;
        while let Some(index) = self.mapped.iter().position(hit) {
            let piece = self.mapped.remove(index).map_err(|_| EINVAL)?;
            let [head, gone, tail] = piece.split(&va);
            for rest in [head, tail].into_iter().flatten() {
                self.mapped.push(rest, GFP_KERNEL_ACCOUNT)?;
            }
            if let Some(gone) = gone {
                // Without room it is unmapped at once, which the device has to bear.
                let _ = self.unmapped.push(gone, GFP_KERNEL_ACCOUNT);
            }
        }
        Ok(())
    }

    fn settle(&mut self) {
        self.unmapped.clear();
    }
}
