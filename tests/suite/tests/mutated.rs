//! Models and programs of every operator, each a little damaged. `APU_MUTATED_CASES` gives more time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use apu_compiler::{Options, compile, import};
use proptest::prelude::*;
use proptest::sample::Index;
use suite::{golden, hostile, mutate, tflite};

static MODELS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(golden::models);
static PROGRAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| hostile::programs(&MODELS));

/// Numbers that sizes, offsets and indices go wrong with.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0..64u32,
        Just(u32::MAX),
        Just(i32::MAX as u32),
        (0..32u32).prop_map(|bit| 1 << bit),
    ]
}

/// Where, what, and whether it is a whole word there.
type Change = (Index, u32, bool);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<Index>(), number(), any::<bool>()), 1..6)
}

fn changed(file: &[u8], changes: &[Change], within: usize) -> Vec<u8> {
    let mut file = file.to_vec();
    for (place, number, word) in changes {
        let place = place.index(within.min(file.len()));
        // Numbers lie at multiples of their size.
        let (at, size) = if *word { (place & !3, 4) } else { (place, 1) };
        for (byte, new) in file[at..].iter_mut().zip(&number.to_le_bytes()[..size]) {
            *byte = *new;
        }
    }
    file
}

fn config() -> ProptestConfig {
    let cases = std::env::var("APU_MUTATED_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(4000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn models(model in any::<Index>(), changes in changes()) {
        let model = model.get(&MODELS);
        let changed = changed(model, &changes, model.len());
        hostile::importer(&changed);
        hostile::compiler(&changed);
    }

    #[test]
    fn models_that_still_are_some(model in any::<Index>(), seed in any::<u64>()) {
        let model: &Vec<u8> = model.get(&MODELS);
        if let Some(changed) = mutate::model(model, seed) {
            hostile::compiler(&changed);
        }
    }

    #[test]
    fn programs(program in any::<Index>(), changes in changes()) {
        let program = program.get(&PROGRAMS);
        let code = u32::from_le_bytes(program[72..76].try_into().unwrap()) as usize;
        let changed = changed(program, &changes, code);
        hostile::validator(&changed);
        hostile::interpreter(&changed);
    }

    #[test]
    fn programs_that_still_are_some(program in any::<Index>(), seed in any::<u64>()) {
        let program: &Vec<u8> = program.get(&PROGRAMS);
        if let Some(changed) = mutate::program(program, seed) {
            hostile::validator(&changed);
            hostile::interpreter(&changed);
        }
    }

    #[test]
    fn records(bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
        hostile::validator(&bytes);
    }
}

#[test]
fn whole_ones_pass() {
    assert!(MODELS.len() > 100, "{} models", MODELS.len());
    for model in MODELS.iter() {
        hostile::importer(model);
        hostile::compiler(model);
    }
    for program in PROGRAMS.iter() {
        hostile::validator(program);
        hostile::interpreter(program);
    }
}

#[test]
fn a_model_that_is_written_anew_is_the_same() {
    for model in MODELS.iter() {
        let graph = import(model).unwrap();
        let written = tflite::write(&graph);
        let again = import(&written).unwrap();
        assert_eq!(format!("{again:?}"), format!("{graph:?}"));
    }
}

/// What fuzzing a target once found.
fn found(target: &str) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/found");
    let files = fs::read_dir(folder.join(target)).unwrap();
    files.map(|file| {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    })
}

#[test]
fn models_that_fuzzing_once_found_are_refused() {
    for (path, model) in found("importer").chain(found("compiler")) {
        hostile::importer(&model);
        hostile::compiler(&model);
        assert!(compile(&model, &Options::default()).is_err(), "{path:?}");
    }
}

#[test]
fn programs_that_fuzzing_once_found_give_the_same_everywhere() {
    for (_, program) in found("interpreter").chain(found("validator")) {
        hostile::validator(&program);
        hostile::interpreter(&program);
    }
}
