// SPDX-License-Identifier: GPL-2.0

//! Buffer objects: shmem pages that files, VMs and importers share.

use super::{
    activity::Mappers,
    usage::{
        Charge,
        Usage, //
    },
    Access,
    Driver, //
};
use crate::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    drm::{
        self,
        gem::{
            self,
            BaseObject, //
        }, //
    },
    page::PAGE_SIZE,
    prelude::*,
    scatterlist::SGTable,
    str::CString,
    sync::{
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    }, //
};
use core::marker::PhantomData;

/// A buffer object.
pub type Bo<D> = gem::shmem::Object<BoData<D>>;

/// The framework's part of a buffer object.
#[pin_data]
pub struct BoData<D> {
    /// None for an object that no file made.
    _charge: Option<Charge>,
    #[pin]
    pub(super) mappers: Mappers,
    /// What it is for, to people who look for faults.
    #[pin]
    pub(super) label: Mutex<Option<CString>>,
    _driver: PhantomData<fn() -> D>,
}

/// What makes a buffer object count against the limit of a file.
#[derive(Default)]
pub struct BoArgs(Option<Charge>);

impl<D: Driver> gem::DriverObject for BoData<D> {
    type Driver = D;
    type Args = BoArgs;

    /// The exporter accounts for the memory.
    fn imported() -> Option<BoArgs> {
        Some(BoArgs::default())
    }

    fn new(_dev: &drm::Device<D>, _size: usize, args: BoArgs) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _charge: args.0,
            mappers <- Mappers::new(),
            label <- new_mutex!(None),
            _driver: PhantomData,
        })
    }

    fn is_active(&self) -> bool {
        self.mappers.are_active()
    }
}

/// Part of a buffer object.
pub struct BoRange<D: Driver> {
    /// The object; the reference keeps its pages.
    pub bo: ARef<Bo<D>>,
    /// First byte, page aligned.
    pub offset: u64,
    /// Bytes, page aligned; the end lies within the object.
    pub size: u64,
    /// What the device may do.
    pub access: Access,
}

/// Refuses a range that isn't whole pages within its buffer object.
pub(super) fn check_range<D: Driver>(range: &BoRange<D>) -> Result {
    let end = range.offset.checked_add(range.size).ok_or(EINVAL)?;
    if !range.offset.is_multiple_of(PAGE_SIZE as u64) || end > range.bo.size() as u64 {
        return Err(EINVAL);
    }
    Ok(())
}

impl<D: Driver> BoRange<D> {
    /// Whether the device may write.
    pub fn writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// Pins the pages of the whole object and maps them for the DMA of its device, until the object
    /// goes or `parent`, the device's parent, is unbound. Where DMA isn't coherent this cleans the
    /// caches, into which nobody brings the pages again: user space maps them write-combined.
    pub fn map_for_dma<'a>(&'a self, parent: &'a Device<Bound>) -> Result<&'a SGTable> {
        self.bo.sg_table(parent)
    }
}

/// What makes a range of a buffer object reachable for a device with page tables.
pub struct DmaPages<D: Driver> {
    addresses: KVVec<DmaAddress>,
    access: Access,
    /// Keeps the pages.
    _bo: ARef<Bo<D>>,
}

impl<D: Driver> DmaPages<D> {
    /// Pins the pages and maps them for the DMA of `parent`.
    pub fn new(parent: &Device<Bound>, range: BoRange<D>) -> Result<Self> {
        let wanted = range.offset..range.offset + range.size;
        let mut addresses = KVVec::new();
        let mut offset = 0;
        for part in range.map_for_dma(parent)?.iter() {
            for page in (0..part.dma_len()).step_by(PAGE_SIZE) {
                if wanted.contains(&offset) {
                    addresses.push(part.dma_address() + page, GFP_KERNEL_ACCOUNT)?;
                }
                offset += PAGE_SIZE as u64;
            }
        }
        Ok(Self {
            addresses,
            access: range.access,
            _bo: range.bo,
        })
    }

    /// The pages' addresses, in order, from the page at `offset` bytes on.
    pub fn addresses(&self, offset: u64) -> &[DmaAddress] {
        let first = offset as usize / PAGE_SIZE;
        self.addresses.get(first..).unwrap_or(&[])
    }

    /// Whether the device may write.
    pub fn writable(&self) -> bool {
        self.access == Access::ReadWrite
    }
}

/// Creates an object of `size` bytes, rounded up to whole pages. It is zeroed, and no processor has
/// it in its caches if the device doesn't look there.
pub(super) fn create<D: Driver>(
    dev: &drm::Device<D>,
    usage: &Arc<Usage>,
    size: u64,
) -> Result<ARef<Bo<D>>> {
    if size == 0 || size > D::LIMITS.bo_size {
        return Err(EINVAL);
    }
    let size = size.next_multiple_of(PAGE_SIZE as u64);
    let charge = Charge::new(usage, size, D::LIMITS.bo_bytes)?;
    Bo::<D>::new(
        dev,
        usize::try_from(size)?,
        gem::shmem::ObjectConfig {
            map_wc: dev.dma_device().is_dma_coherent() == Some(false),
            parent_resv_obj: None,
        },
        BoArgs(Some(charge)),
    )
}
