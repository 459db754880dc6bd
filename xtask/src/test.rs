//! `test`: everything, on a bare machine.

mod failure;
mod step;
mod steps;
pub mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;

use failure::{Failure, Watch};
use step::Step;
use tally::Tally;

/// Which steps.
#[derive(Args)]
pub struct Test {
    /// Only this step; may be given more than once
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Names the steps and ends
    #[arg(long)]
    list: bool,
}

/// A step that has been done.
struct Done {
    name: &'static str,
    took: Duration,
    tally: Tally,
    failures: Vec<Failure>,
}

/// Does the steps one after the other, whatever becomes of them, and reports.
pub fn main(test: &Test) -> Result<ExitCode> {
    let steps = steps::all();
    if test.list {
        steps
            .iter()
            .for_each(|step| println!("{:<14} {}", step.name, step.about));
        return Ok(ExitCode::SUCCESS);
    }
    for name in &test.only {
        ensure!(
            steps.iter().any(|step| step.name == name),
            "no step is called {name}; see --list"
        );
    }
    let wanted =
        |step: &&Step| test.only.is_empty() || test.only.iter().any(|name| name == step.name);
    let done: Vec<Done> = steps.iter().filter(wanted).map(perform).collect();
    Ok(report(&done))
}

fn perform(step: &Step) -> Done {
    println!("\n== {}: {}", step.name, step.about);
    let started = Instant::now();
    let mut failures = Vec::new();
    let tally = step.run(&mut failures).unwrap_or_else(|error| {
        println!("error: {error:#}");
        failures.push(Watch::default().failure(format!("{error:#}")));
        Tally::one(false)
    });
    Done {
        name: step.name,
        took: started.elapsed(),
        tally,
        failures,
    }
}

fn report(done: &[Done]) -> ExitCode {
    for Done { name, failures, .. } in done {
        for failure in failures {
            println!("\nfailed in {name}:\n{failure}");
        }
    }
    println!(
        "\n{:<14} {:>8} {:>8} {:>8} {:>8}",
        "step", "time", "passed", "failed", "skipped"
    );
    for Done {
        name, took, tally, ..
    } in done
    {
        println!(
            "{name:<14} {:>6} s {:>8} {:>8} {:>8}",
            took.as_secs(),
            tally.passed,
            tally.failed,
            tally.skipped
        );
    }
    let total = done
        .iter()
        .fold(Tally::default(), |sum, step| sum + step.tally);
    println!("\n{total}");
    ExitCode::from(u8::from(total.failed > 0 || total.passed == 0))
}
