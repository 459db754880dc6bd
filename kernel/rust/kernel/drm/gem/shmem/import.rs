// SPDX-License-Identifier: GPL-2.0

//! Objects that stand for foreign buffers.
//!
//! An imported object is a whole [`Object`], but none that shmem has pages for: it is attached to
//! the buffer of another driver, the exporter. It is mapped for DMA when a device needs it first.
//! Both end with the object. [`Pages`] are those of any object.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)

use super::{
    Object,
    PinnedPages, //
};
use crate::{
    device::{
        self,
        Bound, //
    },
    dma::DataDirection,
    drm::{
        gem::{
            BaseObject,
            DriverObject,
            IntoGEMObject, //
        },
        Device, //
    },
    error::{
        from_err_ptr,
        to_result, //
    },
    io::PhysAddr,
    mm::virt::VmaNew,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    scatterlist::SGTable,
    sync::aref::ARef, //
};
use core::{
    mem::ManuallyDrop,
    ops::Range,
    ptr::NonNull, //
};

/// An attachment to a foreign buffer.
///
/// # Invariants
///
/// `self.0` is a valid attachment, with a reference to its buffer.
struct Attachment(NonNull<bindings::dma_buf_attachment>);

impl Attachment {
    /// # Safety
    ///
    /// `dma_buf` must be valid, and `dev` for as long as the attachment is there.
    unsafe fn new(dma_buf: *mut bindings::dma_buf, dev: *mut bindings::device) -> Result<Self> {
        // SAFETY: By the safety requirement.
        let attachment = from_err_ptr(unsafe { bindings::dma_buf_attach(dma_buf, dev) })?;
        // SAFETY: As above.
        unsafe { bindings::get_dma_buf(dma_buf) };
        // INVARIANT: Attached above, with a reference.
        Ok(Self(NonNull::new(attachment).ok_or(EINVAL)?))
    }

    fn dma_buf(&self) -> *mut bindings::dma_buf {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref().dmabuf }
    }

    /// Maps the buffer for DMA. Its lock must not be held.
    fn map(&self) -> Result<*mut bindings::sg_table> {
        let direction = DataDirection::Bidirectional.into();
        // SAFETY: By the type invariant.
        from_err_ptr(unsafe {
            bindings::dma_buf_map_attachment_unlocked(self.0.as_ptr(), direction)
        })
    }

    fn can_be_mapped(&self) -> bool {
        // SAFETY: The buffer is valid, and so are its operations.
        unsafe { (*(*self.dma_buf()).ops).mmap.is_some() }
    }

    fn map_into(&self, vma: &VmaNew, first_page: usize) -> Result {
        // SAFETY: The buffer is valid, and the VMA is undergoing initialization by us. The C side
        // checks the range against the buffer.
        to_result(unsafe { bindings::dma_buf_mmap(self.dma_buf(), vma.as_ptr(), first_page) })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let dma_buf = self.dma_buf();
        // SAFETY: By the type invariant; this gives up both.
        unsafe {
            bindings::dma_buf_detach(dma_buf, self.0.as_ptr());
            bindings::dma_buf_put(dma_buf);
        }
    }
}

/// The physical address of each of `count` pages; [`EOPNOTSUPP`] if those aren't what is mapped.
///
/// # Safety
///
/// `table` must be valid.
unsafe fn addresses(table: *mut bindings::sg_table, count: usize) -> Result<KVVec<PhysAddr>> {
    let mut addresses = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
    // SAFETY: By the safety requirement.
    let (mut entry, entries) = unsafe { ((*table).sgl, (*table).orig_nents) };
    for _ in 0..entries {
        // SAFETY: There are as many entries as the table says.
        let (part, page) = unsafe { (&*entry, bindings::sg_page(entry)) };
        let whole_pages = part.offset == 0 && part.length.is_multiple_of(PAGE_SIZE as u32);
        if page.is_null() || !whole_pages {
            return Err(EOPNOTSUPP);
        }
        // SAFETY: It is the page of an entry, hence valid.
        let first = unsafe { bindings::page_to_phys(page) };
        for offset in (0..PhysAddr::from(part.length)).step_by(PAGE_SIZE) {
            addresses.push(first + offset, GFP_KERNEL_ACCOUNT)?;
        }
        // SAFETY: As above.
        entry = unsafe { bindings::sg_next(entry) };
    }
    if addresses.len() != count {
        return Err(EOPNOTSUPP);
    }
    Ok(addresses)
}

