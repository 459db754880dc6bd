//! A job that does nothing: there and back one by one, and with many under way.

use std::collections::VecDeque;

use anyhow::Result;
use apu_conformance::bench::{PATIENCE, Work};
use apu_conformance::program::Program;
use apu_conformance::{Bench, Kept};
use serde::Serialize;

use crate::floor::Floor;
use crate::turns::{median, microseconds};

/// Jobs under way when they are pipelined.
const DEPTH: usize = 64;
const ROUNDS: usize = 21;
const COUNT: u32 = 200;

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
}

/// Measures all in turns.
pub fn measure(bench: &Bench) -> Result<Jobs> {
    let floor = Floor::new()?;
    let null = bench.load(&Program::nothing(bench.device.target))?;
    let (mut floors, mut singles, mut pipelined) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let around = microseconds(COUNT, || (0..COUNT).try_for_each(|_| floor.round()))?;
        let single = microseconds(COUNT, || (0..COUNT).try_for_each(|_| one(bench, &null)))?;
        let pipeline = microseconds(COUNT * 4, || many(bench, &null, COUNT * 4))?;
        // The first round warms up.
        if round > 0 {
            floors.push(around);
            singles.push(single);
            pipelined.push(pipeline);
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
    })
}

/// One job, to the end.
fn one(bench: &Bench, work: &Work) -> Kept {
    let job = submit(bench, work)?;
    end(bench, job)
}

/// `count` jobs, of which [`DEPTH`] are under way.
pub fn many(bench: &Bench, work: &Work, count: u32) -> Kept {
    let mut under_way = VecDeque::with_capacity(DEPTH);
    for _ in 0..count {
        if under_way.len() == DEPTH
            && let Some(oldest) = under_way.pop_front()
        {
            end(bench, oldest)?;
        }
        under_way.push_back(submit(bench, work)?);
    }
    under_way.into_iter().try_for_each(|job| end(bench, job))
}

/// One job; its end is a syncobj.
fn submit(bench: &Bench, work: &Work) -> Kept<u32> {
    let submitted = bench.submit_work(work, |_| ());
    submitted.map_err(|errno| apu_conformance::Unproven::broken(format!("SUBMIT: {errno:?}")))
}

fn end(bench: &Bench, job: u32) -> Kept {
    let ended = bench
        .node
        .wait(job, PATIENCE)
        .and_then(|()| bench.node.forget(job));
    ended.map_err(|errno| apu_conformance::Unproven::broken(format!("wait: {errno:?}")))
}
