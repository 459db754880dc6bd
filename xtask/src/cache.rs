//! The cache outside the checkout: kernel sources and images, tools, Python environments.
//!
//! What is in it is either complete or not there: everything is made under a temporary name and
//! renamed. One lock file keeps runs apart; the system lets go of it however a run ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache's folder: `tinyapu` in `$XDG_CACHE_HOME`, else in `~/.cache`.
pub fn dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    let base = match base {
        Some(base) => base,
        None => std::env::home_dir()
            .context("neither XDG_CACHE_HOME nor HOME is set")?
            .join(".cache"),
    };
    let dir = base.join("tinyapu");
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// The exclusive right to change one part of the cache, until dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other run changes `part`.
    pub fn take(part: &str) -> Result<Self> {
        let locks = dir()?.join("locks");
        fs::create_dir_all(&locks)?;
        let path = locks.join(part);
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another run that works on {part} in the cache");
            file.lock()
                .with_context(|| format!("locking {}", path.display()))?;
        }
        Ok(Self { _file: file })
    }
}

/// Makes folder `path` whole or not at all: `fill` works in another one beside it. Runs that want the
/// same folder wait for each other.
pub fn publish_dir(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().context("the root cannot be published")?;
    let name = path.file_name().context("a folder has a name")?;
    fs::create_dir_all(parent)?;
    let _lock = Lock::take(&name.to_string_lossy())?;
    if path.exists() {
        return Ok(());
    }
    // Always the same name: what an interrupted run left there goes first.
    let staging = parent.join(format!(".staging-{}", name.display()));
    let clear = || {
        if staging.exists() {
            fs::remove_dir_all(&staging)
        } else {
            Ok(())
        }
    };
    clear()?;
    fs::create_dir(&staging)?;
    if let Err(error) = fill(&staging) {
        clear()?;
        return Err(error);
    }
    fs::rename(&staging, path).with_context(|| format!("publishing {}", path.display()))
}
