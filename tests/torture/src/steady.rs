//! A client that does everything right: whatever happens around it, a job that ended well is exact.

use anyhow::Result;
use apu_conformance::Bench;
use apu_conformance::bench::PATIENCE;
use apu_conformance::uapi::QUEUE_OK;

use nix::errno::Errno;

use crate::client::ready;
use crate::counts::{Counts, count};

/// Jobs on one VM before a new file is opened.
const JOBS: usize = 200;

/// Runs jobs until it is killed.
pub fn main(seed: u64, counts: &Counts) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let bench = ready();
        for _ in 0..JOBS {
            if !run(&bench, random.i32(..), counts) {
                count(&counts.lost);
                break;
            }
        }
    }
}

/// Whether the job ended well.
fn run(bench: &Bench, seed: i32, counts: &Counts) -> bool {
    bench.work.fill(seed);
    let Ok(job) = bench.submit(|_| ()) else {
        return false;
    };
    match bench.node.wait(job, PATIENCE) {
        Ok(()) => {}
        // The node is gone.
        Err(Errno::ENODEV) => return false,
        Err(stuck) => {
            // Nothing may keep a fence from signalling, least of all dead hardware.
            println!("wrong: waiting for a job ends with {stuck:?}");
            count(&counts.wrong);
            return false;
        }
    }
    if !bench.state().is_ok_and(|state| state.state == QUEUE_OK) {
        return false;
    }
    match bench.work.is_copied(seed) {
        Ok(()) => count(&counts.exact),
        Err(difference) => {
            println!("wrong: {difference}");
            count(&counts.wrong);
        }
    }
    let _ = bench.node.forget(job);
    true
}
