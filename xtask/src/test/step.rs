//! A step: commands that are run one after the other and whose cases are counted.

use std::io::{BufRead, BufReader, pipe};
use std::process::Command;

use anyhow::{Context, Result};

use super::failure::{Failure, Watch};
use super::tally::Tally;
use crate::workspace;

/// Some commands with a name.
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// What it proves.
    pub about: &'static str,
    /// What to run. A command that reports no cases is one itself.
    pub commands: fn() -> Result<Vec<Command>>,
}

impl Step {
    /// Runs all commands, also after one has failed, and tells of those that did.
    pub fn run(&self, failures: &mut Vec<Failure>) -> Result<Tally> {
        let commands = (self.commands)()?;
        commands
            .into_iter()
            .try_fold(Tally::default(), |sum, command| {
                Ok(sum + run(command, failures)?)
            })
    }
}

fn run(mut command: Command, failures: &mut Vec<Failure>) -> Result<Tally> {
    let name = shown(&command);
    println!("$ {name}");
    let (output, input) = pipe()?;
    command
        .current_dir(workspace::root())
        .stdout(input.try_clone()?)
        .stderr(input);
    let mut child = command
        .spawn()
        .with_context(|| format!("running {command:?}"))?;
    drop(command);
    let mut tally = Tally::default();
    let mut watch = Watch::default();
    let mut reports = false;
    let mut skipped = 0;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        watch.read(&line);
        reports |= tally.read(line.trim_end());
        skipped += usize::from(line.starts_with("skipped: "));
    }
    let succeeded = child.wait()?.success();
    // libtest counts a case that skips itself as passed.
    tally.passed = tally.passed.saturating_sub(skipped);
    let nothing_ran = tally == Tally::default();
    let tally = match (reports, succeeded) {
        (false, succeeded) => Tally::one(succeeded),
        (true, true) if nothing_ran => Tally::one(false),
        (true, false) if tally.failed == 0 => tally + Tally::one(false),
        (true, _) => tally,
    };
    if tally.failed > 0 {
        failures.push(watch.failure(format!("$ {name}")));
    }
    Ok(tally)
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), value?.display())));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.display().to_string());
    variables.chain(words).collect::<Vec<_>>().join(" ")
}
