//! Whole models, byte for byte as LiteRT computes them: by its plain kernels, and its optimised one for
//! int8 FULLY_CONNECTED; and by XNNPACK, as it does by default. `APU_MODEL_RUNS` asks for more inputs.
#![allow(missing_docs, clippy::expect_used)]

use std::path::PathBuf;

use apu_compiler::{Numerics, Optimise, Options};
use suite::archive::Case;
use suite::inference::verdict;
use suite::litert::{LiteRt, runs};
use suite::shared;
use suite::skip::{Skip, or_skip};

const PICTURES: [&str; 2] = ["images/grace_hopper.bmp", "images/cat.bmp"];

/// Random inputs of each model.
const RUNS: u32 = 10;

fn reference(model: &str, numerics: Numerics, pictures: &[&str]) -> Result<Case, Skip> {
    let litert = LiteRt::find()?;
    let pictures: Vec<PathBuf> = pictures
        .iter()
        .map(|p| shared::file(p))
        .collect::<Result<_, _>>()?;
    let path = shared::file(&format!("models/{model}.tflite"))?;
    Ok(litert.reference(&path, numerics, runs(RUNS), &pictures))
}

fn check(model: &str, pictures: &[&str]) {
    or_skip(model, || {
        for numerics in [Numerics::Tflite, Numerics::Xnnpack] {
            let case = reference(model, numerics, pictures)?;
            assert_eq!(case.runs(), runs(RUNS) as usize + pictures.len());
            for optimise in [Optimise::Speed, Optimise::Size] {
                let options = Options {
                    numerics,
                    optimise,
                    ..Options::default()
                };
                assert_eq!(verdict(&case, &options), None, "{model}: {options:?}");
            }
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
        let case = reference("mobilenet_v2_1.0_224_quant", Numerics::Tflite, &PICTURES)?;
        let labels = std::fs::read_to_string(shared::file("models/imagenet_labels.txt")?);
        let labels = labels.expect("labels are UTF-8");
        let best = |run| {
            (0..)
                .zip(case.outputs[0].tensor(run))
                .max_by_key(|&(_, score)| score)
        };
        let named = |run| labels.lines().nth(best(run)?.0);
        let [soldier, cat] = [runs(RUNS) as usize, runs(RUNS) as usize + 1].map(named);
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