impl<T: DriverObject> Object<T> {
    /// The `gem_prime_import` callback.
    ///
    /// # Safety
    ///
    /// For the DRM core only, with a device of `T::Driver` and a buffer.
    pub(super) unsafe extern "C" fn import_callback(
        dev: *mut bindings::drm_device,
        dma_buf: *mut bindings::dma_buf,
    ) -> *mut bindings::drm_gem_object {
        // SAFETY: The core passes a valid device and a valid buffer.
        unsafe {
            if bindings::drm_gem_is_prime_exported_dma_buf(dev, dma_buf) {
                let own = (*dma_buf).priv_.cast::<bindings::drm_gem_object>();
                bindings::drm_gem_object_get(own);
                return own;
            }
        }
        // SAFETY: The core calls this for devices with the operations of `T::Driver` only.
        let dev = unsafe { Device::from_raw(dev) };
        // SAFETY: The core's reference keeps the buffer during the call.
        match unsafe { Self::import(dev, dma_buf) } {
            // The reference is the core's now.
            Ok(object) => {
                let object = ARef::into_raw(object);
                // SAFETY: The reference keeps the object.
                unsafe { object.as_ref() }.as_raw()
            }
            Err(error) => error.to_ptr(),
        }
    }

    /// Makes an object of a buffer of somebody else.
    ///
    /// # Safety
    ///
    /// `dma_buf` must be valid.
    pub(super) unsafe fn import(
        dev: &Device<T::Driver>,
        dma_buf: *mut bindings::dma_buf,
    ) -> Result<ARef<Self>> {
        let args = T::imported().ok_or(EINVAL)?;
        // SAFETY: The buffer is valid. The DRM device keeps the one that does its DMA, and the
        // object, which gets the attachment, the DRM device.
        let attachment = unsafe { Attachment::new(dma_buf, dev.dma_device().as_raw())? };
        // SAFETY: The buffer is valid.
        let size = unsafe { (*dma_buf).size };
        let size = crate::page::page_align(size)
            .filter(|size| *size != 0)
            .ok_or(EINVAL)?;
        let new = Self::allocate(dev, size, None, args)?;

        // SAFETY: The device and the attachment are valid, and `new` is to be initialised.
        to_result(unsafe {
            bindings::drm_gem_shmem_init_imported(
                dev.as_raw(),
                new.as_raw_shmem(),
                attachment.0.as_ptr(),
            )
        })?;
        // It belongs to the object, which gives it up when it is freed.
        let _ = ManuallyDrop::new(attachment);
        // SAFETY: Initialised above.
        Ok(unsafe { Self::into_aref(new) })
    }

    /// Whether this object stands for a buffer of another driver.
    pub fn is_imported(&self) -> bool {
        self.attachment().is_some()
    }

    /// The attachment of an imported object, which goes with that.
    fn attachment(&self) -> Option<ManuallyDrop<Attachment>> {
        // SAFETY: By the type invariant the object is valid; the field is set before others see it.
        let attachment = NonNull::new(unsafe { (*self.as_raw()).import_attach })?;
        // INVARIANT: The object has it, with a reference, as long as it lives.
        Some(ManuallyDrop::new(Attachment(attachment)))
    }

