//! Running other programs.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs to the end and returns standard output; a failure carries what the program said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} ended with {}:\n{}",
            output.status,
            said.trim_end()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {command:?} is no UTF-8"))
}

/// Runs to the end for its effect.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// A program that gets `signal` when xtask dies, however that happens.
pub fn bound_to_us(program: &OsStr, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Whether `cargo run` set the variable, for xtask alone.
pub fn is_cargo_variable(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == "CARGO"
        || ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Hides from `command` what `cargo run` set for xtask, which would make cargo rebuild.
pub fn without_cargo_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_cargo_variable(name)) {
        command.env_remove(name);
    }
}
