//! `fuzz`: bytes that nobody meant to be a model or a program, guided by what they reach.
//!
//! cargo-fuzz wants a nightly toolchain for its sanitizer; the stable one has that too, if asked.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

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
    /// Nothing but this input, which was found before
    #[arg(long, value_name = "FILE", requires = "target")]
    again: Option<PathBuf>,
}

/// Who reads the bytes.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Any bytes as a model
    Importer,
    /// Models changed so that they still are some, to the whole compiler
    Compiler,
    /// Any bytes as a program, and as operators of one
    Validator,
    /// Programs changed so that they still are some, to the interpreter and the kernels
    Interpreter,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Importer => "importer",
            Self::Compiler => "compiler",
            Self::Validator => "validator",
            Self::Interpreter => "interpreter",
        }
    }
}

/// Fuzzes, one target after the other, until one finds something.
pub fn main(fuzz: &Fuzz) -> Result<ExitCode> {
    ensure!(fuzz.minutes > 0.0, "--minutes is to be above 0");
    let seconds = (fuzz.minutes * 60.0).ceil() as u64;
    let tool = setup::cargo_fuzz()?;
    let targets = match fuzz.target {
        Some(one) => vec![one],
        None => Target::value_variants().to_vec(),
    };
    if let (Some(file), [target]) = (&fuzz.again, &targets[..]) {
        let status = cargo_fuzz(&tool, *target, &[file])?.status();
        ensure!(status?.success(), "{} isn't taken well", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let seeds = seeds()?;
    for target in targets {
        run(&tool, target, &seeds, seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A model and a program of every operator, and whole models.
fn seeds() -> Result<PathBuf> {
    let folder = workspace::target()?.join("fuzz/seeds");
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--release", "--package", "suite"]);
    cargo.args(["--example", "seeds", "--"]).arg(&folder);
    command::run(&mut cargo)?;
    Ok(folder)
}

/// Fuzzes one target. It is an error if an input is found that isn't taken well.
fn run(tool: &Path, target: Target, seeds: &Path, seconds: u64) -> Result<()> {
    let folder = workspace::target()?.join("fuzz");
    // What was found to reach more is kept for the next time.
    let corpus = folder.join("corpus").join(target.name());
    fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
    // Each time a folder of its own, so that what is in it was found this time.
    fs::create_dir_all(folder.join("found"))?;
    let found = TempDir::with_prefix_in(format!("{}-", target.name()), folder.join("found"))?;
    let mut fuzz = cargo_fuzz(tool, target, &[&corpus, &seeds.join(target.name())])?;
    fuzz.arg(format!("-max_total_time={seconds}"));
    // The last one of an option counts; what is put before the name is a prefix.
    fuzz.arg(format!("-artifact_prefix={}/", found.path().display()));
    if fuzz.status().context("running cargo-fuzz")?.success() {
        return Ok(());
    }
    let name = target.name();
    // Slow ones are kept there too, but are no failure.
    let is_failure = |file: &OsString| !file.to_string_lossy().starts_with("slow-unit-");
    let mut files = fs::read_dir(found.path())?.map(|entry| entry.map(|entry| entry.file_name()));
    let Some(file) = files.find(|file| file.as_ref().is_ok_and(is_failure)) else {
        bail!("{name}: the fuzzer failed, as it says above");
    };
    let file = found.keep().join(file?);
    let file = file.display();
    bail!("{name}: {file} isn't taken well; again:\n  cargo xtask fuzz {name} --again {file}");
}

/// The fuzzer for some inputs or folders of them.
fn cargo_fuzz(tool: &Path, target: Target, inputs: &[&Path]) -> Result<Command> {
    let mut fuzz = Command::new(tool);
    fuzz.current_dir(workspace::root());
    command::without_cargo_variables(&mut fuzz);
    fuzz.args(["run", "--fuzz-dir", "tests/fuzz", "--target-dir"]);
    fuzz.arg(workspace::target()?.join("fuzz/build"));
    fuzz.arg(target.name()).args(inputs).arg("--");
    fuzz.args([
        format!("-rss_limit_mb={MEMORY}"),
        format!("-timeout={PATIENCE}"),
    ]);
    // What is unstable is the sanitizer; the compiler is the stable one.
    fuzz.env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_TARGET_DIR");
    Ok(fuzz)
}
