//! A job that does nothing: there and back one by one, and with many under way.

use std::time::{Duration, Instant};

use anyhow::Result;
use apu_conformance::bench::{PATIENCE, Work, address};
use apu_conformance::node::Deadline;
use apu_conformance::program::Program;
use apu_conformance::uapi::Job;
use apu_conformance::{Bench, Kept, Unproven};
use nix::errno::Errno;
use serde::Serialize;

use crate::floor::Floor;
use crate::turns::{median, microseconds, switches};

/// Jobs of one submit when they are pipelined.
pub const BATCH: u32 = 32;
/// Batches under way, of 64 jobs together.
pub const DEPTH: usize = 2;
const ROUNDS: usize = 21;
const COUNT: u32 = 192;
/// Jobs that are pipelined.
const MANY: u32 = COUNT * 4;

/// Medians in microseconds, and medians of ratios.
#[derive(Serialize)]
pub struct Jobs {
    /// Two processes that wake each other, there and back.
    floor_us: f64,
    /// Submit to wait returned.
    job_us: f64,
    /// Of the two above.
    job_to_floor: f64,
    /// Of a job with 64 under way.
    pipelined_us: f64,
    /// Pipelined jobs in the time of one that isn't.
    pipelined_to_single: f64,
    /// Context switches there and back between two processes.
    floor_switches: f64,
    /// Context switches of a job.
    job_switches: f64,
    /// Context switches of a job with 64 under way.
    pipelined_switches: f64,
}

/// Measures all in turns.
pub fn measure(bench: &Bench) -> Result<Jobs> {
    let floor = Floor::new()?;
    let null = bench.load(&Program::nothing(bench.device.target))?;
    let syncobjs = syncobjs(bench, DEPTH)?;
    let (mut floors, mut singles, mut pipelined) = (Vec::new(), Vec::new(), Vec::new());
    let ping_pong = || (0..COUNT).try_for_each(|_| floor.round());
    let one_by_one = || {
        let deadline = deadline()?;
        (0..COUNT).try_for_each(|_| one(bench, syncobjs[0], &null, deadline))
    };
    let pipeline = || many(bench, &syncobjs, &null, MANY / BATCH);
    for round in 0..=ROUNDS {
        let around = microseconds(COUNT, ping_pong)?;
        let single = microseconds(COUNT, one_by_one)?;
        let piped = microseconds(MANY, pipeline)?;
        // The first round warms up.
        if round > 0 {
            floors.push(around);
            singles.push(single);
            pipelined.push(piped);
        }
    }
    let ratios = |over: &[f64], under: &[f64]| {
        median(
            over.iter()
                .zip(under)
                .map(|(over, under)| over / under)
                .collect(),
        )
    };
    Ok(Jobs {
        job_to_floor: ratios(&singles, &floors),
        pipelined_to_single: ratios(&singles, &pipelined),
        floor_us: median(floors),
        job_us: median(singles),
        pipelined_us: median(pipelined),
        floor_switches: switches(COUNT, ping_pong)?,
        job_switches: switches(COUNT, one_by_one)?,
        pipelined_switches: switches(MANY, pipeline)?,
    })
}

/// One job, to the end, which is in the syncobj `ended`.
fn one(bench: &Bench, ended: u32, work: &Work, deadline: Deadline) -> Kept {
    submit(bench, ended, work, 1)?;
    end(bench, ended, deadline)
}

/// `batches` times [`BATCH`] jobs, of which as many batches as there are `syncobjs` are under way.
pub fn many(bench: &Bench, syncobjs: &[u32], work: &Work, batches: u32) -> Kept {
    let deadline = deadline()?;
    let turns = || syncobjs.iter().cycle().take(batches as usize);
    for (index, ended) in turns().enumerate() {
        if index >= syncobjs.len() {
            end(bench, *ended, deadline)?;
        }
        submit(bench, *ended, work, BATCH)?;
    }
    // Jobs of a queue end in order.
    turns()
        .last()
        .map_or(Ok(()), |last| end(bench, *last, deadline))
}

/// Keeps a batch of [`BATCH`] jobs under way for each of `syncobjs`; how many jobs have ended within `time`.
pub fn during(bench: &Bench, syncobjs: &[u32], work: &Work, time: Duration) -> Kept<u32> {
    let deadline = deadline()?;
    let begin = Instant::now();
    for ended in syncobjs {
        submit(bench, *ended, work, BATCH)?;
    }
    let mut batches = 0;
    for ended in syncobjs.iter().cycle() {
        end(bench, *ended, deadline)?;
        if begin.elapsed() >= time {
            break;
        }
        batches += 1;
        submit(bench, *ended, work, BATCH)?;
    }
    for ended in syncobjs {
        end(bench, *ended, deadline)?;
    }
    Ok(batches * BATCH)
}

/// Syncobjs for the ends of `count` jobs.
pub fn syncobjs(bench: &Bench, count: usize) -> Kept<Vec<u32>> {
    let syncobj = |_| bench.node.syncobj(0).map_err(refused("SYNCOBJ_CREATE"));
    (0..count).map(syncobj).collect()
}

/// The last of `count` jobs signals `ended`.
fn submit(bench: &Bench, ended: u32, work: &Work, count: u32) -> Kept {
    let mut jobs = Vec::new();
    let submitted = bench.submit_until(ended, work, |parts| {
        let last = parts.jobs[0];
        let silent = Job {
            signal_count: 0,
            ..last
        };
        jobs.resize(count as usize - 1, silent);
        jobs.push(last);
        parts.submit.jobs = address(jobs.as_slice());
        parts.submit.job_count = count;
    });
    submitted.map_err(refused("SUBMIT"))
}

/// For the waits of one measurement.
fn deadline() -> Kept<Deadline> {
    Deadline::after(PATIENCE).map_err(refused("clock_gettime"))
}

fn end(bench: &Bench, job: u32, deadline: Deadline) -> Kept {
    let waited = bench.node.wait_until(job, deadline);
    waited.map_err(refused("SYNCOBJ_WAIT"))
}

fn refused(call: &'static str) -> impl Fn(Errno) -> Unproven {
    move |errno| Unproven::broken(format!("{call}: {errno:?}"))
}
