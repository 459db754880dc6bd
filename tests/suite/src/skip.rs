//! Tests that can't run here say so where libtest does not hide it.

use std::io::Write;

/// Why a test can't run on this machine.
#[derive(Debug)]
pub struct Skip(pub String);

/// Runs a test that may turn out not to be runnable here.
pub fn or_skip(test: &str, body: impl FnOnce() -> Result<(), Skip>) {
    if let Err(Skip(why)) = body() {
        // Not `eprintln!`, which libtest captures. A closed stderr is nobody's concern.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    }
}
