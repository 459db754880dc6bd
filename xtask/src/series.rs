//! `series`: the overlay as patches to send, on plain Linux, in the order in which to review them.
//!
//! `kernel/series.toml` says what goes into which patch. What is cut is checked at once: it applies
//! with `git am`, gives what the kernel is built from, and checkpatch has nothing to say.

mod builds;
mod check;
mod manifest;
mod repository;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::kernel::overlay::Overlay;
use crate::kernel::tree::Tree;
use crate::workspace;
use manifest::Manifest;
pub use manifest::broken;
use repository::Repository;

/// What to make of the overlay.
#[derive(Args)]
pub struct Series {
    /// Where the patches go; what was cut there before is removed [default: series in cargo's target
    /// folder]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Also builds the kernel after every patch, with clippy; takes an hour or so
    #[arg(long)]
    build: bool,
    /// With --build: only after the Nth patch and those behind it
    #[arg(long, requires = "build", default_value_t = 1, value_name = "N")]
    from: usize,
    /// A Linux 7.3 source tree instead of Debian's source package
    #[arg(long, value_name = "DIR")]
    kernel_src: Option<PathBuf>,
}

/// Cuts, checks, and builds if that is wanted.
pub fn main(series: &Series) -> Result<ExitCode> {
    let tree = Tree::find(series.kernel_src.as_deref())?;
    let overlay = Overlay::read()?;
    let manifest = Manifest::read()?;
    let output = match &series.output {
        Some(dir) => dir.clone(),
        None => workspace::target()?.join("series"),
    };
    let patches = cut(&manifest, &tree, &overlay, &output)?;
    let mut tally = check::series(&tree, &overlay, &patches)?;
    if series.build {
        tally = tally + builds::every_patch(&manifest, &tree, &overlay, series.from)?;
    }
    println!("{}", output.display());
    println!(
        "test result: {} passed; {} failed",
        tally.passed, tally.failed
    );
    Ok(ExitCode::from(u8::from(tally.failed > 0)))
}

/// Writes the cover letter and the patches, and returns the patches.
fn cut(
    manifest: &Manifest,
    tree: &Tree,
    overlay: &Overlay,
    output: &std::path::Path,
) -> Result<Vec<PathBuf>> {
    let repository = Repository::plain(tree, overlay)?;
    for commit in manifest.commits(overlay)? {
        repository.commit(&commit, overlay)?;
    }
    let letter = workspace::root().join("kernel/cover-letter.txt");
    let letter =
        fs::read_to_string(&letter).with_context(|| format!("reading {}", letter.display()))?;
    repository.format(&letter, output)
}
