//! The prepared source tree in the cache: Linux as it comes, with the overlay laid over it.
//!
//! Only files whose content changes are written, since make goes by their times. What a file was
//! before the overlay touched it is kept beside the tree, so the overlay can change and shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::{NamedTempFile, TempDir};

use super::overlay::{Overlay, read_dir};
use crate::progress::Progress;
use crate::{cache, command, setup};

/// A tree in the cache.
pub struct Tree {
    name: String,
    dir: PathBuf,
}

impl Tree {
    /// The tree made from `source`, or from Debian's source package; extracted or copied first if
    /// that is not done yet.
    pub fn find(source: Option<&Path>) -> Result<Self> {
        let trees = cache::dir()?.join("trees");
        let Some(source) = source else {
            let dir = setup::kernel_source(&trees)?;
            return Ok(Self {
                name: format!("linux-{}", version(&dir)?),
                dir,
            });
        };
        let source = source
            .canonicalize()
            .with_context(|| format!("--kernel-src {}", source.display()))?;
        let version = version(&source)?;
        ensure!(
            version.starts_with(setup::SERIES),
            "{} is Linux {version}; the overlay is made for {}",
            source.display(),
            setup::SERIES
        );
        let id = blake3::hash(source.as_os_str().as_encoded_bytes()).to_hex();
        let name = format!("linux-{version}-{}", &id[..8]);
        let dir = trees.join(&name);
        cache::publish_dir(&dir, |staging| {
            let _progress = Progress::start(&format!("copying {}", source.display()));
            command::run(
                Command::new("cp")
                    .args(["-a", "--reflink=auto"])
                    .arg(source.join("."))
                    .arg(staging),
            )
        })?;
        Ok(Self { name, dir })
    }

    /// Version, and origin if that isn't Debian.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lays `overlay` over the tree.
    pub fn prepare(&self, overlay: &Overlay) -> Result<()> {
        let wanted = self.overlaid(overlay)?;
        let before = self.managed()?;
        for path in wanted.keys().filter(|path| !before.contains(*path)) {
            self.keep_original(path)?;
        }
        // Whatever stops this run, the next one knows all that may differ from the original.
        self.manage(before.iter().chain(wanted.keys()))?;
        for (path, content) in &wanted {
            write_if_changed(&self.dir.join(path), content)?;
        }
        for path in before.iter().filter(|path| !wanted.contains_key(*path)) {
            self.restore(path)?;
        }
        self.manage(wanted.keys())
    }

    /// All files that the overlay changes or adds, as it wants them.
    pub fn overlaid(&self, overlay: &Overlay) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut wanted = self.patched(overlay)?;
        wanted.extend(
            overlay
                .files
                .iter()
                .map(|(path, content)| (path.clone(), content.clone())),
        );
        Ok(wanted)
    }

    /// The paths that the patches of `overlay` name.
    pub fn edited(&self, overlay: &Overlay) -> BTreeSet<PathBuf> {
        overlay
            .patches
            .values()
            .flat_map(|patch| touched(patch))
            .collect()
    }

    /// The files that the patches touch, patched.
    fn patched(&self, overlay: &Overlay) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let scratch = TempDir::new()?;
        for (name, patch) in &overlay.patches {
            for path in touched(patch) {
                let (original, copy) = (self.original(&path)?, scratch.path().join(&path));
                if let (Some(original), false) = (original, copy.exists()) {
                    fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
                    fs::copy(original, copy)?;
                }
            }
            apply(patch, scratch.path())
                .with_context(|| format!("kernel/patches/{} does not apply", name.display()))?;
        }
        read_dir(scratch.path(), scratch.path())
    }

    /// Where the original of a file is, if Linux has it.
    pub fn original(&self, path: &Path) -> Result<Option<PathBuf>> {
        let kept = self.originals().join(path);
        let plain = self.dir.join(path);
        Ok(if kept.exists() {
            Some(kept)
        } else {
            Some(plain)
                .filter(|plain| plain.exists())
                .filter(|_| !self.managed().is_ok_and(|paths| paths.contains(path)))
        })
    }

    fn keep_original(&self, path: &Path) -> Result<()> {
        let (from, to) = (self.dir.join(path), self.originals().join(path));
        if from.exists() && !to.exists() {
            write_if_changed(&to, &fs::read(from)?)?;
        }
        Ok(())
    }

    fn restore(&self, path: &Path) -> Result<()> {
        let (original, file) = (self.originals().join(path), self.dir.join(path));
        match fs::read(original) {
            Ok(content) => write_if_changed(&file, &content),
            Err(_) => {
                fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))
            }
        }
    }

    /// A path beside the tree.
    fn beside(&self, what: &str) -> PathBuf {
        let mut path = self.dir.clone().into_os_string();
        path.push(".");
        path.push(what);
        path.into()
    }

    fn originals(&self) -> PathBuf {
        self.beside("originals")
    }

    /// The paths that may differ from the original.
    fn managed(&self) -> Result<BTreeSet<PathBuf>> {
        let list = self.beside("managed");
        let paths = if list.exists() {
            fs::read_to_string(list)?
        } else {
            String::new()
        };
        Ok(paths.lines().map(PathBuf::from).collect())
    }

    fn manage<'a>(&self, paths: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        let paths: BTreeSet<String> = paths.map(|path| format!("{}\n", path.display())).collect();
        write_if_changed(
            &self.beside("managed"),
            paths.into_iter().collect::<String>().as_bytes(),
        )
    }
}

