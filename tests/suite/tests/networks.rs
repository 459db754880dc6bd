//! Whole networks with the operators of the public ones, byte for byte as LiteRT computes them, and nothing
//! left over. `tests/networks` makes them; `APU_MODEL_RUNS` asks for more inputs.
#![allow(missing_docs, clippy::expect_used)]

use std::collections::BTreeSet;

use apu_compiler::{Error, Numerics, Optimise, Options};
use suite::archive::Case;
use suite::inference::verdict;
use suite::litert::{LiteRt, runs};
use suite::skip::or_skip;

/// Inputs of each network.
const RUNS: u32 = 4;

/// With XNNPACK's float32 some results depend on the processor.
const PLACED_IN_PART_FOR_XNNPACK: [(&str, &str); 13] = [
    ("movenet", "SQRT"),
    ("ssd_fpnlite", "LOGISTIC"),
    ("selfie", "LOGISTIC"),
    ("hand_landmarks", "LOGISTIC"),
    ("face_embedding", "L2_NORMALIZATION"),
    ("face_embedding", "SUM"),
    ("mixed_precision", "ELU"),
    ("mixed_precision", "HARD_SWISH"),
    ("mixed_precision", "LEAKY_RELU"),
    ("mixed_precision", "LOGISTIC"),
    ("mixed_precision", "MEAN"),
    ("mixed_precision", "RSQRT"),
    ("mixed_precision", "SOFTMAX"),
];

#[test]
fn every_network_is_placed_whole_and_equals_litert() {
    check(Numerics::Tflite);
}

#[test]
fn every_network_equals_xnnpack() {
    check(Numerics::Xnnpack);
}

fn check(numerics: Numerics) {
    or_skip("networks", || {
        let litert = LiteRt::find()?;
        let folder = tempfile::tempdir().expect("a folder for the networks");
        litert.make_networks(folder.path());
        let cases = litert.references(folder.path(), numerics, runs(RUNS));
        assert!(cases.len() >= 26, "only {} networks", cases.len());
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|(name, case)| {
                let failure = failure(name, case, numerics)?;
                Some(format!("{name}, {numerics}: {failure}"))
            })
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    });
}

/// What is wrong with one network, however it is compiled.
fn failure(name: &str, case: &Case, numerics: Numerics) -> Option<String> {
    let expected = PLACED_IN_PART_FOR_XNNPACK
        .iter()
        .filter(|(partial, _)| *partial == name && numerics == Numerics::Xnnpack)
        .map(|(_, operator)| (*operator).to_owned())
        .collect();
    let options = Options {
        numerics,
        ..Options::default()
    };
    let refused = refused(case, &options);
    if refused != expected {
        return Some(format!("{refused:?} can't be placed"));
    }
    let placed = |optimise| Options {
        optimise,
        ..options.clone()
    };
    [Optimise::Speed, Optimise::Size]
        .into_iter()
        .filter(|_| refused.is_empty())
        .map(placed)
        .find_map(|options| verdict(case, &options).or_else(|| waste(case, &options)))
}

/// What is wrong with an arena that is more than a twentieth above the least.
fn waste(case: &Case, options: &Options) -> Option<String> {
    let totals = apu_compiler::compile(&case.model, options)
        .ok()?
        .report
        .totals;
    let (arena, least) = (totals.arena_bytes?, totals.arena_lower_bound?);
    (arena * 20 > least * 21).then(|| format!("an arena of {arena} bytes, {least} are enough"))
}

/// Kinds of operators that can't be placed.
fn refused(case: &Case, options: &Options) -> BTreeSet<String> {
    match apu_compiler::compile(&case.model, options) {
        Err(Error::Unplaced(operators)) => operators.into_iter().map(|op| op.opcode).collect(),
        _ => BTreeSet::new(),
    }
}
