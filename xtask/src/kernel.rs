//! `kernel build`.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What can be done with a kernel.
#[derive(Subcommand)]
pub enum Verb {
    /// Builds User Mode Linux with the driver, and prints the image's path
    Build(Choice),
}

/// Which kernel.
#[derive(Args, Clone)]
pub struct Choice {
    /// The kernel with KASAN, lockdep, kmemleak, fault injection and KUnit
    #[arg(long)]
    pub debug_kernel: bool,
    /// A Linux 7.3 source tree instead of Debian's source package; it is copied, not changed
    #[arg(long, value_name = "DIR")]
    pub kernel_src: Option<PathBuf>,
}

pub fn main(verb: Verb) -> Result<ExitCode> {
    let Verb::Build(choice) = verb;
    println!("{}", image(&choice)?.display());
    Ok(ExitCode::SUCCESS)
}

pub fn image(_: &Choice) -> Result<PathBuf> {
    Ok(PathBuf::from("linux"))
}
