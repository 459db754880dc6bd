// SPDX-License-Identifier: GPL-2.0

//! A driver to start from: an imaginary accelerator that adds vectors.
//!
//! The hardware has registers, an interrupt, and page tables of one level: a page of entries, each
//! of them the address of a page. It runs one job at a time. What isn't here the framework has:
//! files, buffer objects, address spaces, queues, fences, timeouts, and what happens when the
//! device is lost. The interface for user space is in `include/uapi/drm/template_accel.h`.

use core::ops::Range;
use kernel::{
    device,
    dma::Coherent,
    drm::{
        self,
        accel::tiny,
        Registered, //
    },
    io::{
        io_write,
        mem::DevresIoMem,
        register,
        Io, //
    },
    irq,
    of,
    page::PAGE_SIZE,
    platform,
    prelude::*,
    sync::aref::ARef,
    time::Delta,
    uapi, //
};

// afternoon: registers
register! {
    /// Reads "TMPL".
    IDENTITY(u32) @ 0x00 { 31:0 value; }
    /// Starts or stops a job; stopping is always confirmed, unless the job ended before.
    CONTROL(u32) @ 0x04 { 1:1 stop => bool; 0:0 start => bool; }
    /// How the job ended; raises the interrupt until it is written back.
    STATUS(u32) @ 0x08 { 2:2 stopped => bool; 1:1 fault => bool; 0:0 done => bool; }
    /// The device address that was not mapped.
    FAULT(u32) @ 0x0c { 31:0 address; }
    /// Where the page table is.
    TABLE_LOW(u32) @ 0x10 { 31:0 address; }
    TABLE_HIGH(u32) @ 0x14 { 31:0 address; }
    /// When this has been written, pages that were unmapped before are no longer reached.
    INVALIDATE(u32) @ 0x18 { 0:0 all => bool; }
    /// The job: device addresses of two vectors and their sum, elements, and a pause before it.
    LEFT(u32) @ 0x1c { 31:0 address; }
    RIGHT(u32) @ 0x20 { 31:0 address; }
    SUM(u32) @ 0x24 { 31:0 address; }
    COUNT(u32) @ 0x28 { 31:0 elements; }
    DELAY(u32) @ 0x2c { 31:0 microseconds; }
}
const REGISTERS_SIZE: usize = 0x30;
// afternoon: page table
/// Entries of a page table, which is a page itself.
const ENTRIES: usize = PAGE_SIZE / size_of::<u64>();
/// First device address past those that can be mapped.
const VA_END: u64 = (ENTRIES * PAGE_SIZE) as u64;
/// Bits of an entry below the page's address.
const VALID: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;

/// The entries that `va` covers.
fn entries(va: Range<u64>) -> Range<usize> {
    va.start as usize / PAGE_SIZE..va.end as usize / PAGE_SIZE
}
// afternoon: state
type Parent = platform::Device<device::Bound>;
type Pages = tiny::DmaPages<Template>;
/// The driver's state of one device; its registers are out of reach when it is unbound.
struct Template {
    registers: DevresIoMem<REGISTERS_SIZE>,
}

// afternoon: memory
impl tiny::Driver for Template {
    type Vm = Coherent<[u64]>;
    type VmId = u64;
    type Mapping = Pages;
    type Room = ();
    type Job = uapi::drm_template_submit;

    const LIMITS: tiny::Limits = tiny::Limits {
        bo_size: 1 << 30,
        bo_bytes: 1 << 32,
        vms: 16,
        queues: 16,
        mappings: ENTRIES,
        queued_jobs: 64,
        core_jobs: 1,
    };

    fn vm_create(&self, parent: &Parent, _id: u32) -> Result<Self::Vm> {
        Coherent::zeroed_slice(parent.as_ref(), ENTRIES, GFP_KERNEL_ACCOUNT)
    }

    fn vm_id(table: &Self::Vm) -> u64 {
        table.dma_address()
    }

    fn share(&self, parent: &Parent, range: tiny::BoRange<Self>) -> Result<Pages> {
        Pages::new(parent.as_ref(), range)
    }

