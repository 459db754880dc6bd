//! Several processes at once: what they get together, and whether it is shared fairly.

use std::io::{BufRead, BufReader, Write, stdin};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apu_conformance::Bench;
use apu_conformance::program::Program;
use clap::Args;
use serde::Serialize;

use crate::floor::Floor;
use crate::jobs;
use crate::turns::median;

/// How many clients there are.
pub const NUMBERS: [usize; 4] = [1, 4, 16, 64];
const ROUNDS: usize = 5;
/// How long a round is at least.
const TIME: Duration = Duration::from_millis(400);
/// How long it is for each client: enough for several batches of the slower jobs.
const TIME_OF_EACH: Duration = Duration::from_millis(50);

/// So many clients.
#[derive(Serialize)]
pub struct Clients {
    /// How many.
    clients: usize,
    /// Of all together; the median of some rounds.
    jobs_per_second: f64,
    /// Share of what one client alone has in the same round; the median.
    to_one: f64,
    /// The same share where each wakes another process and waits for it, instead of running jobs.
    floor_to_one: f64,
    /// Jain's index of what each gets in all rounds: 1 is fair.
    fairness: f64,
}

/// What a client does.
#[derive(Args)]
pub struct Client {
    /// Operators of some 0.1 ms in each job
    operators: usize,
}

/// Measures each number of clients, with jobs of so many operators of some 0.1 ms.
pub fn measure(device: &Path, numbers: &[usize], operators: usize) -> Result<Vec<Clients>> {
    let client = Client { operators };
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
    let (mut rates, mut shares, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let mut each = vec![0.0; number];
    let time = TIME.max(TIME_OF_EACH.saturating_mul(number.try_into()?));
    for _ in 0..ROUNDS {
        let (one, _) = at_once(&mut processes[..1], "jobs", TIME)?;
        let (all, of_each) = at_once(&mut processes[..number], "jobs", time)?;
        rates.push(all);
        shares.push(all / one);
        each.iter_mut()
            .zip(of_each)
            .for_each(|(sum, rate)| *sum += rate);
        let (one, _) = at_once(&mut processes[..1], "floor", TIME)?;
        let (all, _) = at_once(&mut processes[..number], "floor", TIME)?;
        floors.push(all / one);
    }
    let sum: f64 = each.iter().sum();
    let squares: f64 = each.iter().map(|rate| rate * rate).sum();
    Ok(Clients {
        clients: number,
        jobs_per_second: median(rates),
        to_one: median(shares),
        floor_to_one: median(floors),
        fairness: sum * sum / (number as f64 * squares),
    })
}

/// What some clients do in a second at the same time, together and each.
fn at_once(processes: &mut [Process], what: &str, time: Duration) -> Result<(f64, Vec<f64>)> {
    for process in &mut *processes {
        writeln!(process.orders, "{what} {}", time.as_millis())?;
    }
    let mut rates = Vec::new();
    for process in processes {
        let count: f64 = process.line()?.parse().context("a number")?;
        rates.push(count / time.as_secs_f64());
    }
    Ok((rates.iter().sum(), rates))
}

/// A client that waits for orders.
struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(device: &Path, client: &Client) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(device)
            .arg("client")
            .arg(client.operators.to_string())
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

/// One client: each line on standard input says what to do, and for how many milliseconds.
pub fn run(bench: &Bench, client: &Client) -> Result<()> {
    let work = match client.operators {
        0 => Program::nothing(bench.device.target),
        operators => Program::slow(operators, bench.device.target),
    };
    let work = bench.load(&work)?;
    let syncobjs = jobs::syncobjs(bench, jobs::DEPTH)?;
    jobs::many(bench, &syncobjs, &work, 1)?;
    let floor = Floor::new()?;
    println!("ready");
    for line in stdin().lines() {
        let line = line?;
        let (what, time) = line.split_once(' ').context("what to do, and how long")?;
        let time = Duration::from_millis(time.parse().context("milliseconds")?);
        let count = match what {
            "jobs" => jobs::during(bench, &syncobjs, &work, time)?,
            "floor" => floor.during(time)?,
            _ => bail!("{what} is neither jobs nor floor"),
        };
        println!("{count}");
    }
    Ok(())
}
