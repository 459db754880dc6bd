//! The simulated hardware, started and killed by a test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::skip::Skip;

/// Names the `apu-simd` to start, where none runs yet.
pub const VARIABLE: &str = "APU_TEST_SIMD";

/// The right to decide whether there is hardware, which one test at a time has.
pub struct Hardware {
    program: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Hardware {
    /// Waits for the other tests of this process.
    ///
    /// # Errors
    /// [`Skip`] when the environment names no daemon to start.
    pub fn take() -> Result<Self, Skip> {
        static ALONE: Mutex<()> = Mutex::new(());
        let program = std::env::var_os(VARIABLE)
            .ok_or_else(|| Skip(format!("{VARIABLE} names no apu-simd to start and kill")))?;
        // A test that failed left nothing behind but its panic: its daemon died with it.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self {
            program: program.into(),
            _alone: alone,
        })
    }

    /// Starts the daemon and waits until the driver has accepted it.
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let stdout = child.stdout.take().expect("it is a pipe");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let online = lines.any(|line| line == "online");
        let daemon = Daemon(child);
        assert!(
            online,
            "{} ended before it was online",
            self.program.display()
        );
        daemon
    }
}

/// A daemon that is killed when its owner lets go of it.
pub struct Daemon(Child);

impl Daemon {
    /// Lets it do nothing more, without going. Returns when all of its threads have stopped.
    pub fn freeze(&self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).expect("it has not been waited for");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("it is our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have died by itself; that is what some tests are about.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
