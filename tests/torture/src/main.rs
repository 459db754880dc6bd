//! Clients, hardware and memory that all go wrong at once.
//!
//! To be run as root in a guest with the debug kernel, which complains of what the driver does wrong;
//! `cargo xtask torture` does that. One process [conducts](conductor): it starts [clients](client) of
//! three kinds and kills some of them, and plays fate for the [hardware]. Everything random comes from
//! one seed. What the clients see is counted in [memory that all share](counts), so that those which
//! are killed count too.

mod client;
mod conductor;
mod counts;
mod fuzz;
mod hardware;
mod memory;
mod steady;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use counts::Counts;

/// Tortures the driver of the machine that this runs on.
#[derive(Parser)]
struct Arguments {
    /// Where what happens is counted; made if it isn't there
    #[arg(long, default_value = "/dev/shm/torture")]
    counts: PathBuf,
    /// Everything random comes from it
    #[arg(long)]
    seed: u64,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Starts and ends all others
    Conduct {
        /// How long
        #[arg(long)]
        seconds: u64,
        /// Plays the simulated hardware; without it, whoever does must not be disturbed
        #[arg(long, value_name = "APU_SIMD")]
        simd: Option<PathBuf>,
    },
    /// Makes calls of all kinds, right and wrong
    Fuzz,
    /// Runs jobs and checks each byte of the results
    Steady,
    /// Makes calls in which the first allocation fails, then the second, and so on
    Memory,
}

fn main() -> Result<ExitCode> {
    let Arguments { counts, seed, role } = Arguments::parse();
    let shared = Counts::open(&counts)?;
    match role {
        Role::Conduct { seconds, simd } => {
            let conductor = conductor::Conductor::new(seed, &counts, &shared, simd);
            return conductor.run(Duration::from_secs(seconds));
        }
        Role::Fuzz => fuzz::main(seed, &shared),
        Role::Steady => steady::main(seed, &shared)?,
        Role::Memory => memory::main(seed, &shared)?,
    }
    Ok(ExitCode::SUCCESS)
}
