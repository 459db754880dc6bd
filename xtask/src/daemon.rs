//! `apu-simd`, the device's hardware: in the guest behind the driver's control node, or on the host
//! behind a socket.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The line that the daemon prints once its socket is there.
pub const LISTENING: &str = "listening";
/// The line that the daemon prints once the driver has accepted it.
pub const ONLINE: &str = "online";
/// Both take milliseconds; a guest with all checks on is slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    said: Receiver<String>,
}

impl Daemon {
    /// Starts the daemon.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let output = child
            .stdout
            .take()
            .context("the daemon's output is a pipe")?;
        let (line, said) = channel();
        thread::spawn(move || {
            // Read to the end, whether or not anybody listens, so that the daemon can go on.
            for said in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = line.send(said);
            }
        });
        Ok(Self { child, said })
    }

    /// Waits until the daemon says `line`.
    pub fn expect(&mut self, line: &str) -> Result<()> {
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(said) if said == line => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("apu-simd did not say {line:?} within {PATIENCE:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "apu-simd ended before it said {line:?}: {}",
                        self.child.wait()?
                    )
                }
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
        if let Some(status) = self.child.try_wait()? {
            return Ok(crashed(status).then(|| format!("apu-simd crashed: {status}")));
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(None)
    }
}
