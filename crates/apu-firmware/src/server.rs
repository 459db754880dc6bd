//! The protocol's state: versions, VMs, jobs in flight.

use crate::frame::{Frame, MessageError, Request};
use crate::job::{Job, refusal};
use crate::memory::Memory;
use crate::{FEATURES, TARGET};
use apu_proto::message::{
    Cancel, Heartbeat, Hello, HelloAck, MAP_READ_ONLY, MAX_SEGMENTS, Map, Resume, Run, Suspend,
    Sync, SyncAck, Unmap, VERSION_MAX, VERSION_MIN, VmCreate, VmDestroy, addressing, kind, reject,
    status,
};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Version from which on the device can be sent to sleep.
const SLEEP: u32 = 4;
/// Version from which on several cores may work on one job.
const SPREAD: u32 = 4;

/// What a device is.
#[derive(Clone, Debug)]
pub struct Device {
    /// Cores, 1 to 64.
    pub core_count: u32,
    /// Device addresses that a VM can map.
    pub va: Range<u64>,
    /// Granularity of mappings in bytes, a power of two.
    pub page_size: u64,
    /// How it gets from device addresses to memory, one of [`addressing`].
    pub addressing: u32,
    /// Longest time between two [`Heartbeat`]s of a core that has a job, in milliseconds; 0 if there
    /// are none.
    pub heartbeat_ms: u32,
}

/// What is left to do after a message.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put it on")]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this.
    Reply(Frame),
    /// Run this on its core, send [`Job::done`], then [`Slots::release`] its slot.
    Start(Job),
}

/// What the server and the cores share about each job in flight.
#[derive(Debug)]
pub struct Slots<const JOBS: usize>([Slot; JOBS]);

#[derive(Debug)]
struct Slot {
    busy: AtomicBool,
    cancel: AtomicBool,
    progress: AtomicU32,
}

impl<const JOBS: usize> Slots<JOBS> {
    /// All free.
    pub const fn new() -> Self {
        Self(
            [const {
                Slot {
                    busy: AtomicBool::new(false),
                    cancel: AtomicBool::new(false),
                    progress: AtomicU32::new(0),
                }
            }; JOBS],
        )
    }

    // A server's jobs have slots below JOBS, so the modulo changes nothing but rules out a panic.

    /// Whether the job is to be given up.
    pub fn is_cancelled(&self, job: &Job) -> bool {
        self.0[job.slot() % JOBS].cancel.load(Ordering::Relaxed)
    }

    /// Counts an operator that begins. Returns how many of the job have begun.
    pub fn advance(&self, job: &Job) -> u32 {
        let progress = &self.0[job.slot() % JOBS].progress;
        progress.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the host is told of a job that runs.
    pub fn heartbeat(&self, job: &Job) -> Heartbeat {
        let progress = &self.0[job.slot() % JOBS].progress;
        Heartbeat {
            job: job.id(),
            progress: progress.load(Ordering::Relaxed).into(),
        }
    }

    /// Makes room for another job. The core that ran `job` calls it after the job's last message.
    pub fn release(&self, job: Job) {
        self.0[job.slot() % JOBS]
            .busy
            .store(false, Ordering::Release);
    }
}

impl<const JOBS: usize> Default for Slots<JOBS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes the host's messages. Holds at most `VMS` VMs and `JOBS` jobs, of which one for each core is
/// kept back: a job whose last message is under way still has its slot.
#[derive(Debug)]
pub struct Server<'s, M, const VMS: usize, const JOBS: usize> {
    device: Device,
    memory: M,
    slots: &'s Slots<JOBS>,
    /// Number of the job in each slot.
    jobs: [u64; JOBS],
    /// Living VMs; 0 is a free place.
    vms: [u32; VMS],
    state: State,
    version: u32,
    /// Greetings of the host.
    resets: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No version agreed on.
    New,
    Greeted,
    /// Greeted, and sent to sleep.
    Suspended,
    /// Waits for a reset.
    Failed,
}

impl<'s, M: Memory, const VMS: usize, const JOBS: usize> Server<'s, M, VMS, JOBS> {
    /// A server that knows no VM and no job.
    pub fn new(device: Device, memory: M, slots: &'s Slots<JOBS>) -> Self {
        Self {
            device,
            memory,
            slots,
            jobs: [0; JOBS],
            vms: [0; VMS],
            state: State::New,
            version: 0,
            resets: 0,
        }
    }

