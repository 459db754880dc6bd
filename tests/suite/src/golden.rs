//! The stored vectors of single operators.

use std::path::{Path, PathBuf};

use crate::archive::{Archive, Case};
use crate::inference::verdict;

/// The folder with the vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

/// The vectors of one operator.
pub fn open(operator: &str) -> Archive {
    Archive::open(&folder().join(operator).with_extension("npz"))
}

/// Demands that the device under test answers every case of a kind byte for byte.
pub fn check(operator: &str, kind: &str) {
    let cases = open(operator).cases(kind);
    assert!(
        cases.len() >= 25,
        "{operator} {kind} has {} cases only",
        cases.len()
    );
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(
        failures.is_empty(),
        "{operator}: {} of {} cases fail\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn failure(case: &Case) -> Option<String> {
    let verdict = verdict(case)?;
    Some(format!("{}: {verdict}\n    {}", case.name, case.parameters))
}
