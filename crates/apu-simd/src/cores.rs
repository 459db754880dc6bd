//! The cores: each runs the jobs it is given in order, on whichever thread has brought it one.

use crate::Error;
use crate::clock::Clock;
use crate::crew::Crew;
use crate::cycles;
use crate::inject::{Injector, hostile_messages};
use crate::packets::Outbox;
use crate::wire::Wire;
use apu_firmware::frame::Frame;
use apu_firmware::memory::AddressSpace;
use apu_firmware::{Alone, FailedQueues, Job, Slots, Workers};
use apu_kernels::Isa;
use apu_proto::message::{LOG_TEXT, Log, log_level};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{debug, error, info};

/// Jobs that the device can hold, those whose last message is under way among them.
pub const JOBS: usize = 256;

/// A job is short if it takes less: then the next one is taken to be so, too.
const SHORT_NS: u64 = 100_000;

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

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self.count.lock() == 0
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
    pub outbox: Outbox,
    /// Which jobs are to be given up. A core that hangs never lets go of it.
    pub slots: &'static Slots<JOBS>,
    /// How many jobs there are.
    pub in_flight: Arc<InFlight>,
    /// What goes wrong on purpose.
    pub injector: Injector,
    /// Instructions that the kernels may use.
    pub isa: Isa,
    /// The device's clock.
    pub clock: Clock,
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
            time_ns: self.clock.now_ns(),
            level,
            pad: 0,
            text,
        };
        report(self.outbox.send(Frame::new(&log).as_bytes()));
    }
}

/// A job and where it runs; no space if its VM has none.
pub type Task<S> = (Job, Option<Arc<S>>);

/// The cores of the device, and what waits for each.
pub struct Cores<S>(Vec<Place<S>>);

struct Place<S> {
    core: Mutex<Core<S>>,
    /// Locked by whoever runs a job on the core.
    crew: Mutex<Crew>,
}

struct Core<S> {
    running: Option<Job>,
    /// The most urgent ones first.
    waiting: VecDeque<Task<S>>,
    failed: FailedQueues<JOBS>,
}

impl<S: AddressSpace> Cores<S> {
    /// Cores that have nothing to do.
    pub fn new(count: u32) -> Self {
        let place = |_| Place {
            core: Mutex::new(Core {
                running: None,
                waiting: VecDeque::new(),
                failed: FailedQueues::new(),
            }),
            crew: Mutex::default(),
        };
        Self((0..count).map(place).collect())
    }

    /// Whether there is only one.
    pub fn are_one(&self) -> bool {
        self.0.len() == 1
    }

    /// Gives a job to its core, and back to the caller if that is free: to [`run`](Self::run) it.
    pub fn give(&self, shared: &Shared, task: Task<S>) -> Option<Task<S>> {
        shared.in_flight.add(1);
        let mut core = self.lock(task.0.core())?;
        if core.running.is_some() {
            let before = |other: &Task<S>| other.0.priority() >= task.0.priority();
            let place = core.waiting.partition_point(before);
            core.waiting.insert(place, task);
            return None;
        }
        core.running = Some(task.0);
        Some(task)
    }

    /// Runs a job on its core, and then what has been waiting for that. `before_operator` is called
    /// before each operator; `more` says whether jobs are at hand that are not given yet.
    ///
    /// The end of a short job is held back while there are more: until one of those is past its first
    /// operator.
    pub fn run(
        &self,
        shared: &Shared,
        task: Task<S>,
        before_operator: impl Fn(),
        more: impl Fn() -> bool,
    ) {
        let mut next = Some(task);
        let mut start = shared.clock.now_ns();
        while let Some((job, space)) = next {
            let done = if self.has_failed(&job) {
                Ended::unrun(job.not_run(), start)
            } else {
                self.run_job(shared, &job, space.as_deref(), start, || {
                    before_operator();
                    if shared.slots.advance(&job) > 1 {
                        report(shared.outbox.flush());
                    }
                    shared.slots.is_cancelled(&job)
                })
            };
            next = self.next(&job, done.failed);
            let short = done.end_ns - start < SHORT_NS;
            let hold = short && (next.is_some() || more());
            report(if hold {
                shared.outbox.hold(done.frame.as_bytes())
            } else {
                shared.outbox.send(done.frame.as_bytes())
            });
            start = done.end_ns;
            shared.slots.release(job);
            shared.in_flight.add(-1);
        }
    }

    /// Tells the driver of each job that runs.
    pub fn heartbeat(&self, shared: &Shared) {
        for place in &self.0 {
            // Locked, so that nothing comes of a job that has ended.
            let core = place.core.lock();
            if let Some(job) = &core.running {
                let beat = shared.slots.heartbeat(job);
                report(shared.outbox.send(Frame::new(&beat).as_bytes()));
            }
        }
    }

    /// Whether a job has failed of the queue that this one comes from.
    fn has_failed(&self, job: &Job) -> bool {
        self.lock(job.core())
            .is_some_and(|core| core.failed.contains(job.queue()))
    }

    /// The next job of the core that has ended `job`.
    fn next(&self, job: &Job, failed: bool) -> Option<Task<S>> {
        let mut core = self.lock(job.core())?;
        if failed {
            core.failed.note(job.queue());
        }
        let next = core.waiting.pop_front();
        core.running = next.as_ref().map(|(job, _)| *job);
        next
    }

    /// The server takes no job for a core that isn't there.
    fn lock(&self, core: usize) -> Option<MutexGuard<'_, Core<S>>> {
        let place = self.0.get(core)?;
        Some(place.core.lock())
    }

    fn run_job(
        &self,
        shared: &Shared,
        job: &Job,
        space: Option<&S>,
        start: u64,
        cancelled: impl Fn() -> bool,
    ) -> Ended {
        let alone = job.max_cores() == 1 || self.are_one();
        let mut crew = match self.0.get(job.core()) {
            Some(place) if !alone => Some(place.crew.lock()),
            _ => None,
        };
        let several = crew.as_mut();
        match several.and_then(|crew| crew.of(job.max_cores(), self.0.len())) {
            Some(mut several) => run(shared, job, space, &mut several, start, cancelled),
            None => run(shared, job, space, &mut Alone, start, cancelled),
        }
    }
}

/// How a job ended, and when.
struct Ended {
    frame: Frame,
    end_ns: u64,
    failed: bool,
}

impl Ended {
    /// A job that never began.
    fn unrun(frame: Frame, end_ns: u64) -> Self {
        Self {
            frame,
            end_ns,
            failed: true,
        }
    }
}

fn run(
    shared: &Shared,
    job: &Job,
    space: Option<&impl AddressSpace>,
    workers: &mut impl Workers,
    start: u64,
    cancelled: impl Fn() -> bool,
) -> Ended {
    let garbage = shared.injector.begin();
    let Some(space) = space else {
        return Ended::unrun(job.without_vm(), start);
    };
    let counter = cycles::now();
    let result = job.run(space, shared.isa, workers, cancelled);
    let cycles = cycles::now().wrapping_sub(counter);
    let end = shared.clock.now_ns().max(start);
    match &result {
        Ok(()) => debug!(job = job.id(), vm = job.vm(), ns = end - start, "done"),
        Err(error) => {
            info!(job = job.id(), vm = job.vm(), %error, "failed");
            let line = format!("job {} on vm {}: {error}", job.id(), job.vm());
            shared.log(log_level::WARNING, &line);
        }
    }
    if garbage {
        report(shared.outbox.flush());
        send_garbage(shared.outbox.wire());
    }
    Ended {
        frame: job.done(&result, start..end, cycles),
        end_ns: end,
        failed: result.is_err(),
    }
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
