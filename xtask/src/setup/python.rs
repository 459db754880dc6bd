//! Private Python environments.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::packages;
use crate::progress::Progress;
use crate::{cache, command, workspace};

/// What the newest LiteRT needs, and the golden vectors' script.
const LITERT: &str = "tests/golden/requirements.txt";
/// What the older runtimes need that a delegate has to work in.
const OLDER: [&str; 2] = [
    "tests/litert/tflite-runtime-2.14.txt",
    "tests/litert/ai-edge-litert-1.4.txt",
];

/// The Python that has LiteRT, as `tests/golden/requirements.txt` pins it.
pub fn litert() -> Result<PathBuf> {
    environment(LITERT)
}

/// A Python for each runtime that a delegate has to work in, the oldest first.
pub fn runtimes() -> Result<Vec<PathBuf>> {
    OLDER.into_iter().chain([LITERT]).map(environment).collect()
}

/// The Python that has the runtimes that `bench models` sets beside ours.
pub fn contenders() -> Result<PathBuf> {
    environment("tests/bench/requirements.txt")
}

/// The Python that has what checks device tree bindings.
pub fn device_tree_schema() -> Result<PathBuf> {
    environment("kernel/configs/device-trees/requirements.txt")
}

/// The Python that has what a file of requirements pins.
fn environment(name: &str) -> Result<PathBuf> {
    let requirements = workspace::root().join(name);
    let text =
        fs::read(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let id = blake3::hash(&text).to_hex();
    let environment = cache::dir()?.join("python").join(&id[..16]);
    let python = environment.join("bin/python");
    // A Python environment knows its own path, so it is made in place, and counts when it is marked.
    let complete = environment.join("complete");
    let _lock = cache::Lock::take("python")?;
    if !complete.exists() {
        packages::require(packages::PYTHON)?;
        eprintln!("installing {name} from PyPI into {}", environment.display());
        let _progress = Progress::start("making a Python environment");
        command::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        command::run(pip.arg(&requirements))?;
        fs::write(complete, "")?;
    }
    Ok(python)
}
