//! `setup`: what the other verbs need and a bare machine doesn't have.
//!
//! Packages of the distribution are installed when that is allowed, else named. All else goes into
//! the cache: the kernel's source and the compiler's library source, both from the newest Debian
//! backports, binding generator from crates.io, Python environments from PyPI. The library for other
//! processors comes from rustup.

mod apt;
mod packages;
mod python;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use tempfile::TempDir;

use crate::progress::Progress;
use crate::{cache, command, kernel};

pub use python::{contenders, device_tree_schema, litert, runtimes};
pub use tools::rust_lib_src;

/// The Linux that the overlay is made for.
pub const SERIES: &str = "7.3";

/// Where things come from that need not come from Debian.
#[derive(Args)]
pub struct Setup {
    /// A Linux 7.3 source tree instead of Debian's source package; it is copied, not changed
    #[arg(long, value_name = "DIR")]
    kernel_src: Option<PathBuf>,
}

/// What it takes to build a kernel.
pub struct KernelTools {
    /// The binding generator.
    pub bindgen: PathBuf,
    /// Source of the compiler's library.
    pub rust_lib_src: PathBuf,
}

/// Brings everything.
pub fn main(setup: &Setup) -> Result<ExitCode> {
    let tools = kernel_tools()?;
    eprintln!("bindgen: {}", tools.bindgen.display());
    eprintln!("library source: {}", tools.rust_lib_src.display());
    eprintln!(
        "kernel source: {}",
        kernel::source(setup.kernel_src.as_deref())?.display()
    );
    for python in runtimes()? {
        eprintln!("python with TFLite or LiteRT: {}", python.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings compilers, binding generator and library source.
pub fn kernel_tools() -> Result<KernelTools> {
    packages::require(packages::KERNEL)?;
    Ok(KernelTools {
        bindgen: tools::bindgen()?,
        rust_lib_src: rust_lib_src()?,
    })
}

/// Brings the fuzzer, and what its targets are built with.
pub fn cargo_fuzz() -> Result<PathBuf> {
    packages::require(packages::FUZZER)?;
    tools::cargo_fuzz()
}

/// Brings what builds and runs programs for `target`, one of aarch64 with the C library in it.
pub fn aarch64(target: &str) -> Result<()> {
    packages::require(packages::EMULATOR)?;
    tools::target(target)
}

/// Extracts Debian's kernel source below `trees`, once, and returns where.
pub fn kernel_source(trees: &Path) -> Result<PathBuf> {
    let tree = kernel_source_dir(trees);
    let package = format!("linux-source-{SERIES}");
    cache::publish_dir(&tree, |staging| {
        packages::require(packages::KERNEL)?;
        let scratch = TempDir::new_in(cache::dir()?)?;
        apt::download(&package, None, scratch.path())?;
        let _progress = Progress::start("unpacking the kernel source");
        let archive = scratch.path().join(format!("usr/src/{package}.tar.xz"));
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--strip-components=1", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(staging);
        command::run(&mut tar).with_context(|| format!("unpacking {}", archive.display()))
    })?;
    Ok(tree)
}

/// Where [`kernel_source`] is or will be.
pub fn kernel_source_dir(trees: &Path) -> PathBuf {
    trees.join(format!("linux-source-{SERIES}"))
}
