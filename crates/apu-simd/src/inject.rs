//! Faults on purpose, so that the driver's tests can see a device that dies, hangs or lies.

use apu_firmware::frame::Frame;
use apu_proto::message::{Done, HelloAck, MAGIC, NO_OP, SyncAck, kind, status};
use std::sync::atomic::{AtomicU64, Ordering};

/// What goes wrong, and at which job, counted from 0 over all cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The process is killed when this job begins.
    pub die: Option<u64>,
    /// This job and all later ones neither end nor can be cancelled.
    pub hang: Option<u64>,
    /// Before this job and each later one ends, the kernel gets [`hostile_messages`].
    pub garbage: Option<u64>,
}

/// Counts jobs and says what goes wrong.
#[derive(Debug, Default)]
pub struct Injector {
    faults: Faults,
    jobs: AtomicU64,
}

impl Injector {
    /// An injector that has seen no job.
    pub fn new(faults: Faults) -> Self {
        Self {
            faults,
            jobs: AtomicU64::new(0),
        }
    }

    /// Counts a job that begins and lets it die or hang if it is to. Returns whether it is to lie.
    pub fn begin(&self) -> bool {
        let job = self.jobs.fetch_add(1, Ordering::Relaxed);
        if self.faults.die == Some(job) {
            tracing::warn!(job, "dying as asked");
            // As sudden as it gets; a kill of oneself can't fail.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
        if self.faults.hang.is_some_and(|first| job >= first) {
            tracing::warn!(job, "hanging as asked");
            loop {
                std::thread::park();
            }
        }
        self.faults.garbage.is_some_and(|first| job >= first)
    }
}

/// Messages that a kernel must survive, with the reason why each is wrong.
pub fn hostile_messages() -> Vec<(&'static str, Vec<u8>)> {
    let sync_ack = Frame::new(&SyncAck { cookie: u64::MAX })
        .as_bytes()
        .to_vec();
    let patched = |at: usize, bytes: &[u8]| {
        let mut message = sync_ack.clone();
        for (byte, value) in message.iter_mut().skip(at).zip(bytes) {
            *byte = *value;
        }
        message
    };
    let done = |job, status, op| {
        let done = Done {
            job,
            status,
            detail: u32::MAX,
            op,
            pad: u32::MAX,
            address: u64::MAX,
            start_ns: u64::MAX,
            end_ns: 0,
            cycles: 0,
        };
        Frame::new(&done).as_bytes().to_vec()
    };
    let hello_ack = HelloAck {
        version: u32::MAX,
        version_min: u32::MAX,
        version_max: 0,
        core_count: u32::MAX,
        va_start: u64::MAX,
        va_end: 0,
        features: u64::MAX,
        target: [0xff; 32],
        vm_max: 0,
        job_max: 0,
        addressing: u32::MAX,
        heartbeat_ms: u32::MAX,
    };
    vec![
        ("no header", vec![0x41]),
        ("only a header", sync_ack[..8].to_vec()),
        ("cut off", sync_ack[..12].to_vec()),
        ("larger than any message", vec![0xff; 4096]),
        ("wrong magic", patched(0, &(!MAGIC).to_le_bytes())),
        ("unknown kind", patched(4, &[0xff, 0x7f])),
        (
            "kind of the other direction",
            patched(4, &kind::RUN.to_le_bytes()),
        ),
        ("length beyond the message", patched(6, &[0xff, 0xff])),
        ("length short of the body", patched(6, &[8, 0])),
        ("cookie nobody sent", sync_ack.clone()),
        ("job that was never sent", done(u64::MAX, status::OK, NO_OP)),
        ("job 0", done(0, status::OK, NO_OP)),
        ("status that doesn't exist", done(1, u32::MAX, 0)),
        (
            "HELLO_ACK that nobody asked for",
            Frame::new(&hello_ack).as_bytes().to_vec(),
        ),
    ]
}
