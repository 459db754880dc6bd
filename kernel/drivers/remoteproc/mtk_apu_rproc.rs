// SPDX-License-Identifier: GPL-2.0

//! MediaTek APU: Cadence Vision P6 cores that run firmware.
//!
//! The remoteproc core loads the firmware and speaks virtio with it; this driver gives the core its
//! clocks and power, starts, kicks and stops it. Memory is reached through the IOMMU alone. The
//! core's local RAM ([`LOCAL_RAM`]) is never touched from here: that hangs the bus.

use core::ops::{
    Deref,
    Range, //
};
use kernel::{
    clk,
    device::{
        self,
        Bound, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    io::{
        mem::IoMem,
        register,
        Io, //
    },
    iommu::domain::Domain,
    irq::{
        self,
        IrqReturn,
        ThreadedIrqReturn, //
    },
    of,
    of_reserved_mem::DevicePool,
    platform,
    pm_runtime,
    prelude::*,
    remoteproc::{
        self,
        Resource,
        ResourceTable,
        Rproc, //
    },
    str::CString,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        delay::udelay,
        Delta, //
    }, //
};

/// Bytes of the control block that are in use.
const CONTROL_SIZE: usize = 0x200;
/// Device addresses that firmware and buffers may have.
const WINDOW: Range<u64> = 0x6000_0000..0x7000_0000;
/// The core's own RAM, as the core sees it.
const LOCAL_RAM: Range<u64> = 0x7ff0_0000..0x7ff8_0000;
/// Device addresses have 32 bits.
const ADDRESS_END: u64 = 1 << 32;
/// Queues of the firmware's one virtio device; both share one interrupt.
const QUEUES: [u32; 2] = [0, 1];
/// Virtio's number of remote processor messaging.
const VIRTIO_RPMSG: u32 = 7;

register! {
    /// Resets, as long as they are set.
    SW_RST(u32) @ 0x0000000c {
        12:12 ocd_halt_on_rst;
        8:8 ipu_d_rst;
        4:4 ipu_b_rst;
    }

    /// Control of the core.
    CORE_CTRL(u32) @ 0x00000110 {
        31:31 pdebug_enable;
        26:26 pbclk_enable;
        /// Keeps the core from running.
        23:23 run_stall;
        /// Boot from `XTENSA_ALTRESETVEC`.
        19:19 state_vector_select;
        /// Cuts the core off from the bus.
        17:17 pif_gated;
    }

    /// Interrupts from the core; writing a bit acknowledges it.
    XTENSA_INT(u32) @ 0x00000114 {
        31:0 queues;
    }

    /// Interrupts to the core, a bit for each queue.
    CTL_XTENSA_INT(u32) @ 0x00000118 {
        31:0 queues;
    }

    /// How the core reaches the bus.
    DEFAULT0(u32) @ 0x0000013c {
        31:0 value;
    }

    /// How the core's DMA engine reaches the bus.
    DEFAULT1(u32) @ 0x00000140 {
        31:0 value;
    }

    /// Where the core starts.
    XTENSA_ALTRESETVEC(u32) @ 0x000001f8 {
        31:0 address;
    }
}

/// What differs between the parts.
struct Part {
    clocks: &'static [&'static CStr],
    /// [`DEFAULT0`]: the core's accesses go through the IOMMU.
    default0: u32,
    /// [`DEFAULT1`]: those of its DMA engine do.
    default1: u32,
}

/// Clocks `jtag` and the like are needed even if nobody debugs.
const MT8183: Part = Part {
    clocks: &[c"axi", c"ipu", c"jtag"],
    // QOS_SWAP 1, ARUSER and AWUSER 0x10.
    default0: 1 << 28 | 0x10 << 23 | 0x10 << 18,
    // AWUSER and ARUSER 0x10.
    default1: 0x10 << 5 | 0x10,
};

const MT8365: Part = Part {
    clocks: &[
        c"if_ck",
        c"edma",
        c"ahb",
        c"axi",
        c"ipu",
        c"jtag",
        c"smi_cam",
        c"ifr_apu_axi",
    ],
    default0: 1 << 26 | 1 << 20,
    default1: 1 << 7 | 1 << 3,
};

