//! The simulated hardware, which dies, hangs and lies, or the remote core, whose driver is taken away.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::counts::{Counts, count};

/// Longer than a driver takes to see that its hardware hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the daemon die in mid-job.
const DIE: &str = "--die-after-runs";

/// One life of the daemon: what it is told to do wrong, and how long it may. Whatever isn't its death
/// in mid-job comes once clients got somewhere, or at `until`.
pub fn live(
    simd: &Path,
    random: &mut fastrand::Rng,
    counts: &Counts,
    until: Instant,
) -> Result<()> {
    let (runs, steps) = (random.u32(0..24), random.u64(1..60));
    let (fault, patience) = match random.u32(0..20) {
        0 => (Some("--hang-after-runs"), Duration::from_millis(600)),
        1 | 2 => (Some("--garbage-after-runs"), Duration::from_millis(300)),
        3 => (None, Duration::from_millis(random.u64(0..200))),
        _ => (Some(DIE), PATIENCE),
    };
    let mut daemon = Command::new(simd);
    if let Some(fault) = fault {
        daemon.arg(format!("{fault}={runs}"));
    }
    let mut daemon = daemon
        .args(["--cores", &random.u32(1..=2).to_string()])
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| simd.display().to_string())?;
    let online = online(&mut daemon);
    if fault != Some(DIE) {
        counts.wait_for_progress(steps, until.min(Instant::now() + PATIENCE));
    }
    let died = online && ended_within(&mut daemon, patience)?;
    count(if died { &counts.deaths } else { &counts.losses });
    let _ = daemon.kill();
    daemon.wait()?;
    Ok(())
}

fn online(daemon: &mut Child) -> bool {
    let output = daemon.stdout.take().into_iter();
    output
        .flat_map(|output| BufReader::new(output).lines())
        .map_while(Result::ok)
        .any(|line| line == "online")
}

/// Whether it was killed by itself.
fn ended_within(daemon: &mut Child, patience: Duration) -> Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if let Some(status) = daemon.try_wait()? {
            return Ok(status.signal().is_some());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

/// A device of the rpmsg bus that the driver is bound to.
pub struct Channel {
    driver: PathBuf,
    device: String,
}

impl Channel {
    /// The first one, if there is one.
    pub fn find() -> Option<Self> {
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        entries("/sys/bus/rpmsg/drivers".as_ref()).find_map(|driver| {
            let driver = driver.path();
            let device = entries(&driver)
                .find(|entry| entry.file_name().to_string_lossy().contains(".apu."))?;
            Some(Self {
                device: device.file_name().to_string_lossy().into_owned(),
                driver,
            })
        })
    }

    /// Takes the driver away, and gives it back.
    pub fn rebind(&self, random: &mut fastrand::Rng, counts: &Counts) -> Result<()> {
        for (file, longest) in [("unbind", 1500), ("bind", 100)] {
            std::thread::sleep(Duration::from_millis(random.u64(0..longest)));
            let path = self.driver.join(file);
            if let Err(error) = fs::write(&path, &self.device) {
                bail!("{} to {}: {error}", self.device, path.display());
            }
        }
        count(&counts.rebinds);
        Ok(())
    }
}
