//! Runtimes that take turns with one model: ours, and those that `tests/bench/contender.py` knows.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{command, workspace};

const SCRIPT: &str = "tests/bench/contender.py";
/// Inferences before those that count, where a process is there for one turn alone.
const WARM_UP: &str = "3";

/// A program for the command.
pub struct Ours<'a> {
    apu: &'a Path,
    program: PathBuf,
}

/// What `apu bench --json` tells of some inferences.
#[derive(Deserialize)]
pub struct Turn {
    /// Multiply-accumulates of one.
    pub macs: u64,
    inference: Inference,
}

#[derive(Deserialize)]
struct Inference {
    p50_us: f64,
}

impl<'a> Ours<'a> {
    /// Compiles a model to the file `program`.
    pub fn compile(apu: &'a Path, model: &Path, numerics: &str, program: PathBuf) -> Result<Self> {
        let mut compile = Command::new(apu);
        compile.arg("compile").arg(model);
        compile.args(["--numerics", numerics, "--output"]);
        command::run(compile.arg(&program))?;
        Ok(Self { apu, program })
    }

    /// Runs this many inferences.
    pub fn turn(&self, runs: u32) -> Result<Turn> {
        let mut bench = Command::new(self.apu);
        bench
            .arg("bench")
            .arg(&self.program)
            .args(["--json", "--device=in-process", "--warmup-runs", WARM_UP])
            .args(["--runs", &runs.to_string()]);
        serde_json::from_str(&command::output(&mut bench)?).context("reading `apu bench --json`")
    }
}

impl Turn {
    /// The median, in microseconds.
    pub fn median_us(&self) -> f64 {
        self.inference.p50_us
    }
}

/// A process of another runtime, which runs as many inferences as it is told to.
pub struct Other {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// How such a process begins.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Greeting {
    /// It has loaded the model.
    Version(String),
    /// It can't, for this reason.
    Absent(String),
}

impl Other {
    /// Loads a model into a runtime.
    pub fn start(python: &Path, runtime: &str, model: &Path) -> Result<(Self, Greeting)> {
        let mut process = Command::new(python)
            .arg(workspace::root().join(SCRIPT))
            .args([runtime.as_ref(), model.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("running {}", python.display()))?;
        let orders = process.stdin.take().context("it has no stdin")?;
        let answers = process.stdout.take().context("it has no stdout")?;
        let mut other = Self {
            process,
            orders,
            answers: BufReader::new(answers),
        };
        let greeting = other.answer().with_context(|| {
            let command = format!("{SCRIPT} {runtime} {}", model.display());
            format!("{command} ended; run it by hand to see why")
        })?;
        Ok((other, greeting))
    }

    /// Runs this many inferences and returns the median, in microseconds.
    pub fn turn(&mut self, runs: u32) -> Result<f64> {
        writeln!(self.orders, "{runs}")?;
        let mut nanoseconds: Vec<f64> = self.answer()?;
        Ok(median(&mut nanoseconds) / 1000.0)
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("it answered {line:?}"))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The middle one, of an even number the upper; not a number if there is none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 3.0);
        assert!(median(&mut []).is_nan());
    }
}
