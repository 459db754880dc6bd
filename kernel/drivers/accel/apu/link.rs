// SPDX-License-Identifier: GPL-2.0

//! One connection to the firmware, from greeting to loss.
//!
//! What the firmware says is not trusted: whatever breaks the protocol is refused with [`EPROTO`]
//! and has no effect.

use crate::{
    driver::Apu,
    envelope::{
        Blank,
        Body,
        Envelope,
        RunBlank, //
    },
    history::{
        Direction,
        History, //
    },
    log::Lines,
    memory::Memory,
    message::{
        kind,
        status,
        Done,
        Fault,
        Header,
        Heartbeat,
        Hello,
        HelloAck,
        Resume,
        Run,
        Suspend,
        Sync,
        SyncAck,
        DONE_HEAD,
        MAGIC,
        MAX_MESSAGE,
        VERSION_MAX,
        VERSION_MIN, //
    },
    transport::Transport, //
};
use core::mem::size_of;
use kernel::{
    drm::accel::tiny::{
        Device,
        Driver,
        Ends,
        JobTime,
        Online,
        Outcome,
        Report, //
    },
    list::ListArc,
    new_condvar,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout, //
};

/// Longest time from a SYNC to its answer. An unmap waits for the running operator at most.
const SYNC_TIMEOUT_MS: u32 = 5000;
/// Version from which on a device can sleep, and counts cycles.
const SLEEP: u32 = 4;
/// Version from which on several cores may work on one job.
const SPREAD: u32 = 4;
/// Longest time that a device with jobs may say nothing. It isn't less than that of some
/// heartbeats.
const SILENCE_MS: i64 = 3000;
/// Heartbeats that may be missing.
const MISSED_HEARTBEATS: i64 = 6;
/// Changes of VMs that the device may have before it, each of which may take it a millisecond.
const MAX_CHANGES: u32 = 512;

/// The driver's end of the connection.
#[pin_data]
pub(crate) struct Link {
    transport: Arc<dyn Transport>,
    #[pin]
    pub(crate) history: History,
    #[pin]
    pub(crate) log: Lines,
    memory: Arc<dyn Memory>,
    #[pin]
    state: Mutex<State>,
    #[pin]
    acked: CondVar,
}

struct State {
    /// 0 when there is none.
    connection: u64,
    phase: Phase,
    /// Cookie of the last SYNC that was sent.
    asked: u64,
    /// Cookie of the last SYNC that was answered.
    answered: u64,
    /// Changes of VMs that were posted since the last SYNC.
    changes: u32,
    /// The RESUME for a device that was sent to sleep, and its connection.
    asleep: Option<(u64, Blank<Resume>)>,
    /// When something came.
    heard: Instant<Monotonic>,
}

enum Phase {
    Closed,
    Greeting,
    Online(HelloAck),
}

