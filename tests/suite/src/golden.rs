//! The stored vectors of single operators.

use std::path::{Path, PathBuf};

use apu_compiler::{Numerics, Options};

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
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| failure(case, Numerics::Tflite))
        .collect();
    assert!(
        failures.is_empty(),
        "{operator}: {} of {} cases fail\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// One model of each kind that there are vectors of.
pub fn models() -> Vec<Vec<u8>> {
    let first_of_each = |path: PathBuf| {
        let mut archive = Archive::open(&path);
        let kinds = archive.kinds().into_iter();
        kinds
            .map(|kind| archive.cases(&kind).swap_remove(0).model)
            .collect::<Vec<_>>()
    };
    let mut models: Vec<Vec<u8>> = archives_in(&folder()).flat_map(first_of_each).collect();
    models.sort();
    models
}

fn archives_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = std::fs::read_dir(folder).expect("the folder is readable");
    let paths = paths.map(|entry| entry.expect("the folder is readable").path());
    paths.filter(|path| path.extension() == Some("npz".as_ref()))
}

/// What is wrong with the answers to all cases of all archives in a folder.
pub fn failures_in(folder: &Path, numerics: Numerics) -> Vec<String> {
    archives_in(folder)
        .flat_map(|path| failures_of(&path, numerics))
        .collect()
}

/// The stored cases that the archives in a folder have otherwise or not at all.
pub fn unlike_in(drawn: &Path) -> Vec<String> {
    let unlike = |path: PathBuf| {
        let name = path.file_name().expect("an archive has a name");
        let mut drawn = Archive::open(&drawn.join(name));
        let mut stored = Archive::open(&path);
        let kinds = stored.kinds().into_iter();
        let unlike = kinds.flat_map(|kind| {
            let (stored, drawn) = (stored.cases(&kind), drawn.cases(&kind));
            let unlike = stored.into_iter().filter(|case| !drawn.contains(case));
            unlike.map(|case| case.name).collect::<Vec<_>>()
        });
        let named = unlike.map(|case| format!("{}: {case}", name.display()));
        named.collect::<Vec<_>>()
    };
    archives_in(&folder()).flat_map(unlike).collect()
}

fn failures_of(path: &Path, numerics: Numerics) -> Vec<String> {
    let mut archive = Archive::open(path);
    let kinds = archive.kinds();
    let cases = kinds.iter().flat_map(|kind| archive.cases(kind));
    cases.filter_map(|case| failure(&case, numerics)).collect()
}

fn failure(case: &Case, numerics: Numerics) -> Option<String> {
    let options = Options {
        numerics,
        ..Options::default()
    };
    let verdict = verdict(case, &options)?;
    Some(format!("{}: {verdict}\n    {}", case.name, case.parameters))
}