    /// Write PTEs.
    fn map(&self, table: &mut Self::Vm, part: tiny::Part<'_, Self>, (): &mut ()) -> Result {
        let flags = VALID | (u64::from(part.mapping.writable()) * WRITABLE);
        for (index, page) in entries(part.va).zip(part.mapping.addresses(part.offset)) {
            io_write!(table, [try: index], page | flags);
        }
        Ok(())
    }

    fn unmap(&self, table: &mut Self::Vm, va: Range<u64>, (): &mut ()) -> Result {
        for index in entries(va) {
            io_write!(table, [try: index], 0);
        }
        Ok(())
    }

    fn flush(&self, _table: &mut Self::Vm, (): &mut ()) -> Result {
        let registers = self.registers.try_access().ok_or(ENODEV)?;
        registers.write_reg(INVALIDATE::zeroed().with_all(true));
        Ok(())
    }
    // afternoon: jobs
    /// Run a job. Its end is an interrupt.
    fn run_job(&self, job: &mut Self::Job, placement: tiny::Placement<Self>) -> Result {
        let registers = self.registers.try_access().ok_or(ENODEV)?;
        registers.write_reg(TABLE_LOW::from(placement.vm as u32));
        registers.write_reg(TABLE_HIGH::from((placement.vm >> 32) as u32));
        registers.write_reg(LEFT::from(job.left));
        registers.write_reg(RIGHT::from(job.right));
        registers.write_reg(SUM::from(job.sum));
        registers.write_reg(COUNT::from(job.count));
        registers.write_reg(DELAY::from(job.delay_us));
        registers.write_reg(CONTROL::zeroed().with_start(true));
        Ok(())
    }

    /// Out of time, or nobody wants it any more.
    fn cancel_job(&self, _job: &mut Self::Job, _id: tiny::JobId) {
        self.reset();
    }

    /// A device that is stopped reaches no memory.
    fn reset(&self) {
        if let Some(registers) = self.registers.try_access() {
            registers.write_reg(CONTROL::zeroed().with_stop(true));
        }
    }
}
// afternoon: interrupt
struct Interrupt(ARef<drm::Device<Template>>);

impl irq::ThreadedHandler for Interrupt {
    fn handle_threaded(&self) -> irq::IrqReturn {
        let Some(registers) = self.0.registers.try_access() else {
            return irq::IrqReturn::None;
        };
        let status = registers.read(STATUS);
        registers.write_reg(status);
        let address = registers.read(FAULT).into_raw().into();
        drop(registers);
        let outcome = match (status.done(), status.fault()) {
            (true, _) => tiny::Outcome::Done,
            (_, true) => tiny::Outcome::Faulted(tiny::Report::fault(address)),
            _ => tiny::Outcome::Cancelled(tiny::Report::default()),
        };
        // A job that the framework has given up is none any more.
        let _ = self.0.complete_on(0, outcome);
        irq::IrqReturn::Handled
    }
}
// afternoon: ioctls
type Device = drm::Device<Template, Registered>;
type File = drm::File<tiny::File<Template>>;

fn bo(_: &Device, _: &(), args: &mut uapi::drm_template_bo, file: &File) -> Result<u32> {
    if args.pad != 0 {
        return Err(EINVAL);
    }
    (args.handle, args.size, args.mmap_offset) = tiny::File::bo_create(file, args.size)?;
    Ok(0)
}

fn queue(_: &Device, _: &(), args: &mut uapi::drm_template_queue, file: &File) -> Result<u32> {
    if !(1..=10_000).contains(&args.timeout_ms) {
        return Err(EINVAL);
    }
    let config = tiny::QueueConfig::new(Delta::from_millis(args.timeout_ms.into()));
    (args.vm_id, _) = file.inner().vm_create()?;
    args.queue_id = file.inner().queue_create(args.vm_id, config)?;
    Ok(0)
}

