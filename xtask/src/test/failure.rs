//! What is said of a command that failed, once all steps are done: nobody reads upwards through a
//! whole log.

use std::collections::VecDeque;
use std::fmt;

/// Lines that end a failed command's output and are said again.
const LAST: usize = 12;
/// Failed cases that are named.
const NAMED: usize = 20;

/// Lines of a command's output that say what went wrong, collected as they come.
#[derive(Debug, Default)]
pub struct Watch {
    named: Vec<String>,
    last: VecDeque<String>,
}

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// The command, or why there is none.
    what: String,
    watch: Watch,
}

impl Watch {
    /// Takes in the next line.
    pub fn read(&mut self, line: &str) {
        if names_a_failure(line) && self.named.len() < NAMED {
            self.named.push(line.to_owned());
        } else if !line.trim().is_empty() {
            self.last.push_back(line.to_owned());
            if self.last.len() > LAST {
                self.last.pop_front();
            }
        }
    }

    /// What to say of `what`, whose output this was.
    pub fn failure(self, what: String) -> Failure {
        Failure { what, watch: self }
    }
}

/// Whether libtest, Python's unittest, the conformance suite or `xtask` itself calls this a failure.
fn names_a_failure(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("test ") && line.ends_with(" FAILED")
        || line.starts_with("FAIL: ")
        || line.starts_with("ERROR: ")
        || line.starts_with("✗ ")
        || line.starts_with("error")
        || line.contains("panicked at ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        let Watch { named, last } = &self.watch;
        for line in named {
            writeln!(f, "  {line}")?;
        }
        if !last.is_empty() {
            writeln!(f, "  ends with:")?;
        }
        last.iter().try_for_each(|line| writeln!(f, "  | {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_cases_are_named_and_the_end_is_said_again() {
        let mut watch = Watch::default();
        for line in 0..20 {
            watch.read(&format!("line {line}"));
        }
        for line in ["test good ... ok", "test bad ... FAILED", "  ✗ a rule", ""] {
            watch.read(line);
        }
        let said = watch.failure("$ cargo test".to_owned()).to_string();
        assert!(
            said.starts_with("$ cargo test\n  test bad ... FAILED\n    ✗ a rule\n  ends with:\n")
        );
        assert!(said.contains("| line 9\n") && said.ends_with("| test good ... ok\n"));
        assert!(!said.contains("| line 8\n"));
    }
}
