//! A program of the benches in a guest.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{command, workspace};

/// The model to run, where there is one.
const MODEL: &str = "../shared/models/mobilenet_v2_1.0_224_quant.tflite";
/// The one to run otherwise.
const OWN_MODEL: &str = "models/digits/digits.tflite";

/// The model's file, seen from the checkout.
pub fn model() -> &'static str {
    if workspace::root().join(MODEL).exists() {
        MODEL
    } else {
        OWN_MODEL
    }
}

/// The name of a model's file.
pub fn name_of(model: &str) -> Option<&str> {
    Path::new(model).file_name()?.to_str()
}

/// `uml run` with `options` and a program to follow.
pub fn guest(options: &[&str], program: &OsStr) -> Result<Command> {
    let mut run = Command::new(std::env::current_exe()?);
    run.args(["uml", "run", "--memory", "3072"])
        .args(options)
        .arg("--")
        .arg(program)
        .current_dir(workspace::root())
        .stderr(Stdio::inherit());
    command::without_cargo_variables(&mut run);
    Ok(run)
}

/// What the program says: one JSON value.
pub fn report(run: &mut Command) -> Result<Value> {
    let output = run.output().context("running a guest")?;
    if !output.status.success() {
        bail!("the guest ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("reading what the guest said")
}