/// What `make kernelversion` says, without make.
fn version(tree: &Path) -> Result<String> {
    let makefile = tree.join("Makefile");
    let text =
        fs::read_to_string(&makefile).with_context(|| format!("reading {}", makefile.display()))?;
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        line.map(str::trim)
            .with_context(|| format!("{} has no {name}", makefile.display()))
    };
    Ok(format!(
        "{}.{}.{}",
        value("VERSION")?,
        value("PATCHLEVEL")?,
        value("SUBLEVEL")?
    ))
}

/// The paths that a patch names.
fn touched(patch: &[u8]) -> BTreeSet<PathBuf> {
    let text = String::from_utf8_lossy(patch);
    let path = |line: &str| {
        line.strip_prefix("+++ b/")
            .or(line.strip_prefix("--- a/"))
            .map(|path| PathBuf::from(path.trim()))
    };
    text.lines().filter_map(path).collect()
}

fn apply(patch: &[u8], dir: &Path) -> Result<()> {
    let mut command = Command::new("patch");
    command.args([
        "--strip=1",
        "--batch",
        "--forward",
        "--fuzz=0",
        "--reject-file=-",
        "--no-backup-if-mismatch",
    ]);
    let mut child = command
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("standard input is a pipe")?
        .write_all(patch)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|now| now == content) {
        return Ok(());
    }
    let parent = path.parent().context("a file has a folder")?;
    fs::create_dir_all(parent)?;
    let mut file = NamedTempFile::new_in(parent)?;
    file.write_all(content)?;
    file.persist(path)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (TempDir, Tree) {
        let scratch = TempDir::new().unwrap();
        let dir = scratch.path().join("linux");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("Kconfig"), "one\ntwo\nthree\n").unwrap();
        (
            scratch,
            Tree {
                name: "linux".into(),
                dir,
            },
        )
    }

    fn overlay(files: &[(&str, &str)], patches: &[&str]) -> Overlay {
        let files = files
            .iter()
            .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
            .collect();
        let name = |at: usize| PathBuf::from(format!("{at:04}.patch"));
        Overlay {
            files,
            patches: patches
                .iter()
                .enumerate()
                .map(|(at, text)| (name(at), text.as_bytes().to_vec()))
                .collect(),
        }
    }

    const TWO_TO_2: &str =
        "--- a/Kconfig\n+++ b/Kconfig\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    const THREE_TO_3: &str =
        "--- a/Kconfig\n+++ b/Kconfig\n@@ -1,3 +1,3 @@\n one\n 2\n-three\n+3\n";

    #[test]
    fn patches_build_on_each_other_and_are_taken_back() {
        let (_scratch, tree) = tree();
        let read = || fs::read_to_string(tree.dir.join("Kconfig")).unwrap();
        tree.prepare(&overlay(&[], &[TWO_TO_2, THREE_TO_3]))
            .unwrap();
        assert_eq!(read(), "one\n2\n3\n");
        tree.prepare(&overlay(&[], &[TWO_TO_2])).unwrap();
        assert_eq!(read(), "one\n2\nthree\n");
        tree.prepare(&overlay(&[], &[])).unwrap();
        assert_eq!(read(), "one\ntwo\nthree\n");
    }

    #[test]
    fn new_files_come_and_go_and_unchanged_ones_keep_their_time() {
        let (_scratch, tree) = tree();
        let new = tree.dir.join("drivers/new.rs");
        tree.prepare(&overlay(&[("drivers/new.rs", "//! New.\n")], &[TWO_TO_2]))
            .unwrap();
        let time = || fs::metadata(&new).unwrap().modified().unwrap();
        let before = time();
        tree.prepare(&overlay(&[("drivers/new.rs", "//! New.\n")], &[]))
            .unwrap();
        assert_eq!(time(), before);
        tree.prepare(&overlay(&[], &[])).unwrap();
        assert!(!new.exists());
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named_and_changes_nothing() {
        let (_scratch, tree) = tree();
        let error = tree.prepare(&overlay(&[], &[THREE_TO_3])).unwrap_err();
        assert!(
            format!("{error:#}").contains("0000.patch does not apply"),
            "{error:#}"
        );
        assert_eq!(
            fs::read_to_string(tree.dir.join("Kconfig")).unwrap(),
            "one\ntwo\nthree\n"
        );
    }
}
