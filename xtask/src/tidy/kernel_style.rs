//! The kernel's own checkers, for the files that go into a kernel tree.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::said_on_failure;
use crate::{kernel, workspace};

/// Runs rustfmt as the kernel does, and checkpatch if its tree is in the cache already.
pub fn broken() -> Result<Vec<String>> {
    let root = workspace::root().join("kernel");
    let files = kernel::overlay_files()?;
    let with = |kinds: &[&str]| -> Vec<PathBuf> {
        let is_kind = |path: &&PathBuf| {
            path.extension()
                .is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted))
        };
        files
            .iter()
            .filter(is_kind)
            .map(|path| root.join(path))
            .collect()
    };
    let mut rustfmt = Command::new("rustfmt");
    let mut broken = said_on_failure(
        rustfmt
            .args(["--check", "--edition=2021", "--config=skip_children=true"])
            .args(with(&["rs"])),
    )?;
    if let Some(tree) = kernel::tree_in_cache()? {
        let checkpatch = tree.join("scripts/checkpatch.pl");
        let mut patches = Command::new(&checkpatch);
        patches.args([
            "--no-tree",
            "--quiet",
            "--no-summary",
            "--ignore=FILE_PATH_CHANGES,NO_AUTHOR_SIGN_OFF,MISSING_SIGN_OFF",
        ]);
        broken.extend(said_on_failure(
            patches.args(with(&["patch"])).current_dir(&tree),
        )?);
        let mut sources = Command::new(&checkpatch);
        sources.args(["--no-tree", "--quiet", "--no-summary", "--terse", "--file"]);
        broken.extend(said_on_failure(
            sources.args(with(&["c", "h", "rs"])).current_dir(&tree),
        )?);
    }
    Ok(broken)
}
