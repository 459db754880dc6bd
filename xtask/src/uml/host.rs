//! The host's side of a guest: boots it, relays the standard streams, leaves nothing behind.
//!
//! The guest's standard input is one end of a socket pair, which the kernel presents as its first
//! serial line; its standard output is the kernel's console. It dies with xtask however that ends:
//! by its group on Ctrl-C, by the parent-death signal, and by itself when the line closes.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write, pipe, stderr, stdin, stdout};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::command;
use crate::daemon::{Daemon, ONLINE};

use super::wire::{Frame, INPUT_CHUNK, Job, Outcome};
use super::{TIMED_OUT, log, terminal};

/// Exit status after Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Exit status of a program whose reader has gone, as SIGPIPE gives it.
const NO_READER: u8 = 141;
/// How long a guest takes to power off, at most.
const GOODBYE: Duration = Duration::from_secs(20);

/// A guest to be.
pub struct Guest {
    /// The kernel: a program of the host.
    pub image: PathBuf,
    /// Folder of the modules that it loads.
    pub modules: Option<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Longest life.
    pub timeout: Duration,
    /// More for the kernel's command line.
    pub arguments: Vec<String>,
    /// Where the kernel log goes.
    pub log: PathBuf,
    /// The remote core on this side, which must be online before the job.
    pub core: Option<Daemon>,
}

impl Guest {
    /// Boots, runs `job`, shuts down. What the kernel complained about is part of the outcome.
    pub fn run(&mut self, job: &Job) -> Result<Outcome> {
        let scratch = TempDir::with_prefix("tinyapu-uml-").context("creating a scratch folder")?;
        let (line, guest_line) = UnixStream::pair()?;
        let (console, guest_console) = pipe()?;
        let mut child = self.boot(scratch.path(), guest_line.into(), guest_console.into())?;
        let stopper = Stopper::new(&child);
        let logged = keep(console, &self.log)?;
        // Stays open until the guest has ended: it does not bear to see its line closed.
        let outcome = self.converse(job, line.try_clone()?, &stopper);
        stopper.expect_end(&mut child)?;
        let _ = logged.join();
        let mut outcome = self.verdict(outcome, &stopper)?;
        if let Some(core) = &mut self.core {
            outcome.complaints.extend(core.stop()?);
        }
        Ok(outcome)
    }

    fn boot(&self, scratch: &Path, line: OwnedFd, console: OwnedFd) -> Result<Child> {
        let xtask = std::env::current_exe()?;
        let mut linux = command::bound_to_us(self.image.as_os_str(), "KILL");
        linux.args([
            "root=/dev/root",
            "rootfstype=hostfs",
            "rw",
            "panic=-1",
            "oops=panic",
            "seccomp=on",
        ]);
        linux.args([
            "console=tty0",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            "ssl0=fd:0",
        ]);
        linux
            .arg(format!("mem={}M", self.memory))
            .arg(format!("ncpus={}", self.cpus));
        linux
            .arg(format!("uml_dir={}", scratch.display()))
            .arg(format!("init={}", xtask.display()));
        linux.args(&self.arguments);
        linux.args(["--", "guest"]).args(&self.modules);
        if !fits_shared_memory(self.memory) {
            linux.env("TMPDIR", std::env::temp_dir());
        }
        linux
            .stdin(line)
            .stdout(console.try_clone()?)
            .stderr(console)
            .process_group(0);
        linux
            .spawn()
            .with_context(|| format!("starting {}", self.image.display()))
    }

    /// Sends the job and relays until the outcome.
    fn converse(&mut self, job: &Job, mut line: UnixStream, stopper: &Stopper) -> Result<Outcome> {
        let _watch = stopper.watch(self.timeout)?;
        let _raw = job.terminal.map(|_| terminal::Raw::enter()).transpose()?;
        match Frame::read(&mut line).context("the guest did not come up")? {
            Frame::Ready => {}
            other => bail!("the guest began with {other:?}"),
        }
        if let Some(core) = &mut self.core {
            core.expect(ONLINE)?;
        }
        let (taken, permits) = channel();
        let feeder = Feeder {
            line: line.try_clone()?,
            permits,
        };
        let job = serde_json::to_vec(job)?;
        thread::spawn(move || feeder.feed(&job));
        relay(line, &taken, stopper)
    }

    fn verdict(&self, outcome: Result<Outcome>, stopper: &Stopper) -> Result<Outcome> {
        let log = fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let mut complaints = log::complaints(&log);
        if let Some(status) = stopper.reason() {
            if status == TIMED_OUT {
                eprintln!(
                    "the guest was still running after {:?} and was stopped",
                    self.timeout
                );
            }
            return Ok(Outcome { status, complaints });
        }
        match outcome {
            Ok(outcome) => {
                complaints.extend(outcome.complaints);
                Ok(Outcome {
                    complaints,
                    ..outcome
                })
            }
            Err(_) if !complaints.is_empty() => Ok(Outcome {
                status: super::KERNEL_FAULT,
                complaints,
            }),
            Err(error) => {
                let tail: Vec<&str> = log.lines().rev().take(10).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                Err(anyhow!(
                    "{error:#}; end of {}:\n{}",
                    self.log.display(),
                    tail.join("\n")
                ))
            }
        }
    }
}