    /// Takes one message.
    ///
    /// # Errors
    /// The host broke the protocol: send [`MessageError::fault`]. Until the next HELLO, all other
    /// messages are dropped.
    pub fn handle(&mut self, message: &[u8]) -> Result<Action, MessageError> {
        let taken = Request::read(message).and_then(|request| self.take(&request));
        if taken.is_err() {
            self.state = State::Failed;
        }
        taken
    }

    fn take(&mut self, request: &Request) -> Result<Action, MessageError> {
        if let Request::Hello(hello) = request {
            return Ok(self.hello(hello));
        }
        match self.state {
            State::New => {
                return Err(MessageError::NotGreeted {
                    kind: request.kind(),
                });
            }
            State::Failed => return Ok(Action::Nothing),
            State::Suspended if matches!(request, Request::Run(_)) => {
                return Err(MessageError::Suspended);
            }
            State::Greeted | State::Suspended => {}
        }
        match request {
            Request::Hello(_) => {}
            Request::VmCreate(create) => self.vm_create(create)?,
            Request::VmDestroy(destroy) => self.vm_destroy(destroy)?,
            Request::Map(map) => self.map(map)?,
            Request::Unmap(unmap) => self.unmap(unmap)?,
            Request::Sync(Sync { cookie }) => {
                // All before it has taken effect: each call above returns only then.
                return Ok(Action::Reply(Frame::new(&SyncAck { cookie: *cookie })));
            }
            Request::Run(run) => return self.run(run),
            Request::Cancel(Cancel { job }) => self.cancel(*job),
            Request::Suspend(Suspend { pad }) => {
                self.sleep(kind::SUSPEND, *pad, State::Suspended)?
            }
            Request::Resume(Resume { pad }) => self.sleep(kind::RESUME, *pad, State::Greeted)?,
        }
        Ok(Action::Nothing)
    }

    fn hello(&mut self, hello: &Hello) -> Action {
        self.reset();
        let newest = VERSION_MAX.min(hello.version_max);
        let common = newest >= VERSION_MIN.max(hello.version_min);
        self.state = if common { State::Greeted } else { State::New };
        self.version = if common { newest } else { 0 };
        Action::Reply(Frame::new(&HelloAck {
            version: self.version,
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            core_count: self.device.core_count,
            va_start: self.device.va.start,
            va_end: self.device.va.end,
            features: FEATURES,
            target: TARGET.0,
            vm_max: VMS as u32,
            job_max: (JOBS as u32).saturating_sub(self.device.core_count),
            addressing: self.device.addressing,
            heartbeat_ms: self.device.heartbeat_ms,
        }))
    }

