//! The kernel's core dumps of devices, of which each device has one at most until it was put away.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FOLDER: &str = "/sys/class/devcoredump";
/// Longer than the kernel takes to write one.
const PATIENCE: Duration = Duration::from_secs(30);

/// The files of all dumps that are there.
fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let data = entries.map(|entry| entry.path().join("data"));
    data.filter(|path| path.exists()).collect()
}

/// What `find` finds, which may take a while.
fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// Puts all dumps away.
pub fn clear() {
    eventually("a core dump stays", || {
        let files = files();
        for file in &files {
            // It may have gone by itself.
            let _ = fs::write(file, "1");
        }
        files.is_empty().then_some(())
    });
}

/// The text of a dump that is there, or comes.
pub fn read() -> String {
    eventually("no core dump", || fs::read_to_string(files().first()?).ok())
}