kernel::of_device_table!(
    OF_TABLE,
    <ApuRproc<'static> as platform::Driver>::IdInfo,
    [
        (of::DeviceId::new(c"mediatek,mt8183-apu"), MT8183),
        (of::DeviceId::new(c"mediatek,mt8365-apu-core"), MT8365)
    ]
);

/// One core.
struct Core<'a> {
    dev: &'a device::Device<Bound>,
    part: &'a Part,
    io: IoMem<'a, CONTROL_SIZE>,
    clocks: clk::bulk::Bulk,
    power: pm_runtime::Enabled<'a>,
    pool: DevicePool<'a>,
    /// Whether the control block may be touched by the interrupt handler.
    running: Atomic<bool>,
}

impl<'a> Core<'a> {
    fn new(pdev: &'a platform::Device<Bound>, part: &'a Part) -> Result<Self> {
        let dev = pdev.as_ref();
        let io = pdev.io_request_by_index(0).ok_or(ENODEV);
        let io = io
            .and_then(|io| io.iomap_sized())
            .inspect_err(|error| dev_err!(dev, "no control block: {:?}\n", error))?;
        let pool = DevicePool::assign(dev)
            .inspect_err(|error| dev_err!(dev, "no memory-region: {:?}\n", error))?;
        check_pool(dev, &pool.memory())?;
        Ok(Self {
            dev,
            part,
            io,
            clocks: clk::bulk::Bulk::get(dev, part.clocks)?,
            power: pm_runtime::Enabled::new(dev),
            pool,
            running: Atomic::new(false),
        })
    }
}

/// The core, to the remoteproc core.
struct Processor<'a>(Arc<Core<'a>>);

impl<'a> Deref for Processor<'a> {
    type Target = Core<'a>;

    fn deref(&self) -> &Core<'a> {
        &self.0
    }
}

/// The pool is shown to the core where it is, which mustn't be where something else is.
fn check_pool(dev: &device::Device, pool: &Range<u64>) -> Result {
    let clash = [&WINDOW, &LOCAL_RAM]
        .into_iter()
        .find(|taken| overlap(pool, taken));
    if let Some(taken) = clash {
        dev_err!(dev, "memory-region {:#x?} overlaps {:#x?}\n", pool, taken);
        return Err(EINVAL);
    }
    if pool.end > ADDRESS_END {
        dev_err!(dev, "memory-region {:#x?} is beyond 32 bits\n", pool);
        return Err(EINVAL);
    }
    Ok(())
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl remoteproc::Operations for Processor<'_> {
    const BEHIND_IOMMU: bool = true;

    fn prepare(&self, domain: Option<&Domain>) -> Result {
        let domain = domain.ok_or(ENODEV)?;
        self.power.get()?;
        let ready = self.clocks.prepare_enable().and_then(|()| {
            // The rings and buffers of virtio name each other by physical address.
            domain
                .map_pool(&self.pool)
                .inspect_err(|_| self.clocks.disable_unprepare())
        });
        ready.inspect_err(|_| self.power.put())
    }

    fn unprepare(&self) {
        self.clocks.disable_unprepare();
        self.power.put();
    }

    fn check(&self, resources: ResourceTable<'_>) -> Result {
        resources.entries().try_for_each(|resource| {
            let resource = resource.inspect_err(|_| {
                dev_err!(self.dev, "firmware has a broken resource table\n");
            })?;
            let fits = match &resource {
                Resource::Carveout { .. } => resource
                    .addresses()
                    .is_some_and(|range| WINDOW.start <= range.start && range.end <= WINDOW.end),
                Resource::Vdev { id, rings } => *id == VIRTIO_RPMSG && *rings == [None; 2],
                Resource::Other(_) => false,
            };
            fits.then_some(()).ok_or(EINVAL).inspect_err(|_| {
                dev_err!(self.dev, "firmware may not have {:x?}\n", resource);
            })
        })
    }

    fn start(&self, address: u64) -> Result {
        let address = u32::try_from(address)?;
        let io = &self.io;
        io.write_reg(XTENSA_ALTRESETVEC::zeroed().with_address(address));
        io.update(CORE_CTRL, |control| {
            control
                .with_const_pdebug_enable::<1>()
                .with_const_pbclk_enable::<1>()
                .with_const_state_vector_select::<1>()
                .with_const_run_stall::<1>()
                .with_const_pif_gated::<1>()
        });
        io.write_reg(
            SW_RST::zeroed()
                .with_const_ocd_halt_on_rst::<1>()
                .with_const_ipu_d_rst::<1>()
                .with_const_ipu_b_rst::<1>(),
        );
        // 27 ns are enough.
        udelay(Delta::from_micros(1));
        io.write_reg(SW_RST::zeroed());
        io.update(CORE_CTRL, |control| control.with_const_pif_gated::<0>());
        io.write_reg(DEFAULT0::zeroed().with_value(self.part.default0));
        io.write_reg(DEFAULT1::zeroed().with_value(self.part.default1));
        self.running.store(true, Relaxed);
        io.update(CORE_CTRL, |control| control.with_const_run_stall::<0>());
        Ok(())
    }

    fn stop(&self) {
        self.running.store(false, Relaxed);
        self.io
            .update(CORE_CTRL, |control| control.with_const_run_stall::<1>());
    }

    fn kick(&self, queue: u32) {
        if let Some(bit) = 1u32.checked_shl(queue) {
            self.io.write_reg(CTL_XTENSA_INT::zeroed().with_queues(bit));
        }
    }
}