    /// Where the device finds an imported object, from now on until that goes.
    pub(super) fn imported_sg_table(&self) -> Result<&SGTable> {
        let attachment = self.attachment().ok_or(EINVAL)?;
        let _guard = self.sgt_lock.lock();
        // SAFETY: By the type invariant the object is valid. As it is imported, only this code
        // touches the field, under the lock, until it is freed with what is there.
        let table = unsafe { &mut (*self.as_raw_shmem()).sgt };
        if table.is_null() {
            *table = attachment.map()?;
        }
        // SAFETY: The table is valid until the object goes, and nobody changes it.
        Ok(unsafe { SGTable::from_raw(*table) })
    }

    /// The physical address of each page of an imported object that is mapped.
    fn imported_addresses(&self) -> Result<&[PhysAddr]> {
        let _guard = self.sgt_lock.lock();
        if self.addresses.as_ref().is_none() {
            // SAFETY: By the type invariant the object is valid; under the lock the field is either
            // null or a valid table.
            let table = NonNull::new(unsafe { (*self.as_raw_shmem()).sgt }).ok_or(EINVAL)?;
            // SAFETY: As above.
            let found = unsafe { addresses(table.as_ptr(), self.size() >> PAGE_SHIFT)? };
            self.addresses.populate(found);
        }
        self.addresses.as_ref().map(|found| &**found).ok_or(EINVAL)
    }

    /// Keeps the pages of this object where they are, for the device that it belongs to.
    ///
    /// An imported object is mapped for DMA as by [`Self::sg_table`]. [`EOPNOTSUPP`] says that it
    /// isn't made of whole pages of memory: the exporter may have it in a device.
    pub fn pages(&self, dev: &device::Device<Bound>) -> Result<Pages<T>> {
        if !self.is_imported() {
            return Ok(Pages::Own(self.pin_pages()?));
        }
        self.sg_table(dev)?;
        self.imported_addresses()?;
        // INVARIANT: It has an attachment, and addresses.
        Ok(Pages::Foreign(Foreign(self.into())))
    }
}

/// The pages of an object, which stay where they are as long as this lives.
pub enum Pages<T: DriverObject> {
    /// Those that shmem has for it.
    Own(PinnedPages<T>),
    /// Those of another driver.
    Foreign(Foreign<T>),
}

/// The pages of an imported object.
///
/// # Invariants
///
/// The object is imported, and its `addresses` are populated.
pub struct Foreign<T: DriverObject>(ARef<Object<T>>);

impl<T: DriverObject> Clone for Pages<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Own(pages) => Self::Own(pages.clone()),
            Self::Foreign(Foreign(object)) => Self::Foreign(Foreign(object.clone())),
        }
    }
}

impl<T: DriverObject> Pages<T> {
    /// The physical address of a page, by its number within the object, or [`EINVAL`] if the object
    /// has no such page.
    pub fn physical_address(&self, number: usize) -> Result<PhysAddr> {
        match self {
            Self::Own(pages) => pages.physical_address(number),
            Self::Foreign(Foreign(object)) => {
                let addresses = object.addresses.as_ref().ok_or(EINVAL)?;
                addresses.get(number).copied().ok_or(EINVAL)
            }
        }
    }

    /// Whether [`Self::map_into`] works: not all exporters can map their buffers.
    pub fn can_be_mapped(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Foreign(Foreign(object)) => object
                .attachment()
                .is_some_and(|attachment| attachment.can_be_mapped()),
        }
    }

    /// Maps the pages in `range` (numbers of pages within the object) into all of `vma`, which
    /// keeps them from then on. It is the exporter who maps a foreign buffer, in its own way.
    ///
    /// This must be the last thing in the `mmap()` hook that can fail. Fails with [`EINVAL`] if the
    /// object has no such pages or `vma` isn't made for as many; else see
    /// [`PinnedPages::map_into`].
    pub fn map_into(&self, vma: &VmaNew, range: Range<usize>) -> Result {
        if vma.end() - vma.start() != range.len() << PAGE_SHIFT {
            return Err(EINVAL);
        }
        match self {
            Self::Own(pages) => pages.map_into(vma, range),
            Self::Foreign(Foreign(object)) => {
                let attachment = object.attachment().ok_or(EINVAL)?;
                attachment.map_into(vma, range.start)
            }
        }
    }
}