impl Link {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        memory: Arc<dyn Memory>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            transport,
            history <- History::new(),
            log <- Lines::new(),
            memory,
            state <- new_mutex!(State {
                connection: 0,
                phase: Phase::Closed,
                asked: 0,
                answered: 0,
                changes: 0,
                asleep: None,
                heard: Instant::now(),
            }),
            acked <- new_condvar!(),
        })
    }

    /// Greets a device that has appeared.
    pub(crate) fn connect(&self, connection: u64) -> Result {
        let hello = Envelope::new(&Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
        })?;
        let mut state = self.state.lock();
        state.connection = connection;
        state.phase = Phase::Greeting;
        state.answered = state.asked;
        self.hand_over(connection, hello)
    }

    /// Ends the connection. Whoever waits for an answer gets [`ENODEV`].
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock();
        state.connection = 0;
        state.phase = Phase::Closed;
        self.transport.cut();
        self.acked.notify_all();
    }

    /// What the device said of itself, unless it is lost.
    pub(crate) fn greeting(&self) -> Option<HelloAck> {
        match &self.state.lock().phase {
            Phase::Online(ack) => Some(*ack),
            _ => None,
        }
    }

    /// The version that is spoken, or 0.
    fn version(&self) -> u32 {
        self.greeting().map_or(0, |ack| ack.version)
    }

    /// Bytes that a DONE has at least.
    fn done_size(&self) -> usize {
        if self.version() < SLEEP {
            return DONE_HEAD;
        }
        size_of::<Done>()
    }

    /// The connection that messages are for now, or [`ENODEV`].
    pub(crate) fn connection(&self) -> Result<u64> {
        let state = self.state.lock();
        match state.phase {
            Phase::Online(_) => Ok(state.connection),
            _ => Err(ENODEV),
        }
    }

    /// Allocates and posts a message.
    pub(crate) fn send<B: Body>(&self, connection: u64, body: &B) -> Result {
        self.hand_over(connection, Envelope::new(body)?)
    }

    /// Posts a message of the connection of now.
    pub(crate) fn post(&self, envelope: ListArc<Envelope>) -> Result {
        self.hand_over(self.connection()?, envelope)
    }

    /// Posts a change of a VM of `connection`. When the device has many of them before it, this
    /// waits until it has done them, by means of `pause`: so that they are no reason for a later
    /// SYNC to be answered too late. Fails as [`sync`](Self::sync) does, and then the change wasn't
    /// posted.
    pub(crate) fn post_change(
        &self,
        connection: u64,
        envelope: ListArc<Envelope>,
        pause: &mut Option<Blank<Sync>>,
    ) -> Result {
        let many = self.state.lock().changes >= MAX_CHANGES;
        if let Some(blank) = pause.take_if(|_| many) {
            self.sync(connection, blank, false)?;
        }
        self.state.lock().changes += 1;
        self.hand_over(connection, envelope)
    }

    /// Posts a RUN, as the version of now has it. The device needn't know before
    /// [`kick`](Self::kick).
    pub(crate) fn post_run(&self, blank: RunBlank, mut run: Run) -> Result {
        let connection = self.connection()?;
        if self.version() < SPREAD {
            run.max_cores = 0;
        }
        let envelope = blank.fill(&run);
        self.history.note(Direction::Out, envelope.bytes());
        self.transport.post(connection, envelope, true)
    }

    /// Tells the device of RUNs.
    pub(crate) fn kick(&self) {
        self.transport.kick();
    }

    /// Whether a device that has had a job since `since` has missed its heartbeats.
    pub(crate) fn is_silent(&self, since: Instant<Monotonic>) -> bool {
        let state = self.state.lock();
        let Phase::Online(ack) = &state.phase else {
            return false;
        };
        let limit = SILENCE_MS.max(i64::from(ack.heartbeat_ms) * MISSED_HEARTBEATS);
        let silence = state.heard.elapsed().min(since.elapsed());
        ack.heartbeat_ms > 0 && silence > Delta::from_millis(limit)
    }

    /// Sends a device that has no jobs to sleep, if it knows how. Fails as [`sync`](Self::sync)
    /// does.
    pub(crate) fn suspend(&self) -> Result {
        if self.version() < SLEEP {
            return Ok(());
        }
        let connection = self.connection()?;
        let (suspend, sync) = (Blank::<Suspend>::new()?, Blank::new()?);
        let resume = Blank::new()?;
        self.hand_over(connection, suspend.fill(&Suspend { pad: 0 }))?;
        self.state.lock().asleep = Some((connection, resume));
        let asleep = self.sync(connection, sync, false);
        asleep.inspect_err(|_| self.resume())
    }

    /// Wakes a device up that was sent to sleep.
    pub(crate) fn resume(&self) {
        let asleep = self.state.lock().asleep.take();
        if let Some((connection, resume)) = asleep {
            // One that is gone need not be told.
            let _ = self.hand_over(connection, resume.fill(&Resume { pad: 0 }));
        }
    }

    /// Posts a message of `connection`, or fails with [`ENODEV`] when that is over.
    pub(crate) fn hand_over(&self, connection: u64, envelope: ListArc<Envelope>) -> Result {
        self.history.note(Direction::Out, envelope.bytes());
        self.transport.post(connection, envelope, false)
    }

    /// Waits until all that was posted before has taken effect, or fails with [`ENODEV`] when the
    /// connection is over, [`ETIMEDOUT`], or [`EINTR`] when `killable` and the caller was killed.
    pub(crate) fn sync(&self, connection: u64, blank: Blank<Sync>, killable: bool) -> Result {
        let mut state = self.state.lock();
        state.asked += 1;
        state.changes = 0;
        let cookie = state.asked;
        self.hand_over(connection, blank.fill(&Sync { cookie }))?;
        let mut left = msecs_to_jiffies(SYNC_TIMEOUT_MS);
        loop {
            if state.connection != connection {
                return Err(ENODEV);
            }
            if state.answered >= cookie {
                return Ok(());
            }
            let woken = if killable {
                self.acked.wait_killable_timeout(&mut state, left)
            } else {
                self.acked.wait_timeout(&mut state, left)
            };
            match woken {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Signal { .. } => return Err(EINTR),
                CondVarTimeoutResult::Timeout => return Err(ETIMEDOUT),
            }
        }
    }

    /// Takes a packet of one or several messages from the firmware. What comes behind a message
    /// that is refused is dropped.
    pub(crate) fn receive(&self, device: &Device<Apu>, packet: &[u8]) -> Result {
        self.state.lock().heard = Instant::now();
        let mut ends = device.ends();
        let mut rest = packet;
        loop {
            let (message, behind) = split_first(rest).inspect_err(|_| {
                self.history.note(Direction::In, rest);
            })?;
            self.history.note(Direction::In, message);
            self.take(device, &mut ends, message)?;
            if behind.is_empty() {
                return Ok(());
            }
            rest = behind;
        }
    }

    fn take(&self, device: &Device<Apu>, ends: &mut Ends<'_, Apu>, message: &[u8]) -> Result {
        let (header, body) = Header::read_from_prefix(message).map_err(|_| EPROTO)?;
        match header.kind {
            kind::HELLO_ACK => self.hello_ack(device, parse(body)?),
            kind::SYNC_ACK => self.sync_ack(parse(body)?),
            kind::DONE => done(ends, parse_from(body, self.done_size())?),
            kind::LOG if self.version() > 0 => {
                self.log.add(parse(body)?);
                Ok(())
            }
            kind::HEARTBEAT if self.version() > 0 => {
                let Heartbeat { job, progress } = parse(body)?;
                device.heartbeat(job, progress);
                Ok(())
            }
            kind::FAULT => {
                let fault: Fault = parse(body)?;
                pr_err!(
                    "device fault {} on message kind {:#x}\n",
                    fault.status,
                    fault.kind
                );
                device.lose();
                Ok(())
            }
            _ => Err(EPROTO),
        }
    }

    fn hello_ack(&self, device: &Device<Apu>, ack: HelloAck) -> Result {
        let connection = self.greeted()?;
        if !(VERSION_MIN..=VERSION_MAX).contains(&ack.version) {
            pr_err!(
                "no common protocol version: host {}..={}, firmware {}..={}\n",
                VERSION_MIN,
                VERSION_MAX,
                ack.version_min,
                ack.version_max
            );
            return Err(EPROTO);
        }
        if ack.addressing != self.memory.addressing() {
            pr_err!(
                "addressing: the host has {}, the firmware {}\n",
                self.memory.addressing(),
                ack.addressing
            );
            return Err(EPROTO);
        }
        let online = describe(&ack, &*self.memory).ok_or(EPROTO)?;
        let open = || {
            let mut state = self.state.lock();
            if state.connection == connection {
                state.phase = Phase::Online(ack);
            }
        };
        device.attach(online, open).inspect_err(|error| {
            pr_err!("can't take the device into service: {:?}\n", error);
            device.lose();
        })
    }

    /// The connection that was greeted; each is answered once.
    fn greeted(&self) -> Result<u64> {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Greeting) {
            return Err(EPROTO);
        }
        state.phase = Phase::Closed;
        Ok(state.connection)
    }

    fn sync_ack(&self, ack: SyncAck) -> Result {
        let mut state = self.state.lock();
        if ack.cookie <= state.answered || ack.cookie > state.asked {
            return Err(EPROTO);
        }
        state.answered = ack.cookie;
        self.acked.notify_all();
        Ok(())
    }
}

