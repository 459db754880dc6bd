//! `apu-simd` in the guest: the device's hardware.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The line that the daemon prints once the driver has accepted it.
const READY: &str = "online";
/// The handshake takes milliseconds; a guest with all checks on is slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that is online.
pub struct Daemon(Child);

impl Daemon {
    /// Starts the daemon and waits until the device is online.
    pub fn start(program: &OsStr) -> Result<Self> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let said = child
            .stdout
            .take()
            .context("the daemon's output is a pipe")?;
        let (ready, online) = channel();
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if line == READY {
                    let _ = ready.send(());
                }
            }
        });
        match online.recv_timeout(PATIENCE) {
            Ok(()) => Ok(Self(child)),
            Err(RecvTimeoutError::Timeout) => {
                bail!("apu-simd did not say {READY:?} within {PATIENCE:?}")
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("apu-simd ended before it was online: {}", child.wait()?)
            }
        }
    }

    /// Stops the daemon. Returns a complaint if it had ended by a signal before; a test may well
    /// have killed it on purpose, which SIGKILL tells.
    pub fn stop(&mut self) -> Result<Option<String>> {
        use std::os::unix::process::ExitStatusExt;
        let crashed = |status: ExitStatus| {
            status
                .signal()
                .is_some_and(|signal| signal != Signal::KILL.as_raw())
        };
        if let Some(status) = self.0.try_wait()? {
            return Ok(crashed(status).then(|| format!("apu-simd crashed: {status}")));
        }
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM)?;
        self.0.wait()?;
        Ok(None)
    }
}
