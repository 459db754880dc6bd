// SPDX-License-Identifier: GPL-2.0

//! A remote processor that announces the channel `apu`.
//!
//! The device lives as long as the channel does: when that goes, because the processor has crashed
//! or is stopped, it is lost, and its node goes. A processor that comes back announces a new
//! channel and is a new device.

use crate::{
    driver::Apu,
    envelope::Envelope,
    memory::Memory,
    message::MAX_MESSAGE,
    page_table::PageTables,
    power::{
        Host,
        DELAY_MS, //
    },
    quarantine::Quarantine,
    transport::{
        next_packet,
        Transport, //
    },
    watchdog::Watchdog, //
};
use kernel::{
    device::{
        Bound,
        Core,
        Device, //
    },
    devres,
    drm::{
        self,
        accel::tiny, //
    },
    impl_has_work,
    list::{
        List,
        ListArc, //
    },
    new_mutex,
    new_work,
    pm_runtime::Autosuspend,
    prelude::*,
    rpmsg,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    workqueue::{
        self,
        Work,
        WorkItem, //
    }, //
};

/// Cores that a remote processor can have.
const CORES: u32 = 4;
/// Refused messages that are logged for one channel.
const MAX_COMPLAINTS: u32 = 10;
/// There is one connection for each channel.
const CONNECTION: u64 = 1;

kernel::rpmsg_device_table!(ID_TABLE, (), [(rpmsg::DeviceId::new(c"apu"), ())]);

/// The driver of the channel.
pub(crate) struct Channel;

impl rpmsg::Driver for Channel {
    type Data<'bound> = Host;
    const ID_TABLE: rpmsg::IdTable = &ID_TABLE;
    const AUTOSUSPEND: Option<&'static Autosuspend<rpmsg::Adapter<Self>>> =
        Some(&Autosuspend::after_ms(DELAY_MS));

    fn probe<'bound>(
        channel: &'bound rpmsg::Device<Core<'_>>,
    ) -> impl PinInit<Host, Error> + 'bound {
        bring_up(channel).map(Host)
    }
}

/// Makes a device of a channel. It goes with the channel, all of it.
fn bring_up(channel: &rpmsg::Device<Bound>) -> Result<ARef<drm::Device<Apu>>> {
    let parent = channel.as_ref();
    let outbox = Arc::pin_init(Outbox::new(), GFP_KERNEL)?;
    let quarantine = Quarantine::new()?;
    let memory = memory_of(parent, &quarantine)?;
    let wire = Wire {
        outbox: outbox.clone(),
        quarantine: quarantine.clone(),
        watchdog: Watchdog::of(parent),
    };
    let wire = Arc::new(wire, GFP_KERNEL)?;
    let state = tiny::Device::new(parent, CORES, Apu::new(wire, memory.clone()));
    let device = drm::UnregisteredDevice::<Apu>::new(parent, state)?;
    if let Some(processor) = memory.dma_device() {
        device.set_dma_device(processor);
    }
    let device = tiny::Device::<Apu>::register(parent, device)?;
    let inbox = Arc::pin_init(Inbox::new(device.clone()), GFP_KERNEL)?;
    // What was made last goes first: when the node goes, nothing arrives any more and nothing is
    // kept, which must not live longer than the device.
    let end = End {
        outbox: outbox.clone(),
        quarantine,
    };
    devres::register(parent, end, GFP_KERNEL)?;
    outbox.state.lock().endpoint = Some(rpmsg::Endpoint::open(channel, inbox)?);
    device.link.connect(CONNECTION)?;
    Ok(device)
}

/// What stands between the processor and memory.
fn memory_of(processor: &Device<Bound>, quarantine: &Arc<Quarantine>) -> Result<Arc<dyn Memory>> {
    #[cfg(CONFIG_IOMMU_API)]
    if let Some(iommu) = crate::iommu::Iommu::of(processor)? {
        return Ok(Arc::new(iommu, GFP_KERNEL)?);
    }
    if processor.is_dma_coherent() == Some(false) {
        dev_err!(processor, "without an IOMMU, DMA must be coherent\n");
        return Err(EOPNOTSUPP);
    }
    Ok(Arc::new(PageTables(quarantine.clone()), GFP_KERNEL)?)
}

/// The end of a channel: nothing is sent any more.
struct End {
    outbox: Arc<Outbox>,
    quarantine: Arc<Quarantine>,
}

impl Drop for End {
    /// Who takes the channel away has stopped the processor, or is about to.
    fn drop(&mut self) {
        self.outbox.work.flush();
        self.quarantine.lift();
    }
}

/// Where messages from the processor go.
#[pin_data]
struct Inbox {
    device: ARef<drm::Device<Apu>>,
    /// Refused messages that may still be logged.
    #[pin]
    complaints: Mutex<u32>,
}

impl Inbox {
    fn new(device: ARef<drm::Device<Apu>>) -> impl PinInit<Self> {
        pin_init!(Self {
            device,
            complaints <- new_mutex!(MAX_COMPLAINTS),
        })
    }

