// SPDX-License-Identifier: GPL-2.0

//! The simulated device: a process that plays it, over a root-only control node.
//!
//! Whoever opens `/dev/apu-sim0` is the hardware, one at a time. read() returns whole messages and
//! write() takes some. mmap() of a MAP's
//! token maps the pages of that MAP and nothing else, as long as a part of that mapping is left; it
//! holds references to the pages, so that a process which keeps it never reaches memory of somebody
//! else. Closing the file is the loss of the device.

use crate::{
    driver::Apu,
    envelope::Envelope,
    message::MAX_MESSAGE,
    power::{
        Host,
        DELAY_MS, //
    },
    tokens::Tokens,
    transport::{
        next_packet,
        Transport, //
    }, //
};
use kernel::{
    auxiliary,
    device::{
        Bound,
        Core,
        Device, //
    },
    devres,
    driver,
    drm::{
        self,
        accel::tiny, //
    },
    faux,
    fs::{
        file::flags::O_NONBLOCK,
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    list::{
        List,
        ListArc, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::{
        flags as vm_flags,
        VmaNew, //
    },
    new_condvar,
    new_spinlock,
    page::PAGE_SHIFT,
    pm_runtime::Autosuspend,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        CondVar,
        SpinLock, //
    }, //
};

/// Cores that a simulated device can have.
const CORES: u32 = 4;
/// Refused messages that are logged for one connection.
const MAX_COMPLAINTS: u32 = 10;
/// Bytes that can be written at once.
const MAX_PACKET: usize = 4096;

/// The kernel's end of the control node.
#[pin_data]
pub(crate) struct Sim {
    #[pin]
    outbox: SpinLock<Outbox>,
    #[pin]
    readable: CondVar,
}

struct Outbox {
    /// Somebody has the control node open.
    open: bool,
    /// Number of the last connection, and whether it is over.
    connection: u64,
    over: bool,
    messages: List<Envelope>,
    /// Refused messages that may still be logged.
    complaints: u32,
}

impl Sim {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            outbox <- new_spinlock!(Outbox {
                open: false,
                connection: 0,
                over: true,
                messages: List::new(),
                complaints: 0,
            }),
            readable <- new_condvar!(),
        })
    }

    /// Makes the caller the device, or fails with [`EBUSY`].
    fn open(&self) -> Result<u64> {
        let mut outbox = self.outbox.lock();
        if outbox.open {
            return Err(EBUSY);
        }
        outbox.open = true;
        outbox.over = false;
        outbox.connection += 1;
        outbox.complaints = MAX_COMPLAINTS;
        Ok(outbox.connection)
    }

    /// Logs that a message was refused, the first times.
    fn complain(&self, packet: &[u8]) {
        let complaints = &mut self.outbox.lock().complaints;
        if *complaints > 0 {
            *complaints -= 1;
            let start = packet.get(..16).unwrap_or(packet);
            pr_warn!("refused messages that begin {:02x?}\n", start);
        }
    }

    fn is_over(&self) -> bool {
        self.outbox.lock().over
    }

    fn close(&self) {
        self.cut();
        self.outbox.lock().open = false;
    }

    /// Takes the next messages out, of up to `room` bytes. [`ENODEV`] when the connection is over.
    fn next(&self, room: usize, nonblock: bool) -> Result<List<Envelope>> {
        let mut outbox = self.outbox.lock();
        loop {
            if outbox.over {
                return Err(ENODEV);
            }
            let packet = next_packet(&mut outbox.messages, room);
            if !packet.is_empty() {
                return Ok(packet);
            }
            if nonblock {
                return Err(EAGAIN);
            }
            if self.readable.wait_interruptible(&mut outbox) {
                return Err(ERESTARTSYS);
            }
        }
    }

    fn put_back(&self, mut packet: List<Envelope>) {
        let mut outbox = self.outbox.lock();
        packet.push_all_back(&mut outbox.messages);
        outbox.messages = packet;
    }
}

impl Transport for Sim {
    fn post(&self, connection: u64, envelope: ListArc<Envelope>, more: bool) -> Result {
        let mut outbox = self.outbox.lock();
        if outbox.over || outbox.connection != connection {
            drop(outbox);
            return Err(ENODEV);
        }
        outbox.messages.push_back(envelope);
        if !more {
            self.readable.notify_one();
        }
        Ok(())
    }

    fn kick(&self) {
        if !self.outbox.lock().messages.is_empty() {
            self.readable.notify_one();
        }
    }

    fn cut(&self) {
        let mut outbox = self.outbox.lock();
        outbox.over = true;
        let unread = core::mem::take(&mut outbox.messages);
        self.readable.notify_all();
        drop(outbox);
        drop(unread);
    }
}

/// What the control node is a node of.
struct Hardware {
    sim: Arc<Sim>,
    tokens: Arc<Tokens>,
    device: ARef<drm::Device<Apu>>,
}

/// The control node as a process has it open.
struct Control {
    sim: Arc<Sim>,
    tokens: Arc<Tokens>,
    device: ARef<drm::Device<Apu>>,
    nonblock: bool,
}

