//! What holds for a series that was cut.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::repository::Repository;
use crate::kernel::overlay::Overlay;
use crate::kernel::tree::Tree;
use crate::progress::Progress;
use crate::test::tally::Tally;

/// Applies the patches to plain Linux, and asks checkpatch of each.
pub fn series(tree: &Tree, overlay: &Overlay, patches: &[PathBuf]) -> Result<Tally> {
    let _progress = Progress::start("checking the series");
    let mut tally = verdict("the series applies and gives the overlay", &{
        differences(tree, overlay, patches).unwrap_or_else(|error| vec![format!("{error:#}")])
    });
    for patch in patches {
        let name = patch.file_name().unwrap_or_default().display().to_string();
        tally = tally + verdict(&name, &checkpatch(tree, patch)?);
    }
    Ok(tally)
}

/// Says whether `what` holds, and counts it.
pub fn verdict(what: &str, faults: &[String]) -> Tally {
    println!(
        "{} {what}",
        if faults.is_empty() {
            "ok    "
        } else {
            "FAILED"
        }
    );
    faults
        .iter()
        .flat_map(|fault| fault.lines())
        .for_each(|line| println!("         {line}"));
    Tally::one(faults.is_empty())
}

/// Files that the patches don't leave as the kernel is built from.
fn differences(tree: &Tree, overlay: &Overlay, patches: &[PathBuf]) -> Result<Vec<String>> {
    let received = Repository::plain(tree, overlay)?;
    received.apply(patches)?;
    let (received, wanted) = (received.files()?, tree.overlaid(overlay)?);
    let paths = received.keys().chain(wanted.keys());
    let mut different: Vec<String> = paths
        .filter(|path| received.get(*path) != wanted.get(*path))
        .map(|path| format!("{} differs", path.display()))
        .collect();
    different.dedup();
    Ok(different)
}

/// What checkpatch says. Signing off is for whoever sends the series, and MAINTAINERS comes last.
fn checkpatch(tree: &Tree, patch: &Path) -> Result<Vec<String>> {
    let mut checkpatch = Command::new(tree.dir().join("scripts/checkpatch.pl"));
    checkpatch.args([
        "--strict",
        "--no-tree",
        "--quiet",
        "--no-summary",
        "--terse",
        "--ignore=FILE_PATH_CHANGES,NO_AUTHOR_SIGN_OFF,MISSING_SIGN_OFF",
    ]);
    let output = checkpatch
        .arg(std::path::absolute(patch)?)
        .current_dir(tree.dir())
        .output()
        .context("running checkpatch.pl, which needs perl")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(if output.status.success() && said.trim().is_empty() {
        Vec::new()
    } else {
        said.lines().map(str::to_owned).collect()
    })
}
