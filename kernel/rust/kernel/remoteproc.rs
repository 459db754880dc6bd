// SPDX-License-Identifier: GPL-2.0

//! Remote processors: cores that run firmware of their own.
//!
//! A driver starts and stops the core. The remoteproc core does the rest: it loads the firmware, an
//! ELF file with a resource table, gives it the memory and the virtio devices that the table asks
//! for, and restarts a core that has crashed.
//!
//! C header: [`include/linux/remoteproc.h`](srctree/include/linux/remoteproc.h)

use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::{
        from_result,
        to_result, //
    },
    iommu::domain::Domain,
    irq::IrqReturn,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};

mod resources;
pub use resources::{
    Resource,
    ResourceTable, //
};

/// What a driver does for its core. The calls come one at a time, but for [`kick`](Self::kick).
pub trait Operations: Send + Sync {
    /// Whether the core reaches memory through an IOMMU: the remoteproc core then makes an address
    /// space for it, and maps the carve-outs of the resource table there.
    const BEHIND_IOMMU: bool = false;

    /// Powers what loading the firmware needs. `domain` is the core's address space, if it is
    /// behind an IOMMU.
    fn prepare(&self, domain: Option<&Domain>) -> Result;

    /// Undoes [`prepare`](Self::prepare).
    fn unprepare(&self);

    /// Refuses firmware that asks for what it must not have.
    fn check(&self, resources: ResourceTable<'_>) -> Result;

    /// Starts the core at `address`, as it sees it; the firmware is loaded.
    fn start(&self, address: u64) -> Result;

    /// Stops the core: when this returns it reaches no memory any more.
    fn stop(&self);

    /// Tells the core to look at a virtqueue. It may be called in atomic context, and while the
    /// other calls are under way.
    fn kick(&self, queue: u32);
}

/// Why a core is to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It reached for memory that it doesn't have.
    MmuFault,
    /// It doesn't answer.
    Watchdog,
    /// Anything else.
    Fatal,
}

/// A remote processor.
#[repr(transparent)]
pub struct Rproc(Opaque<bindings::rproc>);

// SAFETY: References may be dropped by any thread.
unsafe impl Send for Rproc {}

// SAFETY: The methods may be called by any thread at any time.
unsafe impl Sync for Rproc {}

// SAFETY: The reference count is that of the device in it.
unsafe impl AlwaysRefCounted for Rproc {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant this is a valid rproc, hence its device is.
        unsafe { bindings::get_device(self.device()) };
    }

    unsafe fn dec_ref(rproc: NonNull<Self>) {
        // SAFETY: The caller gives a reference up.
        unsafe { bindings::rproc_free(rproc.as_ptr().cast()) };
    }
}

impl Rproc {
    fn as_raw(&self) -> *mut bindings::rproc {
        self.0.get()
    }

    fn device(&self) -> *mut bindings::device {
        // SAFETY: The rproc is valid.
        unsafe { &raw mut (*self.as_raw()).dev }
    }

    /// The processor that `dev` is a part of, e.g. as one of its channels, if there is one.
    pub fn of_child(dev: &Device<Bound>) -> Option<ARef<Self>> {
        // SAFETY: The device is valid.
        let raw = NonNull::new(unsafe { bindings::rproc_get_by_child(dev.as_raw()) })?;
        // SAFETY: A device holds its ancestors, so that this one is valid, too. The layouts are the
        // same.
        let rproc: &Self = unsafe { raw.cast().as_ref() };
        Some(rproc.into())
    }

    /// Handles the interrupt of a virtqueue, in whatever context.
    pub fn queue_interrupt(&self, queue: u32) -> IrqReturn {
        // SAFETY: The rproc is valid; a queue that isn't there is none of its interrupts.
        let handled = unsafe { bindings::rproc_vq_interrupt(self.as_raw(), queue as c_int) };
        if handled == bindings::irqreturn::IRQ_NONE {
            IrqReturn::None
        } else {
            IrqReturn::Handled
        }
    }