#[vtable]
impl MiscDevice for Control {
    type Ptr = KBox<Self>;
    type RegistrationData = Hardware;

    fn open(file: &File, misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let Hardware {
            sim,
            tokens,
            device,
        } = misc.data();
        let control = KBox::new(
            Self {
                sim: sim.clone(),
                tokens: tokens.clone(),
                device: device.clone(),
                nonblock: file.flags() & O_NONBLOCK != 0,
            },
            GFP_KERNEL,
        )?;
        let connection = sim.open()?;
        device
            .link
            .connect(connection)
            .inspect_err(|_| sim.close())?;
        Ok(control)
    }

    fn release(control: KBox<Self>, _file: &File) {
        control.device.lose();
        control.sim.close();
    }

    fn read_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let control = kiocb.file();
        if iov.len() < MAX_MESSAGE {
            return Err(EINVAL);
        }
        let packet = control.sim.next(iov.len(), control.nonblock)?;
        let mut length = 0;
        for envelope in packet.iter() {
            let message = envelope.bytes();
            if iov.copy_to_iter(message) < message.len() {
                control.sim.put_back(packet);
                return Err(EFAULT);
            }
            length += message.len();
        }
        Ok(length)
    }

    fn write_iter(kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let control = kiocb.file();
        let length = iov.len();
        if length > MAX_PACKET {
            return Err(EPROTO);
        }
        let mut packet = KVec::from_elem(0, length, GFP_KERNEL)?;
        if iov.copy_from_iter(&mut packet) < length {
            return Err(EFAULT);
        }
        if control.sim.is_over() {
            return Err(ENODEV);
        }
        let device = &control.device;
        device
            .link
            .receive(device, &packet)
            .inspect_err(|_| control.sim.complain(&packet))?;
        Ok(length)
    }

    fn mmap(control: &Self, _file: &File, vma: &VmaNew) -> Result {
        let (pages, offset) = control.tokens.find((vma.pgoff() as u64) << PAGE_SHIFT)?;
        let numbers = pages.numbers(offset, (vma.end() - vma.start()) as u64)?;
        if vma.flags() & vm_flags::SHARED == 0 {
            return Err(EINVAL);
        }
        if !pages.writable() {
            vma.try_clear_maywrite().map_err(|_| EACCES)?;
        }
        vma.set_dontcopy();
        vma.set_dontexpand();
        vma.set_dontdump();
        pages.pinned().map_into(vma, numbers)
    }
}

kernel::auxiliary_device_table!(ID_TABLE, (), [(auxiliary::DeviceId::new(c"apu", NAME), ())]);

/// What is behind the module's name in that of the device.
const NAME: &CStr = c"sim";

/// The driver of simulated devices.
pub(crate) struct Simulated;

impl auxiliary::Driver for Simulated {
    type IdInfo = ();
    type Data<'bound> = Host;
    const ID_TABLE: auxiliary::IdTable<()> = &ID_TABLE;
    const AUTOSUSPEND: Option<&'static Autosuspend<auxiliary::Adapter<Self>>> =
        Some(&Autosuspend::after_ms(DELAY_MS));

    fn probe<'bound>(
        device: &'bound auxiliary::Device<Core<'_>>,
        _info: &'bound (),
    ) -> impl PinInit<Host, Error> + 'bound {
        bring_up(device.as_ref()).map(Host)
    }
}

/// Makes both nodes. They go when `parent` is unbound, that of the hardware first.
fn bring_up(parent: &Device<Bound>) -> Result<ARef<drm::Device<Apu>>> {
    let hardware = Hardware::new(parent)?;
    let device = hardware.device.clone();
    let options = MiscDeviceOptions { name: c"apu-sim0" };
    let node = MiscDeviceRegistration::<Control>::register(options, hardware);
    devres::register(parent, node, GFP_KERNEL)?;
    Ok(device)
}

impl Hardware {
    fn new(parent: &Device<Bound>) -> Result<Self> {
        let sim = Arc::pin_init(Sim::new(), GFP_KERNEL)?;
        let tokens = Arc::pin_init(Tokens::new(), GFP_KERNEL)?;
        let state = tiny::Device::new(parent, CORES, Apu::new(sim.clone(), tokens.clone()));
        let device = drm::UnregisteredDevice::new(parent, state)?;
        Ok(Self {
            sim,
            tokens,
            device: tiny::Device::register(parent, device)?,
        })
    }
}

/// A simulated device and its driver. The order of the fields is the order in which they go.
#[pin_data]
pub(crate) struct Simulator {
    /// What the device belongs to. It can't be the device itself, as that needs power management.
    _board: faux::Registration,
    #[pin]
    _driver: driver::Registration<auxiliary::Adapter<Simulated>>,
}

impl Simulator {
    pub(crate) fn new(
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- driver::Registration::new(name, module),
            _board: {
                let board = faux::Registration::new(c"apu-sim", None)?;
                auxiliary::Registration::new_managed(board.as_ref().as_ref(), NAME, 0, name)?;
                board
            },
        })
    }
}
