// SPDX-License-Identifier: GPL-2.0

//! Address spaces of devices behind an IOMMU.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use super::pgtable::prot;
use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    devres,
    error::to_result,
    new_mutex,
    of_reserved_mem::DevicePool,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
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

/// Memory in whole pages, for devices.
///
/// # Safety
///
/// As long as an instance lives, the addresses are those of memory that devices may reach.
pub unsafe trait Pages {
    /// Physical address of a page.
    fn address(&self, number: usize) -> Result<bindings::phys_addr_t>;
}

#[cfg(CONFIG_RUST_DRM_GEM_SHMEM_HELPER)]
// SAFETY: The pages stay where they are, and belong to an object that is made to be shared with
// devices.
unsafe impl<T: crate::drm::gem::DriverObject> Pages for crate::drm::gem::shmem::Pages<T> {
    fn address(&self, number: usize) -> Result<bindings::phys_addr_t> {
        self.physical_address(number)
    }
}

/// A part of the address space that another device, an ancestor, is attached to: a remote
/// processor, as what drives its firmware sees it.
///
/// # Invariants
///
/// While `state` has a domain, that is a paging domain that lives.
#[pin_data]
pub struct Window {
    owner: ARef<Device>,
    range: Range<u64>,
    #[pin]
    state: Mutex<State>,
}

struct State {
    domain: Option<NonNull<bindings::iommu_domain>>,
    /// From the first address that was ever mapped to the last one.
    used: Range<u64>,
}

// SAFETY: Domains may be used by any thread.
unsafe impl Send for Window {}

// SAFETY: The domain is only used with the lock held.
unsafe impl Sync for Window {}

impl Window {
    /// The addresses `range` of the nearest ancestor of `dev` that has an address space of its
    /// own; none if there is no such. They can be used until `dev` is unbound, and are empty then.
    ///
    /// Ancestors must not take the address space from under a device that is bound, which those
    /// that make such devices don't.
    pub fn of_ancestor(dev: &Device<Bound>, range: Range<u64>) -> Result<Option<Arc<Self>>> {
        let Some((owner, domain)) = domain_of_ancestor(dev) else {
            return Ok(None);
        };
        // INVARIANT: The domain lives while `dev` is bound. `Closing` takes it from here then.
        let window = Arc::pin_init(
            pin_init!(Self {
                owner,
                range,
                state <- new_mutex!(State {
                    domain: Some(domain),
                    used: 0..0,
                }),
            }),
            GFP_KERNEL,
        )?;
        devres::register::<Closing, _>(dev, Closing(window.clone()), GFP_KERNEL)?;
        Ok(Some(window))
    }

    /// The ancestor.
    pub fn owner(&self) -> &Device {
        &self.owner
    }

    /// Maps `pages`, of which `numbers` are those to map, at `va`, until the result is dropped.
    pub fn map<P: Pages>(
        self: &Arc<Self>,
        va: u64,
        pages: P,
        numbers: Range<usize>,
        writable: bool,
    ) -> Result<Mapped<P>> {
        let size = (numbers.len() * PAGE_SIZE) as u64;
        let end = va.checked_add(size).ok_or(EINVAL)?;
        if va < self.range.start || end > self.range.end {
            return Err(EINVAL);
        }
        let mut access = prot::READ;
        if writable {
            access |= prot::WRITE;
        }
        if self.owner.is_dma_coherent() == Some(true) {
            access |= prot::CACHE;
        }
        // What is dropped on the way unmaps as much as has been mapped.
        let mut mapped = Mapped {
            window: self.clone(),
            va: va..va,
            pages,
        };
        let mut state = self.state.lock();
        let raw = state.domain.ok_or(ENODEV)?;
        state.used = match state.used.is_empty() {
            true => va..end,
            false => state.used.start.min(va)..state.used.end.max(end),
        };
        for number in numbers {
            let at = mapped.va.end;
            let done = mapped.pages.address(number).and_then(|memory| {
                let page = memory..memory + PAGE_SIZE as u64;
                // SAFETY: By the type invariant the domain lives. The page may be reached as long
                // as `mapped` lives, which unmaps it.
                unsafe { Domain::from_raw(raw).map(at, page, access) }
            });
            if let Err(error) = done {
                // It needs the lock.
                drop(state);
                return Err(error);
            }
            mapped.va.end += PAGE_SIZE as u64;
        }
        drop(state);
        Ok(mapped)
    }

    fn unmap(&self, va: Range<u64>) {
        if let Some(raw) = self.state.lock().domain {
            // SAFETY: By the type invariant the domain lives.
            unsafe { Domain::from_raw(raw) }.unmap(va);
        }
    }

    /// Unmaps all that was mapped here, and lets go of the domain.
    fn close(&self) {
        let mut state = self.state.lock();
        if let Some(raw) = state.domain.take() {
            // SAFETY: By the type invariant the domain lives.
            unsafe { Domain::from_raw(raw) }.unmap(state.used.clone());
        }
    }
}

type DomainOf = (ARef<Device>, NonNull<bindings::iommu_domain>);

fn domain_of_ancestor(dev: &Device) -> Option<DomainOf> {
    let mut raw = dev.as_raw();
    while !raw.is_null() {
        // SAFETY: Devices keep their parents.
        let domain = unsafe { bindings::iommu_get_domain_for_dev(raw) };
        if let Some(domain) = NonNull::new(domain) {
            // SAFETY: The domain lives as long as `dev` is bound.
            let kind = unsafe { (*domain.as_ptr()).type_ };
            // SAFETY: As above.
            let owner: &Device = unsafe { Device::from_raw(raw) };
            return (kind & bindings::__IOMMU_DOMAIN_PAGING != 0).then(|| (owner.into(), domain));
        }
        // SAFETY: As above.
        raw = unsafe { (*raw).parent };
    }
    None
}

/// Empties a window.
struct Closing(Arc<Window>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Pages that are mapped in a [`Window`].
pub struct Mapped<P: Pages> {
    window: Arc<Window>,
    va: Range<u64>,
    pages: P,
}

impl<P: Pages + Clone> Mapped<P> {
    /// The device addresses.
    pub fn va(&self) -> &Range<u64> {
        &self.va
    }

    /// Splits this into what lies before, within and after `range`; nothing is unmapped by that.
    pub fn split(mut self, range: &Range<u64>) -> [Option<Self>; 3] {
        let (start, end) = (self.va.start, self.va.end);
        let first = range.start.clamp(start, end);
        let second = range.end.clamp(first, end);
        let part = |va: Range<u64>| {
            (!va.is_empty()).then(|| Self {
                window: self.window.clone(),
                va,
                pages: self.pages.clone(),
            })
        };
        let parts = [part(start..first), part(first..second), part(second..end)];
        // Each byte belongs to one of the parts now.
        self.va = start..start;
        parts
    }
}

impl<P: Pages> Drop for Mapped<P> {
    fn drop(&mut self) {
        if !self.va.is_empty() {
            self.window.unmap(self.va.clone());
        }
    }
}
