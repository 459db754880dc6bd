//! Every patch of the series leaves a kernel that builds, with nothing for clippy to say.

use std::path::PathBuf;

use anyhow::Result;

use super::check::verdict;
use super::manifest::Manifest;
use crate::cache::{self, Lock};
use crate::kernel::config::Config;
use crate::kernel::make::{Make, TARGETS};
use crate::kernel::overlay::Overlay;
use crate::kernel::tree::Tree;
use crate::progress::Progress;
use crate::setup;
use crate::test::tally::Tally;

/// Builds after patch `from` (the first is 1), after the next one, and so on. What an earlier one
/// compiled is kept.
pub fn every_patch(
    manifest: &Manifest,
    tree: &Tree,
    overlay: &Overlay,
    from: usize,
) -> Result<Tally> {
    let _lock = Lock::take("kernel")?;
    let tools = setup::kernel_tools()?;
    let objects = cache::dir()?
        .join("objects")
        .join(format!("{}-series", tree.name()));
    let make = Make {
        tree: tree.dir(),
        objects: &objects,
        tools: &tools,
    };
    let mut tally = Tally::default();
    for (number, overlay) in (1..)
        .zip(&prefixes(manifest, overlay)?)
        .skip(from.saturating_sub(1))
    {
        let what = format!("builds after patch {number}");
        let progress = Progress::start(&what);
        tree.prepare(overlay)?;
        let built = build(&make, &progress);
        drop(progress);
        tally = tally
            + verdict(
                &what,
                &built.unwrap_or_else(|error| vec![format!("{error:#}")]),
            );
    }
    Ok(tally)
}

fn build(make: &Make, progress: &Progress) -> Result<Vec<String>> {
    Config::read(false)?.configure(make)?;
    make.run_clippy(&TARGETS, progress)
}

/// The overlay as it is after each patch.
fn prefixes(manifest: &Manifest, overlay: &Overlay) -> Result<Vec<Overlay>> {
    let mut prefix = Overlay::default();
    let mut prefixes = Vec::new();
    for commit in manifest.commits(overlay)? {
        let pick = |map: &std::collections::BTreeMap<PathBuf, Vec<u8>>, path: &std::path::Path| {
            map.get_key_value(path)
                .map(|(path, content)| (path.clone(), content.clone()))
        };
        let files = commit.files.iter();
        prefix
            .files
            .extend(files.filter_map(|path| pick(&overlay.files, path)));
        let edits = commit.edits.and_then(|name| pick(&overlay.patches, name));
        prefix.patches.extend(edits);
        prefixes.push(prefix.clone());
    }
    Ok(prefixes)
}
