//! The cores: each runs the jobs it is given in order, on whichever thread has brought it one.

use crate::Error;
use crate::inject::{Injector, hostile_messages};
use crate::wire::Wire;
use apu_firmware::frame::Frame;
use apu_firmware::memory::AddressSpace;
use apu_firmware::{Alone, Job, Slots};
use apu_kernels::Isa;
use apu_proto::message::{LOG_TEXT, Log, log_level};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
        let mut count = self.count.lock();
        *count = count.saturating_add_signed(change);
        self.changed.notify_all();
    }

    /// Returns when there are none.
    pub fn wait_for_none(&self) {
        let mut count = self.count.lock();
        self.changed.wait_while(&mut count, |count| *count > 0);
    }
}

/// What all threads share.
pub struct Shared {
    /// Where the ends of jobs are reported.
    pub wire: Arc<dyn Wire>,
    /// Which jobs are to be given up. A core that hangs never lets go of it.
    pub slots: &'static Slots<JOBS>,
    /// How many jobs there are.
    pub in_flight: Arc<InFlight>,
    /// What goes wrong on purpose.
    pub injector: Injector,
    /// Instructions that the kernels may use.
    pub isa: Isa,
    /// When the device's clock was 0.
    pub epoch: Instant,
    /// Whether the driver takes lines of a log.
    pub logs: AtomicBool,
}

impl Shared {
    /// Sends a line of the log, as far as it fits, if the driver takes any.
    pub fn log(&self, level: u32, line: &str) {
        if !self.logs.load(Ordering::Relaxed) {
            return;
        }
        let mut text = [0; LOG_TEXT];
        for (to, from) in text.iter_mut().zip(line.bytes()) {
            *to = from;
        }
        let log = Log {
            time_ns: self.now_ns(),
            level,
            pad: 0,
            text,
        };
        report(self.wire.send(Frame::new(&log).as_bytes()));
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A job and where it runs; no space if its VM has none.
pub type Task<S> = (Job, Option<Arc<S>>);

/// The cores of the device, and what waits for each.
pub struct Cores<S>(Vec<Mutex<Core<S>>>);

struct Core<S> {
    busy: bool,
    waiting: VecDeque<Task<S>>,
}

impl<S: AddressSpace> Cores<S> {
    /// Cores that have nothing to do.
    pub fn new(count: u32) -> Self {
        let core = |_| {
            Mutex::new(Core {
                busy: false,
                waiting: VecDeque::new(),
            })
        };
        Self((0..count).map(core).collect())
    }

    /// Gives a job to its core, and back to the caller if that is free: to [`run`](Self::run) it.
    pub fn give(&self, shared: &Shared, task: Task<S>) -> Option<Task<S>> {
        shared.in_flight.add(1);
        let mut core = self.lock(task.0.core())?;
        if core.busy {
            core.waiting.push_back(task);
            return None;
        }
        core.busy = true;
        Some(task)
    }

    /// Runs a job on its core, and then what has been waiting for that. `before_operator` is called
    /// before each operator.
    pub fn run(&self, shared: &Shared, task: Task<S>, before_operator: impl Fn()) {
        let core = task.0.core();
        let mut next = Some(task);
        while let Some((job, space)) = next {
            run(shared, &job, space.as_deref(), &before_operator);
            shared.slots.release(job);
            shared.in_flight.add(-1);
            next = self.next(core);
        }
    }

    /// The next job of a core that has ended one.
    fn next(&self, core: usize) -> Option<Task<S>> {
        let mut core = self.lock(core)?;
        let next = core.waiting.pop_front();
        core.busy = next.is_some();
        next
    }

    /// The server takes no job for a core that isn't there.
    fn lock(&self, core: usize) -> Option<MutexGuard<'_, Core<S>>> {
        let core = self.0.get(core)?;
        Some(core.lock())
    }
}

fn run(shared: &Shared, job: &Job, space: Option<&impl AddressSpace>, before_operator: &impl Fn()) {
    let garbage = shared.injector.begin();
    let start = shared.now_ns();
    let done = match space {
        None => job.without_vm(),
        Some(space) => {
            let result = job.run(space, shared.isa, &mut Alone, || {
                before_operator();
                shared.slots.is_cancelled(job)
            });
            let end = shared.now_ns();
            match &result {
                Ok(()) => debug!(job = job.id(), vm = job.vm(), ns = end - start, "done"),
                Err(error) => {
                    info!(job = job.id(), vm = job.vm(), %error, "failed");
                    let line = format!("job {} on vm {}: {error}", job.id(), job.vm());
                    shared.log(log_level::WARNING, &line);
                }
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
