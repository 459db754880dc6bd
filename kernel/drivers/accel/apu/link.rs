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
        Envelope, //
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
        Hello,
        HelloAck,
        Sync,
        SyncAck,
        MAGIC,
        MAX_MESSAGE,
        VERSION_MAX,
        VERSION_MIN, //
    },
    transport::Transport, //
};
use kernel::{
    drm::accel::tiny::{
        Device,
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
    time::msecs_to_jiffies, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    KnownLayout, //
};

/// Longest time from a SYNC to its answer. An unmap waits for the running operator at most.
const SYNC_TIMEOUT_MS: u32 = 5000;

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

    /// Posts a message of `connection`, or fails with [`ENODEV`] when that is over.
    pub(crate) fn hand_over(&self, connection: u64, envelope: ListArc<Envelope>) -> Result {
        self.history.note(Direction::Out, envelope.bytes());
        self.transport.post(connection, envelope)
    }

    /// Waits until all that was posted before has taken effect, or fails with [`ENODEV`] when the
    /// connection is over, [`ETIMEDOUT`], or [`EINTR`] when `killable` and the caller was killed.
    pub(crate) fn sync(&self, connection: u64, blank: Blank, killable: bool) -> Result {
        let mut state = self.state.lock();
        state.asked += 1;
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

    /// Takes a message from the firmware.
    pub(crate) fn receive(&self, device: &Device<Apu>, bytes: &[u8]) -> Result {
        self.history.note(Direction::In, bytes);
        let (header, body) = Header::read_from_prefix(bytes).map_err(|_| EPROTO)?;
        if header.magic != MAGIC
            || usize::from(header.length) != bytes.len()
            || bytes.len() > MAX_MESSAGE
        {
            return Err(EPROTO);
        }
        match header.kind {
            kind::HELLO_ACK => self.hello_ack(device, parse(body)?),
            kind::SYNC_ACK => self.sync_ack(parse(body)?),
            kind::DONE => done(device, parse(body)?),
            kind::LOG if self.version() >= 2 => {
                self.log.add(parse(body)?);
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

/// Reads a body, which may have grown at its end.
fn parse<B: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<B> {
    let (body, _) = B::read_from_prefix(bytes).map_err(|_| EPROTO)?;
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
    })
}

fn done(device: &Device<Apu>, done: Done) -> Result {
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
    };
    device.complete(done.job, outcome, time).map_err(|_| EPROTO)
}
