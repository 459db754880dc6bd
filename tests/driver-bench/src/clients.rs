//! Several processes at once: what they get together, and whether it is shared fairly.

use std::io::{BufRead, BufReader, Write, stdin};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use apu_conformance::Bench;
use apu_conformance::program::Program;
use clap::Args;
use serde::Serialize;

use crate::jobs;

const NUMBERS: [usize; 4] = [1, 4, 16, 64];
const TIME: Duration = Duration::from_millis(1500);
/// Batches between two looks at the clock.
const BATCHES: u32 = 2;

/// So many clients.
#[derive(Serialize)]
pub struct Clients {
    /// How many.
    clients: usize,
    /// Of all together.
    jobs_per_second: f64,
    /// Share of what one client alone has.
    to_one: f64,
    /// Jain's index of what each gets: 1 is fair.
    fairness: f64,
}

/// What a client does.
#[derive(Args)]
pub struct Client {
    /// For how long
    milliseconds: u128,
    /// Operators of some 0.1 ms in each job
    operators: usize,
}

/// Measures each number of clients whose jobs have so many operators of some 0.1 ms.
pub fn measure(device: &Path, operators: usize) -> Result<Vec<Clients>> {
    let client = Client {
        milliseconds: TIME.as_millis(),
        operators,
    };
    let mut rows: Vec<Clients> = Vec::new();
    for number in NUMBERS {
        let jobs = at_once(device, &client, number)?;
        let sum: f64 = jobs.iter().sum();
        let squares: f64 = jobs.iter().map(|jobs| jobs * jobs).sum();
        let rate = sum / TIME.as_secs_f64();
        rows.push(Clients {
            clients: number,
            jobs_per_second: rate,
            to_one: rate / rows.first().map_or(rate, |one| one.jobs_per_second),
            fairness: sum * sum / (number as f64 * squares),
        });
    }
    Ok(rows)
}

/// Jobs of each of `number` clients that run at the same time.
fn at_once(device: &Path, client: &Client, number: usize) -> Result<Vec<f64>> {
    let start = |_| {
        Command::new(std::env::current_exe()?)
            .arg(device)
            .arg("client")
            .args([
                client.milliseconds.to_string(),
                client.operators.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a client")
    };
    let mut clients: Vec<Child> = (0..number).map(start).collect::<Result<_>>()?;
    let mut outputs = Vec::new();
    for client in &mut clients {
        let mut output = BufReader::new(client.stdout.take().context("a pipe")?);
        // It says that it is ready.
        output.read_line(&mut String::new())?;
        outputs.push(output);
    }
    for client in &mut clients {
        client.stdin.take().context("a pipe")?.write_all(b"go\n")?;
    }
    let mut jobs = Vec::new();
    for mut output in outputs {
        let mut line = String::new();
        output.read_line(&mut line)?;
        jobs.push(line.trim().parse().context("a number of jobs")?);
    }
    for client in &mut clients {
        client.wait()?;
    }
    Ok(jobs)
}

/// One client.
pub fn run(bench: &Bench, client: &Client) -> Result<()> {
    let work = match client.operators {
        0 => Program::nothing(bench.device.target),
        operators => Program::slow(operators, bench.device.target),
    };
    let work = bench.load(&work)?;
    let syncobjs = jobs::syncobjs(bench, jobs::DEPTH)?;
    jobs::many(bench, &syncobjs, &work, 1)?;
    println!("ready");
    stdin().read_line(&mut String::new())?;
    let (begin, mut done) = (Instant::now(), 0);
    while begin.elapsed().as_millis() < client.milliseconds {
        jobs::many(bench, &syncobjs, &work, BATCHES)?;
        done += BATCHES * jobs::BATCH;
    }
    println!("{done}");
    Ok(())
}