    /// Has the core restarted, in the background. Any context will do.
    pub fn report_crash(&self, why: Crash) {
        let why = match why {
            Crash::MmuFault => bindings::rproc_crash_type_RPROC_MMUFAULT,
            Crash::Watchdog => bindings::rproc_crash_type_RPROC_WATCHDOG,
            Crash::Fatal => bindings::rproc_crash_type_RPROC_FATAL_ERROR,
        };
        // SAFETY: The rproc is valid.
        unsafe { bindings::rproc_report_crash(self.as_raw(), why) };
    }
}

/// A remote processor that isn't known to the remoteproc core yet.
pub struct Unregistered<'a, T: Operations> {
    rproc: ARef<Rproc>,
    operations: Pin<KBox<T>>,
    device: PhantomData<&'a Device<Bound>>,
}

impl<'a, T: Operations + 'a> Unregistered<'a, T> {
    /// Makes one whose parent is `dev`. `firmware` is the name of its firmware's file.
    pub fn new(
        dev: &'a Device<Bound>,
        firmware: &CStr,
        operations: impl PinInit<T, Error>,
    ) -> Result<Self> {
        let operations = KBox::pin_init(operations, GFP_KERNEL)?;
        // SAFETY: The device is valid; the C side copies names and operations.
        let raw = unsafe {
            bindings::rproc_alloc(
                dev.as_raw(),
                dev.name().as_char_ptr(),
                &Vtable::<T>::OPS,
                firmware.as_char_ptr(),
                0,
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: It is new, so that nobody else looks at it.
        unsafe {
            (*raw.as_ptr()).priv_ = ptr::from_ref::<T>(&operations).cast_mut().cast();
            (*raw.as_ptr()).has_iommu = T::BEHIND_IOMMU;
        }
        Ok(Self {
            // SAFETY: The reference is ours.
            rproc: unsafe { ARef::from_raw(raw.cast()) },
            operations,
            device: PhantomData,
        })
    }

    /// The processor, for those who tell it of interrupts.
    pub fn rproc(&self) -> &Rproc {
        &self.rproc
    }

    /// What the driver does for it.
    pub fn operations(&self) -> Pin<&T> {
        self.operations.as_ref()
    }
}

/// A remote processor as long as it is known to the remoteproc core, which boots it as soon as
/// its firmware is there.
///
/// # Invariants
///
/// `rproc` is registered, and its private data is `_operations`.
pub struct Registration<'a, T: Operations> {
    rproc: ARef<Rproc>,
    _operations: Pin<KBox<T>>,
    _device: PhantomData<&'a Device<Bound>>,
}

impl<'a, T: Operations + 'a> Registration<'a, T> {
    /// Registers the processor.
    ///
    /// # Safety
    ///
    /// The result must be dropped: it must not be leaked.
    pub unsafe fn new(processor: Unregistered<'a, T>) -> Result<Self> {
        // SAFETY: It is valid and not registered yet.
        to_result(unsafe { bindings::rproc_add(processor.rproc.as_raw()) })?;

        // INVARIANT: It was registered above, and `Unregistered` has set its private data.
        Ok(Self {
            rproc: processor.rproc,
            _operations: processor.operations,
            _device: PhantomData,
        })
    }
}

impl<T: Operations> Drop for Registration<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered. When this returns the core is stopped,
        // and nobody calls the operations any more.
        unsafe { bindings::rproc_del(self.rproc.as_raw()) };
    }
}

/// The operations as the C side calls them.
struct Vtable<T>(PhantomData<T>);