/// The first message of a packet, and the rest.
fn split_first(packet: &[u8]) -> Result<(&[u8], &[u8])> {
    let (header, _) = Header::read_from_prefix(packet).map_err(|_| EPROTO)?;
    let length = usize::from(header.length);
    if header.magic != MAGIC || !(size_of::<Header>()..=MAX_MESSAGE).contains(&length) {
        return Err(EPROTO);
    }
    packet.split_at_checked(length).ok_or(EPROTO)
}

/// Jobs that a core of the device gets at once, for each of two kinds: several if it chooses the
/// most urgent one and says which one it runs.
fn core_jobs(ack: &HelloAck) -> u32 {
    if ack.heartbeat_ms == 0 {
        return 1;
    }
    let each = ack.job_max / ack.core_count.max(1) / 2;
    each.clamp(1, Apu::LIMITS.core_jobs)
}

/// Reads a body, which may have grown at its end.
fn parse<B: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<B> {
    let (body, _) = B::read_from_prefix(bytes).map_err(|_| EPROTO)?;
    Ok(body)
}

/// Reads a body that has `least` bytes in the version of now, and had fewer than `B` before. What
/// is missing is zero.
fn parse_from<B: FromBytes + IntoBytes>(bytes: &[u8], least: usize) -> Result<B> {
    let known = bytes.get(..size_of::<B>()).unwrap_or(bytes);
    if known.len() < least {
        return Err(EPROTO);
    }
    let mut body = B::new_zeroed();
    if let Some(start) = body.as_mut_bytes().get_mut(..known.len()) {
        start.copy_from_slice(known);
    }
    Ok(body)
}