fn bind(_: &Device, _: &(), args: &mut uapi::drm_template_bind, file: &File) -> Result<u32> {
    let (va, end) = (args.va, args.va.checked_add(args.size).ok_or(EINVAL)?);
    let op = match args.bo_handle {
        0 => Ok(tiny::BindOp::Unmap { va: va..end }),
        bo => tiny::File::bo_range(file, bo, args.bo_offset, args.size, tiny::Access::ReadWrite)
            .map(|range| tiny::BindOp::map(va, range)),
    };
    file.inner().vm_bind(args.vm_id, [op].into_iter()).1?;
    Ok(0)
}

fn submit(_: &Device, _: &(), args: &mut uapi::drm_template_submit, file: &File) -> Result<u32> {
    let point = None;
    let points = |handle| match handle {
        0 => Ok(KVec::new()),
        handle => kernel::kvec![tiny::SyncPoint { handle, point }],
    };
    let request = tiny::JobRequest {
        waits: points(args.wait)?,
        signals: points(args.signal)?,
        payload: *args,
    };
    tiny::File::submit(file, args.queue_id, kernel::kvec![request]?)?;
    Ok(0)
}

#[vtable]
impl drm::Driver for Template {
    type Data = tiny::Device<Self>;
    type RegistrationData<'a> = ();
    type Object = tiny::Bo<Self>;
    type File = tiny::File<Self>;
    type ParentDevice<Ctx: device::DeviceContext> = platform::Device<Ctx>;

    const INFO: drm::DriverInfo = drm::DriverInfo {
        major: 1,
        minor: 0,
        patchlevel: 0,
        name: c"template",
        desc: c"Imaginary accelerator that adds vectors",
    };
    const FEAT_COMPUTE_ACCEL: bool = true;
    const FEAT_SYNCOBJ: bool = true;

    fn show_fdinfo(file: &File, printer: &drm::print::Printer) {
        tiny::File::show_fdinfo(file, printer);
    }

    kernel::declare_drm_ioctls! {
        (TEMPLATE_BO, drm_template_bo, 0, bo),
        (TEMPLATE_QUEUE, drm_template_queue, 0, queue),
        (TEMPLATE_BIND, drm_template_bind, 0, bind),
        (TEMPLATE_SUBMIT, drm_template_submit, 0, submit),
    }
}
// afternoon: probe
/// Nothing to keep: all of it goes, in the right order, when the device is unbound.
struct PlatformDriver;

kernel::of_device_table!(
    OF_TABLE,
    <PlatformDriver as platform::Driver>::IdInfo,
    [(of::DeviceId::new(c"template,vector-adder"), ())]
);

impl platform::Driver for PlatformDriver {
    type IdInfo = ();
    type Data<'bound> = Self;
    const OF_ID_TABLE: Option<of::IdTable<()>> = Some(&OF_TABLE);

    fn probe<'bound>(
        pdev: &'bound platform::Device<device::Core<'_>>,
        _info: Option<&'bound ()>,
    ) -> impl PinInit<Self, Error> + 'bound {
        let io = pdev
            .io_request_by_index(0)
            .ok_or(ENODEV)?
            .iomap_sized::<REGISTERS_SIZE>()?;
        if io.read(IDENTITY).into_raw() != u32::from_le_bytes(*b"TMPL") {
            return Err(ENODEV);
        }
        let registers = io.into_devres()?;
        let device = tiny::Device::new(pdev.as_ref(), 1, Ok(Template { registers }));
        let device = drm::UnregisteredDevice::<Template>::new(pdev, device)?;
        let device = tiny::Device::register(pdev.as_ref(), device)?;
        let handler = Ok(Interrupt(device.clone()));
        pdev.handle_threaded_irq_by_index(irq::Flags::TRIGGER_NONE, 0, c"template", handler)?;
        device.attach(tiny::Online::new(1, 0..VA_END), || ())?;
        Ok(Self)
    }
}

kernel::module_platform_driver! {
    type: PlatformDriver,
    name: "template",
    authors: ["The TinyAPU authors"],
    description: "Driver of an imaginary accelerator, to start from",
    license: "GPL",
}
