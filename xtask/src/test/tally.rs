//! How many test cases passed, read from what test programs print.

use std::fmt;
use std::ops::Add;

/// Numbers of cases.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Could not be run here.
    pub skipped: usize,
}

impl Tally {
    /// A single case.
    pub fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            skipped: 0,
        }
    }

    /// Takes in what a line says: libtest's `test result: ok. 2 passed; 0 failed; 1 ignored; ...`, or
    /// a test's own `skipped: NAME: WHY`. Returns whether it says anything.
    pub fn read(&mut self, line: &str) -> bool {
        if line.starts_with("skipped: ") {
            self.skipped += 1;
            return true;
        }
        let Some(result) = result(line) else {
            return false;
        };
        *self = *self + result;
        true
    }
}

fn result(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?;
    let count = |what: &str| {
        let mut words = counts.split_once(what)?.0.split_whitespace().rev();
        words.next()?.parse().ok()
    };
    Some(Tally {
        passed: count(" passed")?,
        failed: count(" failed")?,
        skipped: count(" ignored").unwrap_or(0),
    })
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_test_programs_are_read() {
        let mut tally = Tally::default();
        assert!(tally.read(
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out"
        ));
        assert!(tally.read("test result: 8 passed; 0 failed"));
        assert!(tally.read("skipped: keyword_spotting: no models"));
        assert!(!tally.read("test a ... ok"));
        assert_eq!(
            tally,
            Tally {
                passed: 20,
                failed: 3,
                skipped: 2
            }
        );
    }

    #[test]
    fn the_closing_line() {
        let tally = Tally {
            passed: 3,
            failed: 0,
            skipped: 0,
        };
        assert_eq!(tally.to_string(), "3 passed, 0 failed");
        assert_eq!(
            Tally {
                skipped: 2,
                ..tally
            }
            .to_string(),
            "3 passed, 0 failed, 2 skipped"
        );
    }
}