    /// Logs that a message was refused, the first times.
    fn complain(&self, length: usize, error: Error) {
        let mut complaints = self.complaints.lock();
        if *complaints > 0 {
            *complaints -= 1;
            pr_warn!("refused a message of {} bytes: {:?}\n", length, error);
        }
    }
}

impl rpmsg::Receiver for Inbox {
    fn receive(&self, message: rpmsg::Message<'_>) {
        let mut buffer = [0; MAX_MESSAGE];
        let taken = message
            .copy_to(&mut buffer)
            .and_then(|bytes| self.device.link.receive(&self.device, bytes));
        if let Err(error) = taken {
            self.complain(message.len(), error);
        }
    }
}

/// The way to the processor.
struct Wire {
    outbox: Arc<Outbox>,
    quarantine: Arc<Quarantine>,
    watchdog: Watchdog,
}

/// Messages that wait: for others to go with them, or for a free buffer.
#[pin_data]
struct Outbox {
    #[pin]
    state: Mutex<State>,
    #[pin]
    work: Work<Self>,
}

struct State {
    /// None before the channel is open and when it is cut.
    endpoint: Option<Arc<rpmsg::Endpoint<Inbox>>>,
    waiting: List<Envelope>,
    /// Whether the work item sends what waits. Meanwhile all else has to wait, too.
    working: bool,
}

impl_has_work! {
    impl HasWork<Self> for Outbox { self.work }
}

impl Outbox {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_mutex!(State {
                endpoint: None,
                waiting: List::new(),
                working: false,
            }),
            work <- new_work!("apu::rpmsg"),
        })
    }

    /// The next messages that wait, and where to send them.
    fn next(&self) -> Option<(Arc<rpmsg::Endpoint<Inbox>>, Packet)> {
        let mut state = self.state.lock();
        let endpoint = state.endpoint.clone();
        let next = endpoint.and_then(|endpoint| Some((endpoint, state.next_packet()?)));
        state.working = next.is_some();
        next
    }
}

impl State {
    fn next_envelopes(&mut self) -> List<Envelope> {
        next_packet(&mut self.waiting, MAX_MESSAGE)
    }

    fn next_packet(&mut self) -> Option<Packet> {
        let envelopes = self.next_envelopes();
        (!envelopes.is_empty()).then(|| Packet::new(&envelopes))
    }
}

/// Messages that go in one buffer.
struct Packet {
    bytes: [u8; MAX_MESSAGE],
    length: usize,
}

impl Packet {
    fn new(envelopes: &List<Envelope>) -> Self {
        let mut packet = Self {
            bytes: [0; MAX_MESSAGE],
            length: 0,
        };
        for envelope in envelopes.iter() {
            let message = envelope.bytes();
            let end = packet.length + message.len();
            if let Some(place) = packet.bytes.get_mut(packet.length..end) {
                place.copy_from_slice(message);
                packet.length = end;
            }
        }
        packet
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

impl WorkItem for Outbox {
    type Pointer = Arc<Self>;

    /// Sends all that waits, at the processor's pace.
    fn run(this: Arc<Self>) {
        while let Some((endpoint, packet)) = this.next() {
            if let Err(error) = endpoint.send(packet.bytes()) {
                // Whoever waits for the answer will find out, and cut the device off.
                pr_err!("can't send: {:?}\n", error);
            }
        }
    }
}

impl Wire {
    /// Sends what waits, until no buffer is free. Then the work item goes on.
    fn send_waiting(&self, state: &mut State) -> Result {
        while !state.working {
            let endpoint = state.endpoint.clone().ok_or(ENODEV)?;
            let mut envelopes = state.next_envelopes();
            if envelopes.is_empty() {
                return Ok(());
            }
            match endpoint.try_send(Packet::new(&envelopes).bytes()) {
                // No buffer is free.
                Err(ENOMEM) => {
                    envelopes.push_all_back(&mut state.waiting);
                    state.waiting = envelopes;
                    state.working = true;
                    let _ = workqueue::system_highpri().enqueue(self.outbox.clone());
                }
                sent => sent?,
            }
        }
        Ok(())
    }
}

impl Transport for Wire {
    fn post(&self, connection: u64, envelope: ListArc<Envelope>, more: bool) -> Result {
        let mut state = self.outbox.state.lock();
        if connection != CONNECTION || state.endpoint.is_none() {
            drop(state);
            return Err(ENODEV);
        }
        state.waiting.push_back(envelope);
        if more {
            return Ok(());
        }
        self.send_waiting(&mut state)
    }

    fn kick(&self) {
        // Where there is no channel any more, its end tells.
        let _ = self.send_waiting(&mut self.outbox.state.lock());
    }

    fn cut(&self) {
        let mut state = self.outbox.state.lock();
        let cut = (state.endpoint.take(), core::mem::take(&mut state.waiting));
        drop(state);
        // A processor whose channel goes is being stopped; another one goes on with what it has.
        if cut.0.as_ref().is_some_and(|endpoint| endpoint.is_open()) {
            self.quarantine.close();
            self.watchdog.bite();
        }
    }
}
