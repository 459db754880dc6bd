//! Every operator against LiteRT run live, on other cases than the stored ones. `APU_SWEEP_SEED` gives
//! again others.
#![allow(missing_docs, clippy::expect_used)]

use apu_compiler::Numerics;
use suite::golden;
use suite::litert::LiteRt;
use suite::skip::or_skip;

const SEED: &str = "1";
/// The script's own.
const STORED_SEED: &str = "20";

#[test]
fn every_operator_equals_litert_on_fresh_cases() {
    sweep(Numerics::Tflite);
}

#[test]
fn every_operator_equals_xnnpack_on_fresh_cases() {
    sweep(Numerics::Xnnpack);
}

#[test]
fn the_script_makes_the_stored_vectors_again() {
    or_skip("the script makes the stored vectors again", || {
        let folder = tempfile::tempdir().expect("a folder for the cases");
        LiteRt::find()?.draw_cases(STORED_SEED, Numerics::Tflite, folder.path());
        let unlike = golden::unlike_in(folder.path());
        assert!(unlike.is_empty(), "{}", unlike.join("\n"));
        Ok(())
    });
}

fn sweep(numerics: Numerics) {
    or_skip("sweep", || {
        let seed = std::env::var("APU_SWEEP_SEED").unwrap_or_else(|_| SEED.into());
        let folder = tempfile::tempdir().expect("a folder for the cases");
        LiteRt::find()?.draw_cases(&seed, numerics, folder.path());
        let failures = golden::failures_in(folder.path(), numerics);
        let count = failures.len();
        assert_eq!(count, 0, "with seed {seed}:\n{}", failures.join("\n"));
        Ok(())
    });
}