impl<T: Operations> Vtable<T> {
    const OPS: bindings::rproc_ops = {
        let mut ops: bindings::rproc_ops = pin_init::zeroed();

        ops.prepare = Some(Self::prepare);
        ops.unprepare = Some(Self::unprepare);
        ops.start = Some(Self::start);
        ops.stop = Some(Self::stop);
        ops.kick = Some(Self::kick);
        ops.parse_fw = Some(Self::parse_firmware);
        // The remoteproc core's own.
        ops.sanity_check = Some(bindings::rproc_elf_sanity_check);
        ops.get_boot_addr = Some(bindings::rproc_elf_get_boot_addr);
        ops.load = Some(bindings::rproc_elf_load_segments);
        ops.find_loaded_rsc_table = Some(bindings::rproc_elf_find_loaded_rsc_table);
        ops
    };

    /// # Safety
    ///
    /// `rproc` must be what one of the callbacks below is called with.
    unsafe fn operations<'a>(rproc: *mut bindings::rproc) -> &'a T {
        // SAFETY: Callbacks are only called while the processor is registered, hence by the
        // invariant of `Registration` and by `Unregistered::new()` this is a `T`, which lives
        // longer than the call.
        unsafe { &*(*rproc).priv_.cast() }
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made.
    unsafe extern "C" fn prepare(rproc: *mut bindings::rproc) -> c_int {
        // SAFETY: This is a callback.
        let operations = unsafe { Self::operations(rproc) };
        // SAFETY: The domain was made before and lives until after `unprepare()`.
        let domain =
            NonNull::new(unsafe { (*rproc).domain }).map(|raw| unsafe { Domain::from_raw(raw) });
        from_result(|| operations.prepare(domain).map(|()| 0))
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made.
    unsafe extern "C" fn unprepare(rproc: *mut bindings::rproc) -> c_int {
        // SAFETY: This is a callback.
        unsafe { Self::operations(rproc) }.unprepare();
        0
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made.
    unsafe extern "C" fn start(rproc: *mut bindings::rproc) -> c_int {
        // SAFETY: This is a callback, and the address was set before.
        let (operations, address) = unsafe { (Self::operations(rproc), (*rproc).bootaddr) };
        from_result(|| operations.start(address).map(|()| 0))
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made.
    unsafe extern "C" fn stop(rproc: *mut bindings::rproc) -> c_int {
        // SAFETY: This is a callback.
        unsafe { Self::operations(rproc) }.stop();
        0
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made.
    unsafe extern "C" fn kick(rproc: *mut bindings::rproc, queue: c_int) {
        if let Ok(queue) = u32::try_from(queue) {
            // SAFETY: This is a callback.
            unsafe { Self::operations(rproc) }.kick(queue);
        }
    }

    /// # Safety
    ///
    /// To be called by the remoteproc core, with what [`Unregistered::new`] made and an ELF file.
    unsafe extern "C" fn parse_firmware(
        rproc: *mut bindings::rproc,
        firmware: *const bindings::firmware,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The arguments are passed on; the firmware was found to be an ELF file before.
            to_result(unsafe { bindings::rproc_elf_load_rsc_table(rproc, firmware) })?;
            // SAFETY: The call above has made this a copy of the table, for the kernel alone.
            let table = unsafe {
                slice::from_raw_parts((*rproc).cached_table.cast::<u8>(), (*rproc).table_sz)
            };
            // SAFETY: This is a callback.
            let checked = unsafe { Self::operations(rproc) }.check(ResourceTable::new(table));
            if checked.is_err() {
                // SAFETY: Nobody frees the copy when this callback fails. Nothing refers to it.
                unsafe { Self::forget_table(rproc) };
            }
            checked.map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `rproc` must be valid with a table that nothing refers to.
    unsafe fn forget_table(rproc: *mut bindings::rproc) {
        // SAFETY: The table was allocated by `rproc_elf_load_rsc_table()`, with kmemdup().
        unsafe {
            bindings::kfree((*rproc).cached_table.cast());
            (*rproc).cached_table = ptr::null_mut();
            (*rproc).table_ptr = ptr::null_mut();
            (*rproc).table_sz = 0;
        }
    }
}
