//! Packages of the machine's distribution.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::progress::Progress;

/// What a kernel build needs.
pub const KERNEL: &[&str] = &[
    "bc",
    "bison",
    "clang-19",
    "cpio",
    "flex",
    "kmod",
    "libclang-19-dev",
    "libelf-dev",
    "libssl-dev",
    "lld-19",
    "llvm-19",
    "make",
    "patch",
    "python3",
    "rsync",
    "xz-utils",
];
/// What the fuzzer is built with.
pub const FUZZER: &[&str] = &["g++"];
/// What runs programs for aarch64.
pub const EMULATOR: &[&str] = &["qemu-user"];
/// What a Python environment needs.
pub const PYTHON: &[&str] = &["python3-venv"];

/// Sees to it that `packages` are installed. Without Debian's package manager it trusts that they are.
pub fn require(packages: &[&str]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "packages are missing; install them with:\n  sudo apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    eprintln!("installing Debian packages: {}", missing.join(" "));
    let _progress = Progress::start("installing packages");
    if apt_get(&missing).is_err() {
        command::run(Command::new("apt-get").args(["--quiet", "update"]))?;
        apt_get(&missing).context("installing packages")?;
    }
    Ok(())
}

fn apt_get(packages: &[&str]) -> Result<()> {
    let mut install = Command::new("apt-get");
    install
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(packages);
    command::run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(packages);
    let Ok(known) = query.output() else {
        return Vec::new();
    };
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    let installed = |package: &str| {
        known
            .lines()
            .any(|line| line == format!("{package} installed"))
    };
    packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect()
}
