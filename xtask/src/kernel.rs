//! `kernel build`: User Mode Linux with the overlay of `kernel/`, kept by what went into it.
//!
//! One prepared source tree and one object folder per configuration stay in the cache, so a change
//! compiles what it touches; a finished image is stored under the hash of everything it was made
//! from, so a fresh clone compiles nothing.

pub mod config;
pub mod make;
pub mod modules;
pub mod overlay;
pub mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::cache::{self, Lock};
use crate::progress::Progress;
use crate::{command, setup};
use config::Config;
use overlay::Overlay;
use tree::Tree;

/// Finished images that are kept.
const KEPT: usize = 12;

/// What can be done with a kernel.
#[derive(Subcommand)]
pub enum Verb {
    /// Builds User Mode Linux with the driver, and prints the image's path
    Build(Choice),
}

/// Which kernel.
#[derive(Args, Clone, Default)]
pub struct Choice {
    /// The kernel with KASAN, lockdep, kmemleak, fault injection and KUnit
    #[arg(long)]
    pub debug_kernel: bool,
    /// A Linux 7.3 source tree instead of Debian's source package; it is copied, not changed
    #[arg(long, value_name = "DIR")]
    pub kernel_src: Option<PathBuf>,
}

/// Does `verb`.
pub fn main(verb: Verb) -> Result<ExitCode> {
    let Verb::Build(choice) = verb;
    println!("{}", image(&choice)?.display());
    Ok(ExitCode::SUCCESS)
}

/// The image of `choice`, built if there is none yet of these sources.
pub fn image(choice: &Choice) -> Result<PathBuf> {
    let tree = Tree::find(choice.kernel_src.as_deref())?;
    let config = Config::read(choice.debug_kernel)?;
    let overlay = Overlay::read()?;
    let image = cache::dir()?
        .join("images")
        .join(key(&tree, &config, &overlay)?)
        .join("linux");
    if !image.exists() {
        let _lock = Lock::take("kernel")?;
        if !image.exists() {
            build(&tree, &config, &overlay, &image)?;
        }
    }
    Ok(image)
}

/// Names an image by everything it is made from.
fn key(tree: &Tree, config: &Config, overlay: &Overlay) -> Result<String> {
    let compiler = command::output(Command::new("rustc").arg("-vV"))?;
    let mut hash = blake3::Hasher::new();
    for part in [
        tree.name(),
        &compiler,
        config.text(),
        &make::FLAGS.join(" "),
    ] {
        hash.update(&part.len().to_le_bytes())
            .update(part.as_bytes());
    }
    overlay.hash(&mut hash);
    Ok(format!(
        "{}-{}",
        config.name(),
        &hash.finalize().to_hex()[..16]
    ))
}

fn build(tree: &Tree, config: &Config, overlay: &Overlay, image: &Path) -> Result<()> {
    let tools = setup::kernel_tools()?;
    tree.prepare(overlay)?;
    let progress = Progress::start(&format!("building the {} kernel", config.name()));
    let objects = cache::dir()?
        .join("objects")
        .join(format!("{}-{}", tree.name(), config.name()));
    let make = make::Make {
        tree: tree.dir(),
        objects: &objects,
        tools: &tools,
    };
    config.apply(&make)?;
    make.run(&make::TARGETS, Some(&progress))?;
    let images = image.parent().context("an image has a folder")?;
    cache::publish_dir(images, |dir| {
        fs::copy(objects.join(".config"), dir.join("config"))?;
        fs::copy(objects.join("scripts/dtc/dtc"), dir.join("dtc"))?;
        fs::copy(objects.join("linux"), dir.join("linux")).context("storing the image")?;
        modules::store(&objects, &modules::folder(&dir.join("linux")))
    })?;
    forget_old(images.parent().context("images have a folder")?)
}

/// Removes all but the newest images.
fn forget_old(images: &Path) -> Result<()> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(images)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    dirs.sort_by_key(|dir| fs::metadata(dir).and_then(|data| data.modified()).ok());
    for old in dirs.iter().rev().skip(KEPT) {
        fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}

/// Where the prepared source tree of `kernel_src`, or of Debian's package, is.
pub fn source(kernel_src: Option<&Path>) -> Result<PathBuf> {
    Ok(Tree::find(kernel_src)?.dir().to_owned())
}

/// The tree made from Debian's package, if there is one already.
pub fn tree_in_cache() -> Result<Option<PathBuf>> {
    Ok(Some(setup::kernel_source_dir(&cache::dir()?.join("trees"))).filter(|dir| dir.exists()))
}

/// The overlay's files and patches, by their path in `kernel/`.
pub fn overlay_files() -> Result<Vec<PathBuf>> {
    let overlay = Overlay::read()?;
    let own = overlay
        .files
        .into_keys()
        .filter(|path| !overlay::is_shared(path));
    Ok(own
        .chain(
            overlay
                .patches
                .into_keys()
                .map(|name| Path::new("patches").join(name)),
        )
        .collect())
}
