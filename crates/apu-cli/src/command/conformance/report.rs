//! What was seen, for people and for programs.

use std::io::Write;
use std::time::Duration;

use apu_conformance::{Kept, Rule, Unproven};
use serde::Serialize;

use crate::error::Error;

/// Of all rules that were checked.
#[derive(Debug, Serialize)]
pub struct Report {
    pub device: String,
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
    pub filtered_out: usize,
    pub seconds: f64,
    pub rules: Vec<Verdict>,
}

/// Of one rule.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub name: String,
    pub rule: String,
    /// Where it is written.
    pub written: &'static str,
    pub outcome: Outcome,
    /// What was seen instead, or why nothing could be seen.
    pub seen: Option<String>,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Failed,
    Ignored,
}

impl Outcome {
    fn mark(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m✓\x1b[0m",
            Self::Failed => "\x1b[31m✗\x1b[0m",
            Self::Ignored => "\x1b[33m-\x1b[0m",
        }
    }
}

impl Verdict {
    pub fn new(rule: &Rule, kept: Kept, took: Duration) -> Self {
        let (outcome, seen) = match kept {
            Ok(()) => (Outcome::Ok, None),
            Err(Unproven::Broken { seen }) => (Outcome::Failed, Some(seen)),
            Err(Unproven::Lacking { what }) => (Outcome::Ignored, Some(what)),
        };
        Self {
            name: rule.id(),
            rule: rule.sentence().into_owned(),
            written: rule.written,
            outcome,
            seen,
            seconds: took.as_secs_f64(),
        }
    }

    /// One line; more when the rule is broken.
    pub fn print(&self) -> Result<(), Error> {
        let Self {
            name,
            rule,
            written,
            outcome,
            seen,
            ..
        } = self;
        let seen = seen.as_deref().unwrap_or_default();
        let mark = outcome.mark();
        let text = match outcome {
            Outcome::Ok => format!("  {mark} {rule}"),
            Outcome::Ignored => format!("  {mark} {rule}\n      ignored: {seen}"),
            Outcome::Failed => {
                format!(
                    "  {mark} {rule}\n      seen     {seen}\n      written  {written}\n      test     {name}"
                )
            }
        };
        show(&text)
    }
}

impl Report {
    pub fn new(device: String, filtered_out: usize) -> Self {
        Self {
            device,
            passed: 0,
            failed: 0,
            ignored: 0,
            filtered_out,
            seconds: 0.0,
            rules: Vec::new(),
        }
    }

    pub fn add(&mut self, verdict: Verdict) {
        match verdict.outcome {
            Outcome::Ok => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Ignored => self.ignored += 1,
        }
        self.seconds += verdict.seconds;
        self.rules.push(verdict);
    }

    pub fn print_device(&self) -> Result<(), Error> {
        show(&format!("\x1b[1m{}\x1b[0m", self.device))
    }

    /// The last line, as libtest's.
    pub fn print_result(&self) -> Result<(), Error> {
        let Self {
            passed,
            failed,
            ignored,
            filtered_out,
            seconds,
            ..
        } = self;
        let result = if *failed == 0 {
            "\x1b[32mok\x1b[0m"
        } else {
            "\x1b[31mFAILED\x1b[0m"
        };
        show(&format!(
            "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
             {filtered_out} filtered out; finished in {seconds:.2}s"
        ))
    }
}

/// Prints a line, in colours on a terminal that wants them.
fn show(text: &str) -> Result<(), Error> {
    Ok(writeln!(anstream::stdout(), "{text}")?)
}
