//! Tools of the Rust world: programs from crates.io, and the library's source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::apt;
use crate::progress::Progress;
use crate::{cache, command, workspace};

/// The binding generator; this version fits the kernel.
pub fn bindgen() -> Result<PathBuf> {
    install("bindgen-cli", "0.72.1", "bindgen")
}

/// The fuzzer.
pub fn cargo_fuzz() -> Result<PathBuf> {
    install("cargo-fuzz", "0.13.2", "cargo-fuzz")
}

/// Installs a program from crates.io, once per version, unless the machine has just that.
fn install(package: &str, version: &str, program: &str) -> Result<PathBuf> {
    if command::output(Command::new(program).arg("--version"))
        .is_ok_and(|said| said.trim_end().ends_with(version))
    {
        return Ok(program.into());
    }
    let root = cache::dir()?
        .join("tools")
        .join(format!("{package}-{version}"));
    cache::publish_dir(&root, |staging| {
        eprintln!("installing {package} {version} from crates.io");
        let _progress = Progress::start(&format!("compiling {package}"));
        let mut cargo = workspace::cargo();
        cargo
            .args([
                "install",
                "--quiet",
                "--locked",
                "--no-track",
                package,
                "--version",
                version,
                "--root",
            ])
            .arg(staging);
        command::run(cargo.env_remove("CARGO_TARGET_DIR"))
    })?;
    Ok(root.join("bin").join(program))
}

/// Source of the compiler's library: `RUST_LIB_SRC`, rustup's `rust-src`, else Debian's package of
/// the compiler's version.
pub fn rust_lib_src() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("RUST_LIB_SRC").map(PathBuf::from) {
        ensure!(
            is_library(&given),
            "RUST_LIB_SRC={} has no core/src/lib.rs",
            given.display()
        );
        return Ok(given);
    }
    let rustup = rustlib()?.join("src/rust/library");
    if is_library(&rustup) {
        return Ok(rustup);
    }
    let version = compiler_version()?;
    let root = cache::dir()?.join(format!("rust-src-{version}"));
    cache::publish_dir(&root, |staging| {
        let scratch = TempDir::new_in(cache::dir()?)?;
        apt::download("rust-src", Some(&version), scratch.path()).with_context(|| {
            format!("the library source of rustc {version}: run `rustup component add rust-src`, or set RUST_LIB_SRC")
        })?;
        let library = scratch
            .path()
            .join(format!("usr/src/rustc-{version}/library"));
        fs::rename(library, staging.join("library")).context("moving the library source")
    })?;
    let library = root.join("library");
    ensure!(
        is_library(&library),
        "rust-src {version} has no library/core/src/lib.rs"
    );
    Ok(library)
}

/// Sees to it that programs can be built for `target`, which comes from rustup.
pub fn target(target: &str) -> Result<()> {
    let library = rustlib()?.join(target).join("lib");
    if library.exists() {
        return Ok(());
    }
    eprintln!("installing the standard library for {target} with rustup");
    let _progress = Progress::start(&format!("downloading the library for {target}"));
    command::run(Command::new("rustup").args(["target", "add", target]))?;
    ensure!(
        library.exists(),
        "rustup added {target} to another toolchain than that of {}",
        library.display()
    );
    Ok(())
}

/// What the compiler has for its targets.
fn rustlib() -> Result<PathBuf> {
    let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib"))
}

fn is_library(dir: &Path) -> bool {
    dir.join("core/src/lib.rs").exists()
}

/// Such as `1.95.0`.
fn compiler_version() -> Result<String> {
    let said = command::output(Command::new("rustc").arg("--version"))?;
    said.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .context("rustc --version names no version")
}
