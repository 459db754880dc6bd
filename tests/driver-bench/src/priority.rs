//! How long an urgent job waits while others have filled the device.

use std::time::Instant;

use anyhow::{Result, ensure};
use apu_conformance::Bench;
use apu_conformance::program::Program;
use apu_conformance::uapi::{PRIORITY_HIGH, PRIORITY_NORMAL};
use serde::Serialize;

use crate::turns::median;

const ROUNDS: usize = 11;
/// Jobs that wait when the urgent one comes.
const WAITING: usize = 16;

/// Medians.
#[derive(Serialize)]
pub struct Priority {
    /// Of one job alone, in milliseconds.
    job_ms: f64,
    /// From the urgent job's submit to its end, in such jobs: its own time is one of them.
    urgent_in_jobs: f64,
}

/// Measures alone and among others in turns.
pub fn measure(bench: &Bench) -> Result<Priority> {
    let work = bench.load(&Program::slow(32, bench.device.target))?;
    let queue =
        |priority| bench.create_queue(|queue| (queue.priority, queue.core_mask) = (priority, 1));
    let (normal, urgent) = (queue(PRIORITY_NORMAL)?, queue(PRIORITY_HIGH)?);
    let submit = |queue| bench.submit_work(&work, |s| s.submit.queue_id = queue);
    let (mut alone, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        bench.ends(submit(urgent)?)?;
        let one = begin.elapsed().as_secs_f64();
        let mut last = 0;
        for _ in 0..WAITING {
            last = submit(normal)?;
        }
        let begin = Instant::now();
        bench.ends(submit(urgent)?)?;
        waits.push(begin.elapsed().as_secs_f64() / one);
        alone.push(one * 1e3);
        bench.ends(last)?;
    }
    ensure!(!waits.is_empty(), "no rounds");
    Ok(Priority {
        job_ms: median(alone),
        urgent_in_jobs: median(waits),
    })
}
