//! `cargo xtask`: everything around the code that is not the code. One module per verb.
//!
//! A verb brings what it needs ([`setup`]) into a cache outside the checkout ([`cache`]), so each
//! of them works on a fresh clone. Progress goes to standard error; standard output belongs to
//! results and to the programs that are run.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bare;
mod bench;
mod bindings;
mod cache;
mod command;
mod daemon;
mod docs;
mod firmware;
mod fuzz;
mod guest;
mod kernel;
mod litert;
mod progress;
mod readme;
mod series;
mod setup;
mod test;
mod tidy;
mod torture;
mod uml;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, boots and checks TinyAPU.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings everything the other verbs need; each of them also brings its own part
    Setup(setup::Setup),
    /// Builds the kernel
    #[command(subcommand)]
    Kernel(kernel::Verb),
    /// Runs programs in a User Mode Linux guest that has the driver
    #[command(subcommand)]
    Uml(uml::Verb),
    /// Builds the firmware's crates for a core without an operating system
    Bare(bare::Bare),
    /// Cuts the overlay into a series of patches on plain Linux, and checks it
    Series(series::Series),
    /// Measures how fast it is
    #[command(subcommand)]
    Bench(bench::Verb),
    /// Shows something, with everything it takes
    #[command(subcommand)]
    Demo(litert::Demo),
    /// Tortures the driver in the debug kernel: clients, hardware and memory that go wrong
    Torture(torture::Torture),
    /// Fuzzes what reads models and programs
    Fuzz(fuzz::Fuzz),
    /// Makes what the book shows of the code
    Docs(docs::Docs),
    /// Counts the lines of each part of the kernel code
    Lines,
    /// Checks the device tree bindings and their examples
    Bindings,
    /// Checks what the prose promises
    Tidy,
    /// Does everything above and the tests, on a bare machine
    Test(test::Test),
    /// The guest's first process; not for use by hand
    #[command(hide = true)]
    Guest(guest::Guest),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Setup(setup) => setup::main(&setup),
        Verb::Kernel(verb) => kernel::main(verb),
        Verb::Uml(verb) => uml::main(verb),
        Verb::Bare(bare) => bare::main(&bare),
        Verb::Series(series) => series::main(&series),
        Verb::Bench(verb) => bench::main(&verb),
        Verb::Demo(what) => litert::demo(&what),
        Verb::Torture(torture) => torture::main(&torture),
        Verb::Fuzz(fuzz) => fuzz::main(&fuzz),
        Verb::Docs(docs) => docs::main(&docs),
        Verb::Lines => docs::lines::main(),
        Verb::Bindings => bindings::main(),
        Verb::Tidy => tidy::main(),
        Verb::Test(test) => test::main(&test),
        Verb::Guest(guest) => guest::main(&guest),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
