//! `bench`: how fast it is, beside what else there is.

mod contender;
mod driver;
mod models;
mod peak;
mod report;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub enum Verb {
    /// Whole models, on one thread, beside other runtimes
    Models(models::Models),
    /// The driver, in a guest, as ratios to floors that are measured beside it
    Driver(driver::Driver),
}

/// Measures it.
pub fn main(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Models(models) => models::main(models),
        Verb::Driver(driver) => driver::main(driver),
    }
}
