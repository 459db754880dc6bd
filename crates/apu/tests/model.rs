//! Models and contexts on the in-process device: what a user of the library relies on.
#![allow(clippy::unwrap_used)]

mod digits;

use std::thread;
use std::time::Duration;

use apu::{Context, ContextOptions, Device, Error, Model, Program, QueueOptions};
use digits::{CLASSES, INPUT, picture};

fn model() -> Model {
    Model::load(
        &Device::open(Device::IN_PROCESS).unwrap(),
        digits::program(),
    )
    .unwrap()
}

fn classify(context: &mut Context, picture: &[u8]) -> [u8; CLASSES] {
    let mut scores = [0; CLASSES];
    context.run(&[picture], &mut [&mut scores]).unwrap();
    scores
}

#[test]
fn a_run_copies_in_and_out_what_a_run_in_place_leaves_there() {
    let mut context = model().context().unwrap();
    let copied = classify(&mut context, &picture(1));
    classify(&mut context, &picture(2));
    context.input_mut(0).unwrap().copy_from_slice(&picture(1));
    context.run_in_place().unwrap();
    assert_eq!(context.output(0).unwrap(), copied);
}

#[test]
fn scores_depend_on_the_picture_and_sum_up_to_one() {
    let mut context = model().context().unwrap();
    let (one, other) = (
        classify(&mut context, &picture(1)),
        classify(&mut context, &picture(99)),
    );
    assert_ne!(one, other);
    let sum: i32 = one
        .iter()
        .map(|&score| i32::from(score.cast_signed()) + 128)
        .sum();
    assert!((250..=262).contains(&sum), "256ths that sum to {sum}");
}

#[test]
fn contexts_of_one_model_run_side_by_side_and_apart() {
    let model = model();
    let expected: Vec<_> = (0..4)
        .map(|seed| classify(&mut model.context().unwrap(), &picture(seed)))
        .collect();
    let model = &model;
    let found: Vec<_> = thread::scope(|scope| {
        let run = |seed| {
            let mut context = model.context().unwrap();
            (0..50)
                .map(|_| classify(&mut context, &picture(seed)))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || run(seed))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.iter().all(|scores| scores == expected));
    }
}

#[test]
fn a_context_outlives_model_and_device() {
    let mut context = model().context().unwrap();
    classify(&mut context, &picture(3));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let mut context = model().context().unwrap();
    let mut scores = [0; CLASSES];
    let short = context
        .run(&[&[0; INPUT - 1]], &mut [&mut scores])
        .unwrap_err();
    assert!(matches!(
        short,
        Error::TensorSize {
            what: "input",
            index: 0,
            got: 63,
            needed: 64,
            ..
        }
    ));
    let none = context.run(&[], &mut [&mut scores]).unwrap_err();
    assert!(matches!(
        none,
        Error::TensorCount {
            what: "input",
            got: 0,
            needed: 1
        }
    ));
    let missing = context.input_mut(1).unwrap_err();
    assert_eq!(missing.to_string(), "there is no input 1: the model has 1");
}

#[test]
fn a_job_that_takes_too_long_is_given_up_and_the_next_one_runs_afresh() {
    let queue = QueueOptions {
        timeout: Duration::ZERO,
        ..QueueOptions::default()
    };
    let options = ContextOptions {
        queue,
        ..ContextOptions::default()
    };
    let mut context = model().context_with(options).unwrap();
    for _ in 0..2 {
        let error = context.run_in_place().unwrap_err();
        assert!(matches!(error, Error::JobTimedOut { .. }), "{error}");
        let operator = error.operator().unwrap();
        assert_eq!(operator.index, Some(0));
        assert!(
            operator.name.as_ref().unwrap().starts_with("CONV_2D `"),
            "{operator}"
        );
    }
}

#[test]
fn a_program_for_another_target_is_refused_with_both_names() {
    let mut file = digits::file();
    let target = std::mem::offset_of!(apu_proto::program::Header, target);
    file[target..target + 5].copy_from_slice(b"k8n32");
    let program = Program::parse(rehash(file)).unwrap();
    let error = Model::load(&Device::open(Device::IN_PROCESS).unwrap(), program).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the program is packed for target `k8n32`, the device runs `k4n16`; compile the model for that"
    );
}

/// Makes the hash true again after a change.
fn rehash(mut file: Vec<u8>) -> Vec<u8> {
    let hash = std::mem::offset_of!(apu_proto::program::Header, hash);
    file[hash..hash + 32].fill(0);
    let new = blake3::hash(&file);
    file[hash..hash + 32].copy_from_slice(new.as_bytes());
    file
}

#[test]
fn damaged_programs_are_told_apart() {
    let file = digits::file();
    let error = |file: Vec<u8>| Program::parse(file).unwrap_err();

    assert!(matches!(
        error(b"GIF89a".to_vec()),
        Error::NotAProgram { .. }
    ));
    assert!(matches!(error(Vec::new()), Error::NotAProgram { .. }));
    assert!(matches!(
        error(file[..100].to_vec()),
        Error::Truncated {
            part: "header",
            needed: 192,
            got: 100
        }
    ));
    assert!(matches!(
        error(file[..file.len() / 2].to_vec()),
        Error::Truncated { .. }
    ));

    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(error(flipped), Error::Damaged));

    let mut newer = file.clone();
    newer[8] = 3;
    assert!(matches!(
        error(newer),
        Error::ProgramVersion { major: 3, .. }
    ));
}

#[test]
fn no_byte_of_a_header_can_make_parse_panic() {
    let file = digits::file();
    for at in 8..192 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = file.clone();
            file[at] = value;
            drop(Program::parse(rehash(file)));
        }
    }
}

#[test]
fn devices_that_are_none_say_so() {
    let error = |name| Device::open(name).unwrap_err();
    assert!(matches!(error("npu"), Error::UnknownDevice { .. }));
    assert!(matches!(error("/dev/accel/none"), Error::Open { .. }));
    assert!(matches!(error("/dev/null"), Error::NotAnApu { .. }));
}
