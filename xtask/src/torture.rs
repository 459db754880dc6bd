//! `torture`: clients, hardware and memory that all go wrong at once, in the debug kernel.
//!
//! Half of the time the hardware is simulated and dies all the while; the other half it is a remote core,
//! from which the driver is taken away and given back. Whatever the kernel complains of fails the run.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{command, workspace};

/// How long, and with which dice.
#[derive(Args)]
pub struct Torture {
    /// How long, over both transports
    #[arg(long, default_value = "10", value_name = "N")]
    minutes: f64,
    /// Everything random comes from it [default: another one every time]
    #[arg(long)]
    seed: Option<u64>,
    /// Only over this transport
    #[arg(long, value_parser = ["sim", "rpmsg"])]
    transport: Option<String>,
    /// With the release kernel, which sees less and gets further
    #[arg(long)]
    release_kernel: bool,
}

/// Tortures, one transport after the other.
pub fn main(torture: &Torture) -> Result<ExitCode> {
    ensure!(torture.minutes > 0.0, "--minutes is to be above 0");
    let seed = torture.seed.unwrap_or_else(fresh_seed);
    let transports = match &torture.transport {
        Some(one) => vec![one.as_str()],
        None => vec!["sim", "rpmsg"],
    };
    let seconds = (torture.minutes * 60.0 / transports.len() as f64).ceil() as u64;
    let mut worst = ExitCode::SUCCESS;
    for transport in transports {
        println!("torture: {seconds} s over {transport} with --seed {seed}");
        let code = guest(transport, seed, seconds, torture.release_kernel)?
            .status()?
            .code();
        if code != Some(0) {
            worst = ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
    }
    Ok(worst)
}

fn guest(transport: &str, seed: u64, seconds: u64, release: bool) -> Result<Command> {
    let programs = workspace::build_release(&["apu-simd", "torture"])?;
    let mut run = Command::new(std::env::current_exe()?);
    // What the kernel takes longer for than this is stuck.
    let timeout = seconds + 300;
    run.args(["uml", "run", "--timeout", &timeout.to_string()]);
    run.args((!release).then_some("--debug-kernel"));
    run.args(["--transport", transport]);
    if transport == "sim" {
        run.arg("--no-daemon");
    }
    run.arg("--").arg(programs.join("torture"));
    run.args([
        "--seed",
        &seed.to_string(),
        "conduct",
        "--seconds",
        &seconds.to_string(),
    ]);
    if transport == "sim" {
        run.arg("--simd").arg(programs.join("apu-simd"));
    }
    command::without_cargo_variables(&mut run);
    Ok(run)
}

/// As random as the addresses and the clock of this process.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
