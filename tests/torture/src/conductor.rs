//! Starts the clients, kills some, plays fate for the hardware, and judges at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client;
use crate::counts::{Counts, Numbers, count};
use crate::hardware::{self, Channel};

/// How long it may take until a client has its first result.
const FIRST: Duration = Duration::from_secs(120);

/// Clients of each kind. Only fuzzers are killed before the end.
const FUZZERS: usize = 3;
const STEADY: usize = 2;

/// Who conducts.
pub struct Conductor<'a> {
    seed: u64,
    path: &'a Path,
    counts: &'a Counts,
    simd: Option<PathBuf>,
}

/// A client that is killed with its owner.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<'a> Conductor<'a> {
    pub fn new(seed: u64, path: &'a Path, counts: &'a Counts, simd: Option<PathBuf>) -> Self {
        Self {
            seed,
            path,
            counts,
            simd,
        }
    }

    /// Sees that jobs run, tortures for so long, then sees whether a client still gets what it should.
    pub fn run(&self, time: Duration) -> Result<ExitCode> {
        let failures = fail_quietly()?;
        let ended = self.start_steady().and_then(|_steady| {
            let until = Instant::now() + time;
            std::thread::scope(|scope| {
                let fate = scope.spawn(|| self.play_fate(until));
                let clients = self.tend_clients(until, failures);
                let fate = fate.join().unwrap_or_else(|_| panic!("fate panicked"));
                clients.and(fate)
            })
        });
        // The numbers are of use also when something went wrong.
        let afterwards = ended.and_then(|()| self.afterwards());
        print!("{}", **self.counts);
        let _ = fs::remove_file(self.path);
        afterwards?;
        let Numbers { wrong, fuzzed, .. } = &**self.counts;
        let fine = wrong.load(Relaxed) == 0 && fuzzed.load(Relaxed) > 0;
        println!(
            "torture: {} with seed {}",
            if fine { "ok" } else { "FAILED" },
            self.seed
        );
        Ok(if fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Starts those that do everything right, and waits until one has seen it go right.
    fn start_steady(&self) -> Result<Vec<Client>> {
        let _daemon = self.good_hardware()?;
        let mut random = fastrand::Rng::with_seed(self.seed.rotate_left(32));
        let steady = (0..STEADY).map(|_| self.start("steady", random.u64(..)));
        let steady = steady.collect::<Result<_>>()?;
        self.counts.wait_for_progress(1, Instant::now() + FIRST);
        let exact = self.counts.exact.load(Relaxed);
        ensure!(
            exact > 0,
            "no job ran within {FIRST:?}, with nothing wrong yet"
        );
        Ok(steady)
    }

    fn tend_clients(&self, until: Instant, failures: bool) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let memory = failures.then(|| self.start("memory", random.u64(..)));
        let _memory = memory.transpose()?;
        let fuzzers = (0..FUZZERS).map(|_| self.start("fuzz", random.u64(..)));
        let mut fuzzers: Vec<Client> = fuzzers.collect::<Result<_>>()?;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(random.u64(20..1500)));
            self.counts.wait_for_progress(random.u64(1..400), until);
            let victim = random.usize(0..FUZZERS);
            fuzzers[victim] = self.start("fuzz", random.u64(..))?;
            count(&self.counts.killed);
        }
        Ok(())
    }

    fn start(&self, role: &str, seed: u64) -> Result<Client> {
        let mut client = Command::new(std::env::current_exe()?);
        client
            .arg("--counts")
            .arg(self.path)
            .args(["--seed", &seed.to_string(), role]);
        Ok(Client(client.spawn().context("starting a client")?))
    }

    fn play_fate(&self, until: Instant) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(!self.seed);
        let channel = Channel::find();
        while Instant::now() < until {
            match (&self.simd, &channel) {
                (Some(simd), _) => hardware::live(simd, &mut random, self.counts, until)?,
                (None, Some(channel)) => {
                    self.counts.wait_for_progress(random.u64(1..60), until);
                    channel.rebind(&mut random, self.counts)?;
                }
                (None, None) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        Ok(())
    }

    /// Simulated hardware that does nothing wrong, if it is ours to play.
    fn good_hardware(&self) -> Result<Option<Client>> {
        let daemon = self.simd.as_ref().map(|simd| {
            let mut daemon = Command::new(simd);
            daemon.stdout(Stdio::null()).stderr(Stdio::null());
            daemon.spawn().with_context(|| simd.display().to_string())
        });
        Ok(daemon.transpose()?.map(Client))
    }

    /// With everybody gone and good hardware, jobs run.
    fn afterwards(&self) -> Result<()> {
        let _daemon = self.good_hardware()?;
        let bench = client::ready();
        for seed in 0..100 {
            let works = bench.works(seed);
            ensure!(works.is_ok(), "afterwards: {works:?}");
        }
        Ok(())
    }
}

/// Allocations that may sleep can fail too, and none of it is logged: it is the driver that is to be
/// heard. Whether this kernel can let allocations fail at all.
fn fail_quietly() -> Result<bool> {
    let failslab = Path::new("/sys/kernel/debug/failslab");
    if !failslab.exists() {
        println!("skipped: failing allocations: this kernel has no fault injection");
        return Ok(false);
    }
    for (file, value) in [("ignore-gfp-wait", "N"), ("verbose", "0")] {
        let path = failslab.join(file);
        fs::write(&path, value).with_context(|| path.display().to_string())?;
    }
    Ok(true)
}
