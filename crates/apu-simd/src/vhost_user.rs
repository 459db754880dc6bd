//! A remote core of another machine: a virtio device behind a vhost-user socket.
//!
//! Whoever connects, User Mode Linux or a virtual machine, shares its memory and the queues of its
//! rpmsg driver. The core announces the channel `apu`; the driver's messages arrive there.
//!
//! Three kinds of threads meet in [`Remote`]: those of the vhost-user library, which say what has
//! changed and never wait; the server, which waits for messages; the cores, which may have to wait
//! for an empty buffer.

use crate::page_tables::PageTables;
use crate::rpmsg::{self, Endpoint, Header, Sent};
use crate::wire::Wire;
use crate::{Error, Options, VA, serve};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use tracing::{info, warn};
use vhost::vhost_user::Error::Disconnected;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost::vhost_user::{Backend, Listener};
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringRwLock, VringT};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};
use zerocopy::IntoBytes;

/// The memory of the other machine.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Name of the channel.
const CHANNEL: &str = "apu";
/// This side's address, above those that rpmsg reserves.
const ADDRESS: u32 = 1024;
/// The library reports a queue once when it is enabled, before the driver kicks it for the first time.
const REPORTS_BEFORE_KICK: u64 = 1;

/// Waits for a driver at a vhost-user socket and is its core until it goes away. Calls `listening`
/// when the socket is there and `online` when the driver has been greeted.
///
/// # Errors
/// [`Error::Socket`]; what [`serve`] fails with.
pub fn serve_at(
    socket: &Path,
    options: &Options,
    listening: impl FnOnce(),
    online: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    let failed = |reason: String| Error::Socket {
        path: socket.to_owned(),
        reason,
    };
    let mut listener = Listener::new(socket, true).map_err(|it| failed(it.to_string()))?;
    let memory = Memory::new(GuestMemoryMmap::new());
    let remote = Arc::new(Remote::new(memory.clone()));
    let backend = Arc::new(Core(Arc::clone(&remote)));
    let mut daemon = VhostUserDaemon::new("vhost-user".into(), backend, memory.clone())
        .map_err(|it| failed(it.to_string()))?;
    listening();
    daemon
        .start(&mut listener)
        .map_err(|it| failed(it.to_string()))?;
    let server = {
        let (remote, options) = (Arc::clone(&remote), *options);
        thread::Builder::new()
            .name("server".into())
            .spawn(move || serve(remote, PageTables::new(memory, VA), &options, online))
            .map_err(|it| failed(it.to_string()))?
    };
    let ended = daemon.wait();
    remote.lock().gone = true;
    remote.changed.notify_all();
    // A panic of the server has aborted this process.
    let served = server.join().unwrap_or(Ok(()));
    match ended {
        // A driver may go between two messages.
        Ok(()) | Err(vhost_user_backend::Error::HandleRequest(Disconnected)) => served,
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The core's end of the queues.
pub struct Remote {
    memory: Memory,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queues: Vec<VringRwLock<Memory>>,
    endpoint: Endpoint,
    /// Times that the library has reported the input queue.
    reports: u64,
    announced: bool,
    /// The driver hasn't been told of all that it was sent.
    owes_ring: bool,
    gone: bool,
    /// The driver takes the end of this for the end of the device.
    lifeline: Option<Backend>,
}

impl Remote {
    fn new(memory: Memory) -> Self {
        Self {
            memory,
            state: Mutex::new(State {
                queues: Vec::new(),
                endpoint: Endpoint::new(ADDRESS),
                reports: 0,
                announced: false,
                owes_ring: false,
                gone: false,
                lifeline: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends by `attempt`, as soon as the driver has a buffer for it. Tells the driver `now`, or later.
    fn send_when_possible(
        &self,
        now: bool,
        mut attempt: impl FnMut(&Endpoint, &mut Queue, &GuestMemoryMmap) -> Result<Sent, Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        loop {
            if state.gone {
                return Err(Error::Gone);
            }
            if state.input(&self.memory, &mut attempt)? == Sent::Yes {
                state.owes_ring = true;
                return if now { state.ring() } else { Ok(()) };
            }
            state.ring()?;
            if !state.listen(rpmsg::INPUT, &self.memory)? {
                state = self.wait(state);
            }
            state.ignore(rpmsg::INPUT, &self.memory)?;
        }
    }
}

impl State {
    /// Uses the input queue.
    fn input(
        &mut self,
        memory: &Memory,
        attempt: impl FnOnce(&Endpoint, &mut Queue, &GuestMemoryMmap) -> Result<Sent, Error>,
    ) -> Result<Sent, Error> {
        let Some(vring) = enabled(&self.queues, rpmsg::INPUT) else {
            return Ok(Sent::Full);
        };
        let memory = memory.memory();
        attempt(&self.endpoint, vring.get_mut().get_queue_mut(), &memory)
    }

    /// Tells the driver of what the input queue has got, if it doesn't know yet.
    fn ring(&mut self) -> Result<(), Error> {
        if !self.owes_ring {
            return Ok(());
        }
        self.owes_ring = false;
        let vring = enabled(&self.queues, rpmsg::INPUT).ok_or(Error::Gone)?;
        vring.signal_used_queue().map_err(|_| Error::Gone)
    }

    /// Asks the driver to tell of buffers that it puts into a queue. Whether there is one already.
    fn listen(&self, queue: u16, memory: &Memory) -> Result<bool, Error> {
        enabled(&self.queues, queue).map_or(Ok(false), |vring| {
            let mut vring = vring.get_mut();
            rpmsg::listen(vring.get_queue_mut(), name(queue), &*memory.memory())
        })
    }

    /// Asks the driver not to tell of buffers: this side looks for them.
    fn ignore(&self, queue: u16, memory: &Memory) -> Result<(), Error> {
        enabled(&self.queues, queue).map_or(Ok(()), |vring| {
            let mut vring = vring.get_mut();
            rpmsg::ignore(vring.get_queue_mut(), name(queue), &*memory.memory())
        })
    }

    /// Announces the channel, once the driver can take it.
    fn announce(&mut self, memory: &Memory) -> Result<(), Error> {
        if self.announced || self.reports <= REPORTS_BEFORE_KICK {
            return Ok(());
        }
        let sent = self.input(memory, |endpoint, input, memory| {
            endpoint.announce(CHANNEL, input, memory)
        })?;
        self.announced = sent == Sent::Yes;
        self.owes_ring |= self.announced;
        self.ring()
    }

    /// Whether the driver has given back all buffers of the input queue.
    fn all_empty(&self, memory: &Memory) -> bool {
        let Some(vring) = enabled(&self.queues, rpmsg::INPUT) else {
            return false;
        };
        let vring = vring.get_ref();
        let queue = vring.get_queue();
        let offered = queue.avail_idx(&*memory.memory(), Ordering::Acquire);
        offered.is_ok_and(|it| it.0.wrapping_sub(queue.next_avail()) == queue.size())
    }

    /// Takes the driver's next message.
    fn receive<'b>(
        &mut self,
        memory: &Memory,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Error> {
        let Some(vring) = enabled(&self.queues, rpmsg::OUTPUT) else {
            return Ok(None);
        };
        let memory = memory.memory();
        let mut vring = vring.get_mut();
        self.endpoint
            .receive(vring.get_queue_mut(), &*memory, buffer)
    }
}

/// What errors call a queue.
fn name(queue: u16) -> &'static str {
    match queue {
        rpmsg::INPUT => "input",
        _ => "output",
    }
}

/// The queue `index`, if the driver has enabled it.
fn enabled(queues: &[VringRwLock<Memory>], index: u16) -> Option<&VringRwLock<Memory>> {
    queues
        .get(usize::from(index))
        .filter(|vring| vring.get_ref().is_enabled())
}

impl Wire for Remote {
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        let mut state = self.lock();
        loop {
            if state.gone {
                return Ok(None);
            }
            state.announce(&self.memory)?;
            if let Some(length) = state.receive(&self.memory, buffer)?.map(<[u8]>::len) {
                return Ok(buffer.get(..length));
            }
            if !state.listen(rpmsg::OUTPUT, &self.memory)? {
                state = self.wait(state);
            }
            state.ignore(rpmsg::OUTPUT, &self.memory)?;
        }
    }

    fn send(&self, message: &[u8]) -> Result<(), Error> {
        self.send_when_possible(true, |endpoint, input, memory| {
            endpoint.send(message, input, memory)
        })
    }

    fn post(&self, message: &[u8]) -> Result<(), Error> {
        self.send_when_possible(false, |endpoint, input, memory| {
            endpoint.send(message, input, memory)
        })
    }

    fn ring(&self) -> Result<(), Error> {
        self.lock().ring()
    }

    /// The driver gives a buffer back when it has dealt with what was in it.
    fn settle(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.listen(rpmsg::INPUT, &self.memory)?;
        while !state.gone && !state.all_empty(&self.memory) {
            state = self.wait(state);
        }
        if state.gone {
            return Err(Error::Gone);
        }
        state.ignore(rpmsg::INPUT, &self.memory)
    }

    fn garble(&self) -> Vec<&'static str> {
        let hostile = |what, alter: fn(&mut Header), payload: usize| {
            let sent = self.send_when_possible(true, |endpoint, input, memory| {
                let mut header = endpoint.header(endpoint.peer(), payload);
                alter(&mut header);
                let payload = vec![0x5a; payload];
                rpmsg::put(input, memory, &[header.as_bytes(), &payload])
            });
            if let Err(error) = sent {
                warn!(what, %error, "not sent");
            }
            what
        };
        vec![
            hostile("rpmsg without a payload", |_| {}, 0),
            hostile("rpmsg shorter than it says", |it| it.length = 400.into(), 8),
            hostile(
                "rpmsg of a length past the buffer",
                |it| it.length = u16::MAX.into(),
                8,
            ),
            hostile("rpmsg to nobody", |it| it.destination = 0xdead.into(), 8),
            hostile(
                "announcement that is cut off",
                |it| it.destination = 53.into(),
                8,
            ),
        ]
    }
}

/// What the library asks the device.
struct Core(Arc<Remote>);

impl VhostUserBackend for Core {
    type Bitmap = ();
    type Vring = VringRwLock<Memory>;

    fn num_queues(&self) -> usize {
        2
    }

    fn max_queue_size(&self) -> usize {
        rpmsg::QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_F_VERSION_1
            | 1 << rpmsg::FEATURE_NAME_SERVICE
            | vhost::vhost_user::VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::REPLY_ACK | VhostUserProtocolFeatures::BACKEND_REQ
    }

    /// Lets the library's threads end with the connection.
    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)
            .inspect_err(|error| warn!(%error, "this process won't end with its driver"))
            .ok()
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn update_memory(&self, _memory: Memory) -> io::Result<()> {
        Ok(())
    }

    fn set_backend_req_fd(&self, backend: Backend) {
        self.0.lock().lifeline = Some(backend);
    }

    fn handle_event(
        &self,
        queue: u16,
        _events: EventSet,
        queues: &[VringRwLock<Memory>],
        _thread: usize,
    ) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.queues.is_empty() {
            info!("a driver has set its queues up");
            state.queues = queues.to_vec();
        }
        if queue == rpmsg::INPUT {
            state.reports += 1;
        }
        self.0.changed.notify_all();
        Ok(())
    }
}
