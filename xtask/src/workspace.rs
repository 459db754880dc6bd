//! The checkout: where it is, where cargo puts things, and building its crates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::progress::Progress;

/// Root of the checkout.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds.
pub fn target() -> Result<&'static Path> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(dir) = TARGET.get() {
        return Ok(dir);
    }
    let metadata = metadata()?;
    let dir = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target directory")?;
    Ok(TARGET.get_or_init(|| PathBuf::from(dir)))
}

/// Names of the workspace's crates.
pub fn packages() -> Result<Vec<String>> {
    let metadata = metadata()?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .map(str::to_owned)
        .collect())
}

fn metadata() -> Result<serde_json::Value> {
    let metadata = command::output(cargo().args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
    ]))?;
    serde_json::from_str(&metadata).context("reading cargo metadata")
}

/// A cargo that works on this checkout.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    command::without_cargo_variables(&mut cargo);
    cargo
}

/// Builds binaries of the workspace in release mode and returns the folder they are in.
pub fn build_release(packages: &[&str]) -> Result<PathBuf> {
    let _progress = Progress::start(&format!("building {}", packages.join(", ")));
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--quiet"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    if !cargo.status().context("running cargo build")?.success() {
        bail!("cargo build of {} failed", packages.join(", "));
    }
    Ok(target()?.join("release"))
}
