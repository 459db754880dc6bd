//! What a kernel with checks switched on knows about itself at the end of a job.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
const LOCKDEP: &str = "/proc/lockdep_stats";
/// kmemleak says nothing about what is younger than this.
const LEAK_AGE: Duration = Duration::from_secs(5);

/// Asks for leaks, and whether lock checking has switched itself off.
pub fn check() -> Result<Vec<String>> {
    let mut complaints = leaks()?;
    let stats = fs::read_to_string(LOCKDEP).with_context(|| format!("reading {LOCKDEP}"))?;
    if !locks_are_checked(&stats) {
        complaints.push(
            "lockdep has switched itself off (debug_locks is not 1), so it proves nothing".into(),
        );
    }
    Ok(complaints)
}

/// Scans twice, since the first scan only notes what it sees, and reports what both saw.
fn leaks() -> Result<Vec<String>> {
    let scan = || fs::write(KMEMLEAK, "scan").with_context(|| format!("writing {KMEMLEAK}"));
    scan()?;
    thread::sleep(LEAK_AGE);
    scan()?;
    let report = fs::read_to_string(KMEMLEAK).with_context(|| format!("reading {KMEMLEAK}"))?;
    Ok(report
        .lines()
        .map(|line| format!("kmemleak: {line}"))
        .collect())
}

fn locks_are_checked(stats: &str) -> bool {
    stats
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.trim() == "debug_locks" && value.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockdep_that_is_off_is_seen() {
        assert!(locks_are_checked(
            " lock-classes:  1 [max: 8192]\n debug_locks:        1\n"
        ));
        assert!(!locks_are_checked(" debug_locks:        0\n"));
        assert!(!locks_are_checked(""));
    }
}