/// What the core's interrupt does.
struct Interrupt<'a> {
    core: Arc<Core<'a>>,
    rproc: ARef<Rproc>,
}

impl irq::ThreadedHandler for Interrupt<'_> {
    fn handle(&self) -> ThreadedIrqReturn {
        if !self.core.running.load(Relaxed) {
            return ThreadedIrqReturn::None;
        }
        let pending = self.core.io.read(XTENSA_INT);
        if pending.queues().get() == 0 {
            return ThreadedIrqReturn::None;
        }
        self.core.io.write_reg(pending);
        ThreadedIrqReturn::WakeThread
    }

    fn handle_threaded(&self) -> IrqReturn {
        for queue in QUEUES {
            self.rproc.queue_interrupt(queue);
        }
        IrqReturn::Handled
    }
}

/// The driver's state of one core, which stops before its interrupt goes.
#[pin_data]
struct ApuRproc<'a> {
    registration: remoteproc::Registration<'a, Processor<'a>>,
    #[pin]
    interrupt: irq::ThreadedRegistration<'a, Interrupt<'a>>,
}

impl platform::Driver for ApuRproc<'_> {
    type IdInfo = Part;
    type Data<'bound> = ApuRproc<'bound>;
    const OF_ID_TABLE: Option<of::IdTable<Self::IdInfo>> = Some(&OF_TABLE);

    fn probe<'bound>(
        pdev: &'bound platform::Device<device::Core<'_>>,
        part: Option<&'bound Part>,
    ) -> impl PinInit<ApuRproc<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            // The IOMMU takes memory from anywhere, in pieces of any size.
            // SAFETY: Nothing has been mapped for DMA yet.
            unsafe {
                pdev.dma_set_mask(DmaMask::new::<64>())?;
                pdev.dma_set_max_seg_size(u32::MAX);
            }
            let dev = pdev.as_ref();
            let firmware = dev.fwnode().ok_or(ENODEV)?;
            let firmware = firmware
                .property_read::<CString>(c"firmware-name")
                .required_by(dev)?;
            let core = Arc::new(Core::new(pdev, part.ok_or(ENODEV)?)?, GFP_KERNEL)?;
            let processor =
                remoteproc::Unregistered::new(dev, &firmware, Ok(Processor(core.clone())))?;
            let handler = Interrupt {
                core,
                rproc: processor.rproc().into(),
            };
            Ok(try_pin_init!(ApuRproc {
                // SAFETY: The driver core drops what this initializes.
                interrupt <- unsafe {
                    pdev.request_threaded_irq_by_index(
                        irq::Flags::TRIGGER_NONE,
                        0,
                        c"mtk-apu",
                        Ok::<_, Error>(handler),
                    )
                },
                // SAFETY: As above.
                registration: unsafe { remoteproc::Registration::new(processor)? },
            }))
        })
    }
}

kernel::module_platform_driver! {
    type: ApuRproc<'static>,
    name: "mtk_apu_rproc",
    authors: ["The TinyAPU authors"],
    description: "MediaTek APU remote processor driver",
    license: "GPL",
}
