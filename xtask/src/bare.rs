//! `bare`: the firmware's crates for a core without an operating system.
//!
//! Only `core` is built for the target: `alloc` and `std` do not exist there, so a use of either
//! fails the build. That is the proof that the firmware needs neither.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::{setup, workspace};

/// Crates that run on a remote core; the last is a whole firmware, which gets linked.
pub const CRATES: [&str; 4] = ["apu-proto", "apu-kernels", "apu-firmware", "apu-bare"];

/// The smallest program with them. It is linked, so nothing is missing.
const PROGRAM: &str = "apu-bare";

/// For which core.
#[derive(Args)]
pub struct Bare {
    /// A bare-metal target that rustc knows
    #[arg(
        long,
        value_name = "TRIPLE",
        default_value = "riscv32imac-unknown-none-elf"
    )]
    target: String,
}

/// Builds the crates.
pub fn main(bare: &Bare) -> Result<ExitCode> {
    let library = setup::rust_lib_src()?;
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--target", &bare.target, "-Zbuild-std=core"]);
    cargo.args(
        CRATES
            .iter()
            .chain([&PROGRAM])
            .flat_map(|name| ["--package", name]),
    );
    // Apart, since what follows makes cargo rebuild the macros that others use as well.
    cargo
        .arg("--target-dir")
        .arg(workspace::target()?.join("bare"));
    // What is unstable is building the library; the compiler is the stable one.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    ensure!(
        cargo.status()?.success(),
        "the firmware doesn't build for {}",
        bare.target
    );
    Ok(ExitCode::SUCCESS)
}
