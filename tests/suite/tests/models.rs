//! Whole models, byte for byte as LiteRT computes them: its plain kernels, and its optimised one for
//! int8 FULLY_CONNECTED.
#![allow(missing_docs, clippy::expect_used)]

use std::path::PathBuf;

use apu_compiler::Optimise;
use suite::archive::Case;
use suite::inference::verdict_for;
use suite::litert::LiteRt;
use suite::shared;
use suite::skip::{Skip, or_skip};

const RUNS: u32 = 10;
const PICTURES: [&str; 2] = ["images/grace_hopper.bmp", "images/cat.bmp"];

fn reference(model: &str, pictures: &[&str]) -> Result<Case, Skip> {
    let litert = LiteRt::find()?;
    let pictures: Vec<PathBuf> = pictures
        .iter()
        .map(|p| shared::file(p))
        .collect::<Result<_, _>>()?;
    let path = shared::file(&format!("models/{model}.tflite"))?;
    Ok(litert.reference(&path, RUNS, &pictures))
}

fn check(model: &str, pictures: &[&str]) {
    or_skip(model, || {
        let case = reference(model, pictures)?;
        assert_eq!(case.runs(), RUNS as usize + pictures.len());
        for optimise in [Optimise::Speed, Optimise::Size] {
            assert_eq!(verdict_for(&case, optimise), None, "{model}, {optimise}");
        }
        Ok(())
    });
}

#[test]
fn keyword_spotting() {
    check("kws_ref_model", &[]);
}

#[test]
fn anomaly_detection() {
    check("ad01_int8", &[]);
}

#[test]
fn resnet() {
    check("pretrainedResnet_quant", &PICTURES);
}

#[test]
fn visual_wake_words() {
    check("vww_96_int8", &PICTURES);
}

#[test]
fn mobilenet_v1() {
    check("mobilenet_v1_0.25_128_quant", &PICTURES);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2_1.0_224_quant", &PICTURES);
}

#[test]
fn the_reference_knows_the_pictures() {
    or_skip("the_reference_knows_the_pictures", || {
        let case = reference("mobilenet_v2_1.0_224_quant", &PICTURES)?;
        let labels = std::fs::read_to_string(shared::file("models/imagenet_labels.txt")?);
        let labels = labels.expect("labels are UTF-8");
        let best = |run| {
            (0..)
                .zip(case.outputs[0].tensor(run))
                .max_by_key(|&(_, score)| score)
        };
        let named = |run| labels.lines().nth(best(run)?.0);
        let [soldier, cat] = [RUNS as usize, RUNS as usize + 1].map(named);
        assert!(
            soldier.is_some_and(|label| label.contains("military uniform")),
            "{soldier:?}"
        );
        assert!(
            cat.is_some_and(|label| label.contains("Egyptian cat")),
            "{cat:?}"
        );
        Ok(())
    });
}
