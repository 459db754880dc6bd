//! The floor: two processes that wake each other up by eventfds, once there and once back.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

/// Rounds between two looks at the clock.
const ROUNDS: u32 = 32;

/// The other process, which answers each event.
pub struct Floor {
    there: OwnedFd,
    back: OwnedFd,
    echo: Child,
}

impl Floor {
    /// Starts the other process.
    pub fn new() -> Result<Self> {
        // Without CLOEXEC: the other process inherits both.
        let event = || eventfd(0, EventfdFlags::empty()).context("eventfd");
        let (there, back) = (event()?, event()?);
        let names = [&there, &back].map(|event| event.as_raw_fd().to_string());
        let echo = Command::new(std::env::current_exe()?)
            .args(["/dev/null", "echo"])
            .args(names)
            .spawn()
            .context("starting the echo")?;
        Ok(Self { there, back, echo })
    }

    /// There and back.
    pub fn round(&self) -> Result<()> {
        write(&self.there, &1_u64.to_ne_bytes())?;
        read(&self.back, &mut [0; 8])?;
        Ok(())
    }

    /// How often it goes there and back within `time`.
    pub fn during(&self, time: Duration) -> Result<u32> {
        let (begin, mut rounds) = (Instant::now(), 0);
        loop {
            for _ in 0..ROUNDS {
                self.round()?;
            }
            if begin.elapsed() >= time {
                return Ok(rounds);
            }
            rounds += ROUNDS;
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.echo.kill();
        let _ = self.echo.wait();
    }
}

/// The other process.
pub fn echo(from: i32, to: i32) -> Result<()> {
    // SAFETY: whoever started this process left both open for it, and nobody here closes them.
    let (from, to) = unsafe { (BorrowedFd::borrow_raw(from), BorrowedFd::borrow_raw(to)) };
    loop {
        read(from, &mut [0; 8])?;
        write(to, &1_u64.to_ne_bytes())?;
    }
}