/// Whether `/dev/shm`, where User Mode Linux keeps its memory, has room for so many MiB. In a container
/// it may not.
fn fits_shared_memory(memory: u32) -> bool {
    let room = rustix::fs::statvfs("/dev/shm").map_or(0, |shm| shm.f_bavail * shm.f_frsize);
    room >= u64::from(memory) << 20
}

/// Writes the console to the log while it comes.
fn keep(mut console: impl Read + Send + 'static, log: &Path) -> Result<thread::JoinHandle<()>> {
    let mut file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    Ok(thread::spawn(move || {
        let _ = io::copy(&mut console, &mut file);
    }))
}

/// Sends to the guest, at its pace.
struct Feeder {
    line: UnixStream,
    permits: Receiver<()>,
}

impl Feeder {
    /// Sends the job and then standard input. The thread that does may outlive the guest in a read;
    /// it ends with the process.
    fn feed(mut self, job: &[u8]) {
        let chunks = job.chunks(INPUT_CHUNK).chain([[].as_slice()]);
        let sent = chunks
            .map(<[u8]>::to_vec)
            .try_for_each(|chunk| self.send(Frame::Job(chunk)));
        let mut chunk = vec![0; INPUT_CHUNK];
        let mut open = sent.is_ok();
        while open {
            let bytes = match stdin().lock().read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(length) => chunk.get(..length).unwrap_or_default().to_vec(),
                Err(_) => Vec::new(),
            };
            open = !bytes.is_empty();
            open &= self.send(Frame::Stdin(bytes)).is_ok();
        }
    }

    fn send(&mut self, frame: Frame) -> Result<()> {
        frame.write(&mut self.line)?;
        self.permits.recv().context("the guest is gone")
    }
}

fn relay(mut line: UnixStream, taken: &Sender<()>, stopper: &Stopper) -> Result<Outcome> {
    loop {
        let written = match Frame::read(&mut line).context("the guest ended early")? {
            Frame::Stdout(bytes) => stdout().write_all(&bytes).and_then(|()| stdout().flush()),
            Frame::Stderr(bytes) => stderr().write_all(&bytes),
            Frame::Taken => {
                let _ = taken.send(());
                Ok(())
            }
            Frame::Outcome(outcome) => return Ok(outcome),
            Frame::Failed(why) => bail!("{why}"),
            other => bail!("the guest sent {other:?}"),
        };
        if written.is_err() {
            stopper.stop(NO_READER);
        }
    }
}

/// Ends the guest, for one reason, from any thread.
#[derive(Clone)]
struct Stopper {
    group: Arc<Mutex<Option<Pid>>>,
    reason: Arc<AtomicU8>,
}

impl Stopper {
    fn new(child: &Child) -> Self {
        let group = Arc::new(Mutex::new(Some(Pid::from_child(child))));
        Self {
            group,
            reason: Arc::default(),
        }
    }

    /// Kills the guest's process group, unless it has been waited for already.
    fn stop(&self, reason: u8) {
        if let Some(group) = *self.group.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = self
                .reason
                .compare_exchange(0, reason, Ordering::Relaxed, Ordering::Relaxed);
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn reason(&self) -> Option<u8> {
        Some(self.reason.load(Ordering::Relaxed)).filter(|reason| *reason != 0)
    }

    /// Stops the guest on Ctrl-C and after `timeout`, until the returned sender is dropped.
    fn watch(&self, timeout: Duration) -> Result<Sender<()>> {
        let on_signal = self.clone();
        ctrlc::set_handler(move || on_signal.stop(INTERRUPTED))?;
        let on_timeout = self.clone();
        let (watched, over) = channel();
        thread::spawn(move || {
            if over.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
                on_timeout.stop(TIMED_OUT);
            }
        });
        Ok(watched)
    }

    /// Waits for the guest to power off, by force if need be.
    fn expect_end(&self, child: &mut Child) -> Result<()> {
        let forced = self.clone();
        let (waited, over) = channel::<()>();
        thread::spawn(move || {
            if over.recv_timeout(GOODBYE) == Err(RecvTimeoutError::Timeout) {
                forced.stop(super::NO_RUN);
            }
        });
        child.wait().context("waiting for the guest")?;
        // The group is gone or about to be; its number may be another's from now on.
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = None;
        drop(waited);
        Ok(())
    }
}
