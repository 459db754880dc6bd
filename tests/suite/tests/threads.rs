//! Several threads compute the bytes that one does, in-process.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use apu::{Context, ContextOptions, Device, Model, Program, QueueOptions};
use apu_compiler::{Numerics, Options};
use suite::inference::run;
use suite::shared;
use suite::skip::or_skip;

const MODELS: [&str; 6] = [
    "ad01_int8",
    "kws_ref_model",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "pretrainedResnet_quant",
    "vww_96_int8",
];

#[test]
fn every_model_has_the_same_outputs_with_one_to_four_threads() {
    or_skip("threads", || {
        for model in MODELS {
            check(&shared::file(&format!("models/{model}.tflite"))?);
        }
        Ok(())
    });
}

fn check(path: &Path) {
    let file = std::fs::read(path).unwrap();
    for numerics in [Numerics::Tflite, Numerics::Xnnpack] {
        let options = Options {
            numerics,
            ..Options::default()
        };
        let program = apu_compiler::compile(&file, &options).unwrap().program;
        let mut alone = context(&program, 1);
        let mut several: Vec<Context> = (2..=4).map(|it| context(&program, it)).collect();
        for seed in 0..3 {
            let inputs = noise(&alone, seed);
            let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let want = run(&mut alone, &inputs).unwrap();
            for (context, threads) in several.iter_mut().zip(2..) {
                let got = run(context, &inputs).unwrap();
                assert!(got == want, "{}: {threads} threads", path.display());
            }
        }
    }
}

fn context(program: &[u8], threads: usize) -> Context {
    let queue = QueueOptions {
        threads,
        ..QueueOptions::default()
    };
    let options = ContextOptions {
        queue,
        ..ContextOptions::default()
    };
    let device = Device::open(Device::IN_PROCESS).unwrap();
    let model = Model::load(&device, Program::parse(program).unwrap()).unwrap();
    model.context_with(options).unwrap()
}

/// Bytes for each input, the same ones for the same seed.
fn noise(context: &Context, seed: u32) -> Vec<Vec<u8>> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let inputs = context.model().program().inputs();
    let tensors = inputs.iter().map(|input| input.size);
    tensors
        .map(|size| (0..size).map(|_| next()).collect())
        .collect()
}
