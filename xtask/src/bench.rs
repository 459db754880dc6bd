//! `bench`: how fast it is, beside what else there is.

mod contender;
mod driver;
mod guest;
mod models;
mod peak;
mod report;
mod transports;

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
    /// A model over each transport, from insmod on, beside the same in process
    Transports(transports::Transports),
}

/// Measures it.
pub fn main(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Models(models) => models::main(models),
        Verb::Driver(driver) => driver::main(driver),
        Verb::Transports(transports) => transports::main(transports),
    }
}
