//! Several threads, or cores of a device, compute the bytes that one does.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use apu::{Context, ContextOptions, Device, Error, Model, Program, QueueOptions};
use apu_compiler::{Numerics, Options};
use suite::inference::run;
use suite::skip::{Skip, or_skip};
use suite::{device, golden, shared};

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
        let most = most_threads()?;
        for model in MODELS {
            check(&shared::file(&format!("models/{model}.tflite"))?, most);
        }
        Ok(())
    });
}

#[test]
fn a_device_has_no_more_threads_than_cores() {
    or_skip("a_device_has_no_more_threads_than_cores", || {
        if device::name() == Device::IN_PROCESS {
            return Err(Skip("in-process there may be more".into()));
        }
        let device = device::under_test();
        let limit = device.info().unwrap().core_count;
        let case = golden::open("conv_2d")
            .cases("int8_per_channel")
            .swap_remove(0);
        let program = apu_compiler::compile(&case.model, &Options::default()).unwrap();
        let model = Model::load(device, Program::parse(program.program).unwrap()).unwrap();
        let input = case.inputs[0].tensor(0);
        let threads = |number| run(&mut model.context_with(of(number))?, &[input]);
        let refused = threads(limit as usize + 1).unwrap_err();
        assert!(matches!(refused, Error::TooManyThreads { limit: it, .. } if it == limit));
        threads(limit as usize).unwrap();
        Ok(())
    });
}

/// How many threads there can be, if more than one.
fn most_threads() -> Result<usize, Skip> {
    if device::name() == Device::IN_PROCESS {
        return Ok(4);
    }
    match device::under_test().info().unwrap().core_count {
        1 => Err(Skip("the device has one core".into())),
        cores => Ok(cores as usize),
    }
}

fn check(path: &Path, most: usize) {
    let file = std::fs::read(path).unwrap();
    for numerics in [Numerics::Tflite, Numerics::Xnnpack] {
        let options = Options {
            numerics,
            ..Options::default()
        };
        let program = apu_compiler::compile(&file, &options).unwrap().program;
        let mut alone = context(&program, 1);
        let mut several: Vec<Context> = (2..=most).map(|it| context(&program, it)).collect();
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
    let device = device::under_test();
    let model = Model::load(device, Program::parse(program).unwrap()).unwrap();
    model.context_with(of(threads)).unwrap()
}

fn of(threads: usize) -> ContextOptions {
    let queue = QueueOptions {
        threads,
        ..QueueOptions::default()
    };
    ContextOptions {
        queue,
        ..ContextOptions::default()
    }
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
