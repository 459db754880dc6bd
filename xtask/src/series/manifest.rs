//! `kernel/series.toml`: which files and which edits make which patch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::kernel::overlay::Overlay;
use crate::workspace;

/// Most characters of a commit message's line.
const WIDTH: usize = 75;

/// The series.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    patch: Vec<Row>,
}

/// One patch as the manifest says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Edits of files that Linux has: a file of `kernel/patches`, which brings the message.
    edits: Option<PathBuf>,
    /// New files. A folder stands for all in it that no other row names more closely.
    #[serde(default)]
    files: Vec<PathBuf>,
    /// The message of a patch without edits.
    message: Option<String>,
}

/// One patch with the files that it really has.
pub struct Commit<'a> {
    /// Name of a file of `kernel/patches`.
    pub edits: Option<&'a Path>,
    /// New files by their path in the tree.
    pub files: Vec<&'a Path>,
    /// The message, unless `edits` brings it.
    pub message: Option<&'a str>,
}

impl Manifest {
    /// Reads it.
    pub fn read() -> Result<Self> {
        let path = workspace::root().join("kernel/series.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// The patches in order.
    pub fn commits<'a>(&'a self, overlay: &'a Overlay) -> Result<Vec<Commit<'a>>> {
        let faults = self.faults(overlay);
        ensure!(
            faults.is_empty(),
            "kernel/series.toml: {}",
            faults.join("; ")
        );
        let mut commits: Vec<Commit> = self.patch.iter().map(Row::commit).collect();
        for path in overlay.files.keys() {
            let row = self.row_of(path).and_then(|row| commits.get_mut(row));
            row.context("faults() looked")?.files.push(path);
        }
        Ok(commits)
    }

    /// Why this does not say of every file and edit where it goes.
    fn faults(&self, overlay: &Overlay) -> Vec<String> {
        let homeless = overlay
            .files
            .keys()
            .filter(|path| self.row_of(path).is_none());
        let homeless = homeless.map(|path| format!("no patch has {}", path.display()));
        let rows = self.patch.iter().filter_map(Row::fault);
        let edits: Vec<&PathBuf> = self
            .patch
            .iter()
            .filter_map(|row| row.edits.as_ref())
            .collect();
        let in_order = edits.iter().copied().eq(overlay.patches.keys());
        let disorder = (!in_order).then(|| {
            "the edits are not those of kernel/patches, each once and in order".to_owned()
        });
        homeless
            .chain(self.twice())
            .chain(self.stale(overlay))
            .chain(rows)
            .chain(disorder)
            .collect()
    }

    /// Paths that two rows have.
    fn twice(&self) -> impl Iterator<Item = String> {
        let mut rows = BTreeMap::<&Path, usize>::new();
        let paths = self.patch.iter().flat_map(|row| &row.files);
        paths.for_each(|path| *rows.entry(path).or_default() += 1);
        let twice = rows.into_iter().filter(|(_, rows)| *rows > 1);
        let twice: Vec<String> = twice
            .map(|(path, _)| format!("{} is there twice", path.display()))
            .collect();
        twice.into_iter()
    }

    /// Paths at which there is no file.
    fn stale(&self, overlay: &Overlay) -> impl Iterator<Item = String> {
        let paths = self.patch.iter().flat_map(|row| &row.files);
        paths
            .filter(|path| !overlay.files.keys().any(|file| file.starts_with(path)))
            .map(|path| format!("there is no {}", path.display()))
    }

    /// The row that names `path` most closely.
    fn row_of(&self, path: &Path) -> Option<usize> {
        let rows = self.patch.iter().enumerate();
        let entries = rows.flat_map(|(at, row)| row.files.iter().map(move |entry| (at, entry)));
        let over = entries.filter(|(_, entry)| path.starts_with(entry));
        over.max_by_key(|(_, entry)| entry.components().count())
            .map(|(at, _)| at)
    }
}

impl Row {
    fn commit(&self) -> Commit<'_> {
        Commit {
            edits: self.edits.as_deref(),
            files: Vec::new(),
            message: self.message.as_deref(),
        }
    }

    fn fault(&self) -> Option<String> {
        match (&self.edits, &self.message) {
            (Some(edits), Some(_)) => Some(format!("{} has a message already", edits.display())),
            (None, None) => Some(format!("the patch of {:?} has no message", self.files)),
            (None, Some(message)) => message
                .lines()
                .find(|line| line.len() > WIDTH)
                .map(|line| format!("longer than {WIDTH} columns: {line}")),
            (Some(_), None) => None,
        }
    }
}

/// What is wrong with the manifest.
pub fn broken() -> Result<Vec<String>> {
    Ok(Manifest::read()?.faults(&Overlay::read()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(files: &[&str], patches: &[&str]) -> Overlay {
        let map = |paths: &[&str]| paths.iter().map(|path| (path.into(), Vec::new())).collect();
        Overlay {
            files: map(files),
            patches: map(patches),
        }
    }

    fn manifest(text: &str) -> Manifest {
        toml::from_str(text).unwrap()
    }

    const TWO_ROWS: &str = "[[patch]]\nedits = '1.patch'\nfiles = ['a/b.rs']\n\
                            [[patch]]\nmessage = 'a: rest'\nfiles = ['a']\n";

    #[test]
    fn a_file_goes_where_it_is_named_most_closely() {
        let overlay = overlay(&["a/b.rs", "a/c/d.rs"], &["1.patch"]);
        let manifest = manifest(TWO_ROWS);
        let commits = manifest.commits(&overlay).unwrap();
        let files: Vec<_> = commits.iter().map(|commit| &commit.files[..]).collect();
        assert_eq!(files, [[Path::new("a/b.rs")], [Path::new("a/c/d.rs")]]);
    }

    #[test]
    fn every_fault_is_named() {
        let cases = [
            (
                overlay(&["a/b.rs", "a/c", "x"], &["1.patch"]),
                "no patch has x",
            ),
            (overlay(&["a/c"], &["1.patch"]), "there is no a/b.rs"),
            (overlay(&["a/b.rs", "a/c"], &[]), "the edits are not those"),
            (
                overlay(&["a/b.rs", "a/c"], &["1.patch", "2.patch"]),
                "the edits are not those",
            ),
        ];
        for (overlay, fault) in cases {
            let faults = manifest(TWO_ROWS).faults(&overlay).join("\n");
            assert!(
                faults.starts_with(fault) && faults.lines().count() == 1,
                "{faults}"
            );
        }
        let twice = manifest("[[patch]]\nfiles = ['a', 'a']\n").faults(&overlay(&["a"], &[]));
        assert_eq!(
            twice,
            [
                "a is there twice",
                "the patch of [\"a\", \"a\"] has no message"
            ]
        );
    }
}
