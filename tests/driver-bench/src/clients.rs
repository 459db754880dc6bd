//! Several processes at once: what they get together, and whether it is shared fairly.

use std::io::{BufRead, BufReader, Write, stdin};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use apu_conformance::Bench;
use apu_conformance::program::Program;
use clap::Args;
use serde::Serialize;

use crate::jobs;
use crate::turns::median;

/// How many clients there are.
pub const NUMBERS: [usize; 4] = [1, 4, 16, 64];
const TIME: Duration = Duration::from_millis(400);
const ROUNDS: usize = 5;
/// Batches between two looks at the clock.
const BATCHES: u32 = 2;

/// So many clients.
#[derive(Serialize)]
pub struct Clients {
    /// How many.
    clients: usize,
    /// Of all together; the median of some rounds.
    jobs_per_second: f64,
    /// Share of what one client alone has in the same round; the median.
    to_one: f64,
    /// Jain's index of what each gets in all rounds: 1 is fair.
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

/// Measures each number of clients, with jobs of so many operators of some 0.1 ms.
pub fn measure(device: &Path, numbers: &[usize], operators: usize) -> Result<Vec<Clients>> {
    let client = Client {
        milliseconds: TIME.as_millis(),
        operators,
    };
    let most = numbers.iter().max().copied().unwrap_or(1);
    let mut processes = (0..most)
        .map(|_| Process::start(device, &client))
        .collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for &number in numbers {
        rows.push(take_turns(&mut processes, number)?);
    }
    Ok(rows)
}

/// One client takes turns with several.
fn take_turns(processes: &mut [Process], number: usize) -> Result<Clients> {
    let (mut rates, mut shares) = (Vec::new(), Vec::new());
    let mut each = vec![0.0; number];
    for _ in 0..ROUNDS {
        let one: f64 = at_once(&mut processes[..1])?.iter().sum();
        let jobs = at_once(&mut processes[..number])?;
        let all: f64 = jobs.iter().sum();
        rates.push(all / TIME.as_secs_f64());
        shares.push(all / one);
        each.iter_mut()
            .zip(jobs)
            .for_each(|(sum, jobs)| *sum += jobs);
    }
    let sum: f64 = each.iter().sum();
    let squares: f64 = each.iter().map(|jobs| jobs * jobs).sum();
    Ok(Clients {
        clients: number,
        jobs_per_second: median(rates),
        to_one: median(shares),
        fairness: sum * sum / (number as f64 * squares),
    })
}

/// Jobs of each of some clients that run at the same time.
fn at_once(processes: &mut [Process]) -> Result<Vec<f64>> {
    for process in &mut *processes {
        process.orders.write_all(b"go\n")?;
    }
    let mut jobs = Vec::new();
    for process in processes {
        jobs.push(process.line()?.parse().context("a number of jobs")?);
    }
    Ok(jobs)
}

/// A client that waits for orders.
struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(device: &Path, client: &Client) -> Result<Self> {
        let numbers = [
            client.milliseconds.to_string(),
            client.operators.to_string(),
        ];
        let mut child = Command::new(std::env::current_exe()?)
            .arg(device)
            .arg("client")
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a client")?;
        let orders = child.stdin.take().context("a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut process = Self {
            child,
            orders,
            answers,
        };
        // It says that it is ready.
        process.line()?;
        Ok(process)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One client: runs jobs for each line on standard input.
pub fn run(bench: &Bench, client: &Client) -> Result<()> {
    let work = match client.operators {
        0 => Program::nothing(bench.device.target),
        operators => Program::slow(operators, bench.device.target),
    };
    let work = bench.load(&work)?;
    let syncobjs = jobs::syncobjs(bench, jobs::DEPTH)?;
    jobs::many(bench, &syncobjs, &work, 1)?;
    println!("ready");
    for line in stdin().lines() {
        line?;
        let (begin, mut done) = (Instant::now(), 0);
        while begin.elapsed().as_millis() < client.milliseconds {
            jobs::many(bench, &syncobjs, &work, BATCHES)?;
            done += BATCHES * jobs::BATCH;
        }
        println!("{done}");
    }
    Ok(())
}
