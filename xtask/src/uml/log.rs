//! The guest's kernel log: where it is kept, and what in it fails a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Logs kept in the default folder.
const KEPT: usize = 20;

/// What no kernel may say during a run. Reports of KASAN, lockdep and the like begin with `BUG:` or
/// `WARNING:`.
const COMPLAINTS: [&str; 15] = [
    "BUG:",
    "WARNING:",
    "[ BUG",
    "Oops",
    "Kernel panic",
    "kernel BUG at",
    "KASAN",
    "UBSAN",
    "suspicious RCU",
    "INFO: task",
    "INFO: rcu",
    "new suspected memory leaks",
    "refcount_t:",
    "rust_kernel: panicked",
    "general protection fault",
];

/// User Mode Linux starts its second processor in a way that RCU's own check reports, once, before
/// any driver is there: `suspicious RCU usage` and then this.
const KNOWN_CAUSE: &str = "Callback enqueued on offline CPU";
const KNOWN: &str = "suspicious RCU usage";
/// Lines from the head of a report to its cause.
const HEAD: usize = 5;

/// The lines of `log` that fail a run.
pub fn complaints(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let known = |at: usize, line: &str| {
        let head = lines
            .get(at..lines.len().min(at + HEAD))
            .unwrap_or_default();
        line.contains(KNOWN) && head.iter().any(|line| line.contains(KNOWN_CAUSE))
    };
    let complains = |line: &str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    let found = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| complains(line) && !known(*at, line));
    found.map(|(_, line)| (*line).to_owned()).collect()
}

/// A new log's name in `dir`; the oldest logs there go.
pub fn fresh(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let mut logs: Vec<_> = fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    logs.sort_by_key(|log| fs::metadata(log).and_then(|data| data.modified()).ok());
    for old in logs.iter().rev().skip(KEPT - 1) {
        let _ = fs::remove_file(old);
    }
    Ok(dir.join(format!("kernel-{}.log", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_BOOT: &str = "[    0.3] =============================\n[    0.3] WARNING: suspicious RCU usage\n\
        [    0.3] 7.3.4 Not tainted\n[    0.3] -----------------------------\n\
        [    0.3] kernel/rcu/tree.c:3127 Callback enqueued on offline CPU 1!\n";

    #[test]
    fn the_known_line_is_excused() {
        assert!(complaints(AT_BOOT).is_empty());
    }

    #[test]
    fn another_rcu_report_is_not() {
        let log = AT_BOOT.replace(
            "Callback enqueued on offline CPU 1!",
            "suspicious rcu_dereference_check() usage!",
        );
        assert_eq!(
            complaints(&log),
            ["[    0.3] WARNING: suspicious RCU usage"]
        );
    }

    #[test]
    fn every_kind_of_report_is_found() {
        for line in [
            "BUG: KASAN: slab-use-after-free in foo",
            "WARNING: possible circular locking dependency detected",
            "WARNING: drivers/accel/apu/driver.rs:7 at 0x0, CPU#0: simd/33",
            "BUG: sleeping function called from invalid context at x.c:1",
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "rust_kernel: panicked at drivers/accel/apu/vm.rs:10:5:",
            "Kernel panic - not syncing: Segfault with no mm",
        ] {
            assert_eq!(
                complaints(&format!("[ 1.0] fine\n[ 1.1] {line}\r\n")).len(),
                1,
                "{line}"
            );
        }
        assert!(complaints("[    0.1] Linux version 7.3.4\n").is_empty());
    }
}