/// What the framework needs to know of a device, or None when it can't be true.
fn describe(ack: &HelloAck, memory: &dyn Memory) -> Option<Online> {
    let page = PAGE_SIZE as u64;
    let va_ok = ack.va_start < ack.va_end
        && ack.va_end <= memory.va_end()
        && ack.va_start.is_multiple_of(page)
        && ack.va_end.is_multiple_of(page);
    let counts_ok =
        (1..=64).contains(&ack.core_count) && ack.vm_max >= 1 && ack.job_max >= ack.core_count;
    (va_ok && counts_ok).then_some(Online {
        cores: ack.core_count,
        va: ack.va_start..ack.va_end,
        windows: memory.windows(),
        vms: ack.vm_max as usize,
        core_jobs: core_jobs(ack),
    })
}

fn done(ends: &mut Ends<'_, Apu>, done: Done) -> Result {
    let report = Report {
        status: done.status,
        detail: done.detail,
        op: done.op,
        address: done.address,
    };
    let outcome = match done.status {
        status::OK => Outcome::Done,
        status::CANCELLED => Outcome::Cancelled(report),
        status::ADDRESS_FAULT => Outcome::Faulted(report),
        status::REJECTED | status::BAD_HANDLE | status::WRONG_TARGET => Outcome::Rejected(report),
        status::DEVICE_ERROR => Outcome::Lost(report),
        _ => return Err(EPROTO),
    };
    if done.end_ns < done.start_ns {
        return Err(EPROTO);
    }
    let time = JobTime {
        start_ns: done.start_ns,
        end_ns: done.end_ns,
        cycles: done.cycles,
    };
    ends.complete(done.job, outcome, time).map_err(|_| EPROTO)
}
