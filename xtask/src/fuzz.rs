//! `fuzz`: bytes that nobody meant to be a model or a program, guided by what they reach.
//!
//! cargo-fuzz wants a nightly toolchain for its sanitizer; the stable one has that too, if asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{command, setup, workspace};

/// Bytes of memory that one input may take, in MiB: what a model lies about is not allocated.
const MEMORY: u32 = 2048;
/// Seconds that one input may take.
const PATIENCE: u32 = 30;

/// What, and how long.
#[derive(Args)]
pub struct Fuzz {
    /// Only this
    #[arg(value_enum)]
    target: Option<Target>,
    /// How long each
    #[arg(long, default_value = "10", value_name = "N")]
    minutes: f64,
}

/// Who reads the bytes.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// The importer and the compiler, and what runs what they write
    Models,
    /// The validator, the interpreter and the kernels
    Programs,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Programs => "programs",
        }
    }
}

/// Fuzzes, one target after the other, until one finds something.
pub fn main(fuzz: &Fuzz) -> Result<ExitCode> {
    ensure!(fuzz.minutes > 0.0, "--minutes is to be above 0");
    let seconds = (fuzz.minutes * 60.0).ceil() as u64;
    let tool = setup::cargo_fuzz()?;
    let seeds = seeds()?;
    let targets = match fuzz.target {
        Some(one) => vec![one],
        None => Target::value_variants().to_vec(),
    };
    for target in targets {
        let found = run(&tool, target, &seeds, seconds)?;
        ensure!(
            !found,
            "{} are not all taken well; the input is named above",
            target.name()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A model and a program of every operator.
fn seeds() -> Result<PathBuf> {
    let folder = workspace::target()?.join("fuzz/seeds");
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--release", "--package", "suite"]);
    cargo.args(["--example", "seeds", "--"]).arg(&folder);
    command::run(&mut cargo)?;
    Ok(folder)
}

/// Whether an input was found that isn't taken well.
fn run(tool: &Path, target: Target, seeds: &Path, seconds: u64) -> Result<bool> {
    let folder = workspace::target()?.join("fuzz");
    // What was found to reach more is kept for the next time.
    let corpus = folder.join("corpus").join(target.name());
    fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
    let mut fuzz = Command::new(tool);
    fuzz.current_dir(workspace::root());
    command::without_cargo_variables(&mut fuzz);
    fuzz.args(["run", "--fuzz-dir", "tests/fuzz", "--target-dir"]);
    fuzz.arg(folder.join("build")).arg(target.name());
    fuzz.arg(corpus).arg(seeds.join(target.name())).arg("--");
    fuzz.args([
        format!("-max_total_time={seconds}"),
        format!("-rss_limit_mb={MEMORY}"),
        format!("-timeout={PATIENCE}"),
    ]);
    // What is unstable is the sanitizer; the compiler is the stable one.
    fuzz.env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_TARGET_DIR");
    let status = fuzz.status().context("running cargo-fuzz")?;
    Ok(!status.success())
}
