//! The message side of the device: reads what the driver sends and acts on it.

use crate::Error;
use crate::clock::Clock;
use crate::cores::{Cores, InFlight, JOBS, Shared, Task};
use crate::inject::{Faults, Injector};
use crate::packets::{Inbox, Outbox};
use crate::platform::Platform;
use crate::vms::Vms;
use crate::wire::Wire;
use apu_firmware::frame::Frame;
use apu_firmware::{Action, Device, Server, Slots};
use apu_kernels::Isa;
use apu_proto::message::log_level;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use tracing::{error, info};

/// VMs that the device can hold.
pub const VMS: usize = 1024;
/// Device addresses of a VM: 4 GiB, of which the first pages stay free to catch null pointers.
pub const VA: Range<u64> = 0x1_0000..0x1_0000_0000;
/// Granularity of mappings, as the kernel's pages.
const PAGE_SIZE: u64 = 4096;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Longest time between two heartbeats, as the driver is told: this process may have to wait for a
/// processor.
const HEARTBEAT_MS: u32 = 500;

/// How to be the device.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Cores, 1 to 64.
    pub cores: u32,
    /// Instructions that the kernels may use.
    pub isa: Isa,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

/// Is the device until the driver goes away. Calls `online` after the first HELLO_ACK.
///
/// # Errors
/// The wire fails, or there is no thread for a core.
pub fn serve<P: Platform>(
    wire: Arc<dyn Wire>,
    platform: P,
    options: &Options,
    online: impl FnOnce(),
) -> Result<(), Error> {
    let (tell, events) = channel();
    let crew = Arc::new(Crew::new(wire, platform, options, tell));
    let pulse = {
        let crew = Arc::downgrade(&crew);
        let beat = move || beat(|| crew.upgrade());
        spawn("heartbeat", options.cores + 1, beat)?
    };
    crew.pulse.get_or_init(|| pulse.thread().clone());
    // One for each core, and one that takes messages meanwhile.
    for number in 0..=options.cores {
        let crew = Arc::clone(&crew);
        spawn(&format!("core {number}"), number, move || crew.work())?;
    }
    drop(crew);
    let mut online = Some(online);
    for event in events {
        match event {
            Event::Online => online.take().into_iter().for_each(|online| online()),
            Event::End(result) => return result,
        }
    }
    Ok(())
}

fn spawn(
    name: &str,
    number: u32,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|reason| Error::Thread { number, reason })
}

/// Tells the driver of jobs that run, until there is no crew. Sleeps as long as there are no jobs.
fn beat<P: Platform>(crew: impl Fn() -> Option<Arc<Crew<P>>>) {
    loop {
        thread::sleep(HEARTBEAT);
        let Some(crew) = crew() else {
            return;
        };
        crew.shared.clock.calibrate();
        crew.cores.heartbeat(&crew.shared);
        // In this order: whoever brings a job counts it before it looks whether to wake this thread.
        crew.resting.store(true, Ordering::SeqCst);
        let idle = crew.shared.in_flight.is_none();
        drop(crew);
        if idle {
            thread::park();
        }
    }
}

/// What the threads tell the one that waits for them.
enum Event {
    Online,
    End(Result<(), Error>),
}

/// Threads that take turns: one of them is at the helm, where it takes messages, and when that brings a
/// job, it runs the job itself. Nobody has to be woken up for a short job; another one takes the helm
/// over before a long one.
struct Crew<P: Platform> {
    shared: Shared,
    cores: Cores<P::Space>,
    helm: Mutex<Helm<P>>,
    /// Sends heartbeats.
    pulse: OnceLock<Thread>,
    /// Whether that thread waits for jobs.
    resting: AtomicBool,
    /// Operators that a job may run before the helm is handed over.
    patience: u32,
}

struct Helm<P: Platform> {
    inbox: Inbox,
    server: Server<'static, Vms<P>, VMS, JOBS>,
    tell: Sender<Event>,
    greeted: bool,
    over: bool,
}

impl<P: Platform> Drop for Crew<P> {
    /// Nobody has a pulse any more.
    fn drop(&mut self) {
        self.pulse.get().inspect(|pulse| pulse.unpark());
    }
}