    /// What it was given to map memory with.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The version that was agreed on, or 0.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether a version is agreed on and nothing has failed since.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Greeted | State::Suspended)
    }

    /// Whether the host has sent the device to sleep: it gets no job before the host wakes it up.
    pub fn is_suspended(&self) -> bool {
        self.state == State::Suspended
    }

    /// Gives all jobs up.
    pub fn cancel_all(&mut self) {
        for slot in &self.slots.0 {
            slot.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all jobs and VMs; returns when no core knows any of them.
    fn reset(&mut self) {
        self.cancel_all();
        self.resets = self.resets.wrapping_add(1);
        self.memory.quiesce();
        for vm in self.vms.iter_mut().filter(|vm| **vm != 0) {
            self.memory.destroy(core::mem::take(vm));
        }
    }

    fn vm_create(&mut self, create: &VmCreate) -> Result<(), MessageError> {
        zero(kind::VM_CREATE, "pad", create.pad)?;
        self.root(create.root)?;
        if create.vm == 0 || self.vms.contains(&create.vm) {
            return Err(handle(kind::VM_CREATE, "vm", create.vm.into(), "in use"));
        }
        let Some(free) = self.vms.iter_mut().find(|vm| **vm == 0) else {
            return Err(full(kind::VM_CREATE, "VMs", VMS));
        };
        *free = create.vm;
        self.memory.create(create.vm, create.root);
        Ok(())
    }

    fn vm_destroy(&mut self, destroy: &VmDestroy) -> Result<(), MessageError> {
        zero(kind::VM_DESTROY, "pad", destroy.pad)?;
        self.known_vm(kind::VM_DESTROY, destroy.vm)?;
        self.memory.destroy(destroy.vm);
        for vm in self.vms.iter_mut().filter(|vm| **vm == destroy.vm) {
            *vm = 0;
        }
        Ok(())
    }

    fn map(&mut self, map: &Map) -> Result<(), MessageError> {
        if self.device.addressing == addressing::PAGE_TABLES {
            return Err(MessageError::Kind { kind: kind::MAP });
        }
        self.known_vm(kind::MAP, map.vm)?;
        if map.flags & !MAP_READ_ONLY != 0 {
            return Err(field(kind::MAP, "flags", map.flags.into()));
        }
        self.pages(kind::MAP, map.va, map.size)?;
        self.memory.map(map);
        Ok(())
    }

    fn unmap(&mut self, unmap: &Unmap) -> Result<(), MessageError> {
        zero(kind::UNMAP, "pad", unmap.pad)?;
        self.known_vm(kind::UNMAP, unmap.vm)?;
        self.pages(kind::UNMAP, unmap.va, unmap.size)?;
        self.memory.unmap(unmap);
        Ok(())
    }

    fn run(&mut self, run: &Run) -> Result<Action, MessageError> {
        if self.version < SPREAD {
            zero(kind::RUN, "max_cores", run.max_cores.into())?;
        }
        let refused = |status, detail| Ok(Action::Reply(refusal(run.job, status, detail)));
        if run.job == 0 {
            return Err(field(kind::RUN, "job", 0));
        }
        if u32::from(run.core) >= self.device.core_count || !self.has_vm(run.vm) {
            return refused(status::BAD_HANDLE, 0);
        }
        if usize::from(run.segment_count) > MAX_SEGMENTS {
            return refused(status::REJECTED, reject::SEGMENT);
        }
        let mut slots = self.slots.0.iter().zip(&mut self.jobs).enumerate();
        let free = slots.find(|(_, (slot, _))| !slot.busy.load(Ordering::Acquire));
        let Some((index, (slot, job))) = free else {
            return Err(full(kind::RUN, "jobs", JOBS));
        };
        slot.cancel.store(false, Ordering::Relaxed);
        slot.progress.store(0, Ordering::Relaxed);
        slot.busy.store(true, Ordering::Relaxed);
        *job = run.job;
        Ok(Action::Start(Job::new(*run, self.resets, index)))
    }

    /// A job that is not in flight has ended meanwhile: nothing to do.
    fn cancel(&mut self, job: u64) {
        let slots = self.slots.0.iter().zip(&self.jobs);
        for (slot, _) in slots.filter(|(_, number)| **number == job) {
            slot.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn sleep(&mut self, kind: u16, pad: u64, state: State) -> Result<(), MessageError> {
        if self.version < SLEEP {
            return Err(MessageError::Kind { kind });
        }
        if pad != 0 {
            return Err(field(kind, "pad", pad));
        }
        self.state = state;
        Ok(())
    }

    fn has_vm(&self, vm: u32) -> bool {
        vm != 0 && self.vms.contains(&vm)
    }

    fn known_vm(&self, kind: u16, vm: u32) -> Result<(), MessageError> {
        if self.has_vm(vm) {
            return Ok(());
        }
        Err(handle(kind, "vm", vm.into(), "unknown"))
    }

    /// Checks where a VM's page tables begin, which it has only if the device walks some.
    fn root(&self, root: u64) -> Result<(), MessageError> {
        let fits = if self.device.addressing == addressing::PAGE_TABLES {
            root != 0 && root.is_multiple_of(self.device.page_size)
        } else {
            root == 0
        };
        if fits {
            return Ok(());
        }
        Err(field(kind::VM_CREATE, "root", root))
    }

    /// Checks a range of whole pages within the device's addresses.
    fn pages(&self, kind: u16, va: u64, size: u64) -> Result<(), MessageError> {
        let Range { start, end } = self.device.va.clone();
        if !va.is_multiple_of(self.device.page_size) || va < start || va >= end {
            return Err(field(kind, "va", va));
        }
        if size == 0 || !size.is_multiple_of(self.device.page_size) || size > end - va {
            return Err(field(kind, "size", size));
        }
        Ok(())
    }
}

fn zero(kind: u16, name: &'static str, got: u32) -> Result<(), MessageError> {
    if got == 0 {
        return Ok(());
    }
    Err(field(kind, name, got.into()))
}

fn field(kind: u16, field: &'static str, got: u64) -> MessageError {
    MessageError::Field { kind, field, got }
}

fn handle(kind: u16, field: &'static str, got: u64, state: &'static str) -> MessageError {
    MessageError::Handle {
        kind,
        field,
        got,
        state,
    }
}

fn full(kind: u16, what: &'static str, limit: usize) -> MessageError {
    MessageError::Full { kind, what, limit }
}
