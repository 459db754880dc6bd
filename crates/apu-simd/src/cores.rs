//! The cores: one thread each, which runs the jobs it is given in order.

use crate::Error;
use crate::inject::{Injector, hostile_messages};
use crate::wire::Wire;
use apu_firmware::memory::AddressSpace;
use apu_firmware::{Alone, Job, Slots};
use apu_kernels::Isa;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use tracing::{debug, error, info};

/// Jobs that the device can hold, those whose last message is under way among them.
pub const JOBS: usize = 256;

/// Counts the jobs that a core has or will get.
#[derive(Debug, Default)]
pub struct InFlight {
    count: Mutex<usize>,
    changed: Condvar,
}

impl InFlight {
    fn add(&self, change: isize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add_signed(change);
        self.changed.notify_all();
    }

    /// Returns when there are none.
    pub fn wait_for_none(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(count, |count| *count > 0));
    }
}

/// What all cores share.
pub struct Shared {
    /// Where the ends of jobs are reported.
    pub wire: Arc<dyn Wire>,
    /// Which jobs are to be given up.
    pub slots: Slots<JOBS>,
    /// How many jobs there are.
    pub in_flight: Arc<InFlight>,
    /// What goes wrong on purpose.
    pub injector: Injector,
    /// Instructions that the kernels may use.
    pub isa: Isa,
    /// When the device's clock was 0.
    pub epoch: Instant,
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The cores of the device. They end when this is dropped, each after its last job.
pub struct Cores<S> {
    queues: Vec<Sender<Task<S>>>,
    shared: Arc<Shared>,
}

/// A job and where it runs; no space if its VM has none.
type Task<S> = (Job, Option<Arc<S>>);

impl<S: AddressSpace + Send + Sync + 'static> Cores<S> {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(count: u32, shared: &Arc<Shared>) -> Result<Self, Error> {
        let start = |core| {
            let (queue, tasks) = channel();
            let shared = Arc::clone(shared);
            thread::Builder::new()
                .name(format!("core {core}"))
                .spawn(move || work(&shared, &tasks))
                .map_err(|reason| Error::Thread { core, reason })?;
            Ok(queue)
        };
        Ok(Self {
            queues: (0..count).map(start).collect::<Result<_, _>>()?,
            shared: Arc::clone(shared),
        })
    }

    /// Queues a job on its core.
    pub fn queue(&self, job: Job, space: Option<Arc<S>>) {
        self.shared.in_flight.add(1);
        let core = self.queues.get(job.core());
        if core.is_none_or(|queue| queue.send((job, space)).is_err()) {
            // A core ends only when its queue does; a device that loses jobs can't go on.
            error!(core = job.core(), "the core is dead");
            std::process::abort();
        }
    }
}

fn work<S: AddressSpace>(shared: &Shared, tasks: &Receiver<Task<S>>) {
    for (job, space) in tasks {
        run(shared, &job, space.as_deref());
        shared.slots.release(job);
        shared.in_flight.add(-1);
    }
}

fn run(shared: &Shared, job: &Job, space: Option<&impl AddressSpace>) {
    let garbage = shared.injector.begin();
    let start = shared.now_ns();
    let done = match space {
        None => job.without_vm(),
        Some(space) => {
            let result = job.run(space, shared.isa, &mut Alone, || {
                shared.slots.is_cancelled(job)
            });
            let end = shared.now_ns();
            match &result {
                Ok(()) => debug!(job = job.id(), vm = job.vm(), ns = end - start, "done"),
                Err(error) => info!(job = job.id(), vm = job.vm(), %error, "failed"),
            }
            job.done(&result, start..end)
        }
    };
    if garbage {
        send_garbage(&*shared.wire);
    }
    report(shared.wire.send(done.as_bytes()));
}

fn send_garbage(wire: &dyn Wire) {
    for what in wire.garble() {
        info!(what, "garbled");
    }
    for (what, message) in hostile_messages() {
        match wire.send(&message) {
            Ok(()) => info!(what, "hostile message taken"),
            Err(error) => info!(what, %error, "hostile message refused"),
        }
    }
}

/// When the device goes away while a job ends, the reader hears of it too.
fn report(sent: Result<(), Error>) {
    match sent {
        Ok(()) | Err(Error::Gone) => {}
        Err(error) => error!(%error, "the end of a job is lost"),
    }
}