impl<P: Platform> Crew<P> {
    fn new(wire: Arc<dyn Wire>, platform: P, options: &Options, tell: Sender<Event>) -> Self {
        let device = Device {
            core_count: options.cores,
            va: platform.va(),
            page_size: PAGE_SIZE,
            addressing: P::ADDRESSING,
            heartbeat_ms: HEARTBEAT_MS,
        };
        let in_flight = Arc::new(InFlight::default());
        let slots: &Slots<JOBS> = Box::leak(Box::new(Slots::new()));
        let vms = Vms::new(platform, Arc::clone(&in_flight));
        Self {
            shared: Shared {
                outbox: Outbox::new(wire),
                slots,
                in_flight,
                injector: Injector::new(options.faults),
                isa: options.isa,
                clock: Clock::default(),
                logs: AtomicBool::new(false),
            },
            cores: Cores::new(options.cores),
            pulse: OnceLock::new(),
            resting: AtomicBool::new(false),
            helm: Mutex::new(Helm {
                inbox: Inbox::default(),
                server: Server::new(device, vms, slots),
                tell,
                greeted: false,
                over: false,
            }),
            // Other cores don't wait for a job of this one, and who hangs does so alone.
            patience: u32::from(options.cores == 1 && options.faults.hang.is_none()),
        }
    }

    fn work(&self) {
        let at_helm = Cell::new(None);
        loop {
            let mut helm = at_helm.take().unwrap_or_else(|| self.take_helm());
            let Some(task) = self.next_task(&mut helm) else {
                return;
            };
            at_helm.set(Some(helm));
            let patience = Cell::new(self.patience);
            let hand_over = || match patience.get() {
                0 => drop(at_helm.take()),
                left => patience.set(left - 1),
            };
            if self.patience == 0 {
                hand_over();
            }
            let more = || {
                let helm = at_helm.take();
                let more = helm.as_ref().is_some_and(|helm| helm.inbox.has_message());
                at_helm.set(helm);
                more
            };
            self.cores.run(&self.shared, task, hand_over, more);
        }
    }

    /// The next job of a core that is free; all others that have come by then wait for theirs.
    /// [`None`] when the device is gone.
    fn next_task(&self, helm: &mut Helm<P>) -> Option<Task<P::Space>> {
        let mut free = None;
        while free.is_none() || (self.cores.are_one() && helm.inbox.has_message()) {
            let Some(task) = helm.next_job(&self.shared, free.is_none()) else {
                break;
            };
            free = free.or(self.cores.give(&self.shared, task));
            self.wake_pulse();
        }
        free
    }

    /// There is a job.
    fn wake_pulse(&self) {
        if self.resting.load(Ordering::SeqCst) {
            self.resting.store(false, Ordering::SeqCst);
            self.pulse.get().inspect(|pulse| pulse.unpark());
        }
    }

    fn take_helm(&self) -> MutexGuard<'_, Helm<P>> {
        self.helm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Platform> Helm<P> {
    /// Takes messages until one brings a job. [`None`] when the device is gone, or if there are no
    /// more and it isn't to `wait`.
    fn next_job(&mut self, shared: &Shared, wait: bool) -> Option<Task<P::Space>> {
        while !self.over && (wait || self.inbox.has_message()) {
            match self.take_message(shared) {
                Ok(Some(task)) => return Some(task),
                Ok(None) => {}
                Err(error) => self.end(Err(error)),
            }
        }
        None
    }

    fn take_message(&mut self, shared: &Shared) -> Result<Option<Task<P::Space>>, Error> {
        let Some(message) = self.inbox.next(shared.outbox.wire())? else {
            info!("the device is gone");
            self.end(Ok(()));
            return Ok(None);
        };
        let asleep = self.server.is_suspended();
        match self.server.handle(message) {
            Ok(Action::Nothing) if self.server.is_suspended() != asleep => {
                let what = if asleep { "resumed" } else { "suspended" };
                shared.log(log_level::INFO, what);
            }
            Ok(Action::Nothing) => {}
            Ok(Action::Reply(reply)) => {
                shared.outbox.send(reply.as_bytes())?;
                self.greeting(shared)?;
            }
            Ok(Action::Start(job)) => {
                return Ok(Some((job, self.server.memory().space(job.vm()))));
            }
            Err(error) => {
                error!(%error, "the driver broke the protocol: waiting for its HELLO");
                self.inbox.clear();
                let fault = Frame::new(&error.fault());
                shared.outbox.send(fault.as_bytes())?;
            }
        }
        Ok(None)
    }

    /// Does what is left to do when the driver has been answered, the first time and after a reset.
    fn greeting(&mut self, shared: &Shared) -> Result<(), Error> {
        let logs = self.server.is_online();
        if shared.logs.swap(logs, Ordering::Relaxed) != logs {
            shared.log(
                log_level::INFO,
                concat!("apu-simd ", env!("CARGO_PKG_VERSION")),
            );
        }
        if !self.greeted && self.server.is_online() {
            self.greeted = true;
            shared.outbox.wire().settle()?;
            let _ = self.tell.send(Event::Online);
        }
        Ok(())
    }

    fn end(&mut self, result: Result<(), Error>) {
        self.over = true;
        self.server.cancel_all();
        let _ = self.tell.send(Event::End(result));
    }
}
