//! Keeps a folder of entries below its limit.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::key;

/// Begins the name of an entry that is being written.
pub(super) const UNFINISHED: &str = ".unfinished-";
/// After this time nobody is writing it any more.
const ABANDONED: Duration = Duration::from_secs(3600);

struct Entry {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

/// Removes what a process that died left unfinished, and the entries that have not been used for
/// longest until the others are within the limit. Other files stay. That another process may do the same
/// meanwhile does no harm.
pub(super) fn sweep(folder: &Path, limit: u64) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, Ok(about)) = (entry.path(), entry.metadata()) else {
            continue;
        };
        let (size, used) = (about.len(), about.modified()?);
        let unfinished = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes());
        if unfinished && used.elapsed().is_ok_and(|age| age > ABANDONED) {
            remove(&path)?;
        } else if path.extension() == Some(OsStr::new(key::EXTENSION)) {
            entries.push(Entry { used, size, path });
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let mut total = 0u64;
    for entry in entries {
        total = total.saturating_add(entry.size);
        if total > limit {
            remove(&entry.path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
