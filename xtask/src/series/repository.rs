//! A scratch repository that has the files of Linux which the series edits, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::manifest::Commit;
use crate::kernel::overlay::{Overlay, read_dir};
use crate::kernel::tree::Tree;
use crate::{command, workspace};

/// Who the patches are from; whoever sends them signs them off.
const AUTHOR: [(&str, &str); 2] = [
    ("user.name", "The TinyAPU authors"),
    ("user.email", "tinyapu@users.noreply.example"),
];

/// The repository; it goes when this is dropped.
pub struct Repository {
    dir: TempDir,
}

impl Repository {
    /// Plain Linux, in one commit named `plain`.
    pub fn plain(tree: &Tree, overlay: &Overlay) -> Result<Self> {
        let repository = Self {
            dir: TempDir::with_prefix("tinyapu-series-")?,
        };
        repository.git(&["init", "--quiet", "--initial-branch=series"])?;
        // A new file that Linux has after all must not go unseen.
        for path in tree.edited(overlay).iter().chain(overlay.files.keys()) {
            if let Some(original) = tree.original(path)? {
                repository.write(path, &fs::read(original)?)?;
            }
        }
        repository.git(&["add", "--all"])?;
        repository.git(&["commit", "--quiet", "--allow-empty", "--message=Linux"])?;
        repository.git(&["tag", "plain"])?;
        Ok(repository)
    }

    /// Makes one patch's commit.
    pub fn commit(&self, commit: &Commit, overlay: &Overlay) -> Result<()> {
        if let Some(edits) = commit.edits {
            self.apply(&[workspace::root().join("kernel/patches").join(edits)])?;
        }
        for path in &commit.files {
            let content = overlay.files.get(*path);
            self.write(path, content.context("a commit's files are the overlay's")?)?;
        }
        self.git(&["add", "--all"])?;
        match commit.message {
            Some(message) => self.git(&["commit", "--quiet", "--message", message]),
            None => self.git(&["commit", "--quiet", "--amend", "--no-edit"]),
        }
    }

    /// Commits patches as they would be received.
    pub fn apply(&self, patches: &[PathBuf]) -> Result<()> {
        command::run(self.command(&["am", "--quiet"]).args(patches))
    }

    /// Writes the commits since `plain` below `output`, with a cover letter whose first line is its
    /// subject, and returns the patches.
    pub fn format(&self, letter: &str, output: &Path) -> Result<Vec<PathBuf>> {
        if output.exists() {
            remove_patches(output)?;
        }
        self.git(&["config", "branch.series.description", letter])?;
        let mut format = self.command(&[
            "format-patch",
            "--quiet",
            "--zero-commit",
            "--no-signature",
            "--cover-letter",
            "--cover-from-description=subject",
            "plain",
            "--output-directory",
        ]);
        command::run(format.arg(std::path::absolute(output)?))?;
        let mut patches = patches_in(output)?;
        patches.remove(0);
        Ok(patches)
    }

    /// All files.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = read_dir(self.dir.path(), self.dir.path())?;
        files.retain(|path, _| !path.starts_with(".git"));
        Ok(files)
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let file = self.dir.path().join(path);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        fs::write(&file, content).with_context(|| format!("writing {}", file.display()))
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        command::run(&mut self.command(arguments))
    }

    /// A git that goes by nobody's configuration.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.current_dir(self.dir.path());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for (name, value) in AUTHOR {
            git.arg("-c").arg(format!("{name}={value}"));
        }
        git.args(arguments);
        git
    }
}

/// The patches in a folder, in order.
fn patches_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "patch"));
    paths.sort();
    Ok(paths)
}

fn remove_patches(dir: &Path) -> Result<()> {
    for path in patches_in(dir)? {
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}
