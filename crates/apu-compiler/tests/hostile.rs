//! Whatever the bytes: an error or a program that the firmware accepts, and memory in proportion.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod toy;

use std::sync::{Mutex, OnceLock};

use apu_compiler::{Optimise, Options, compile, inspect};
use peak_alloc::PeakAlloc;
use proptest::{prelude::*, sample::Index};
use toy::{ADD, Model, RESHAPE, bytes};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Models to damage: one written here, and the smaller ones of the folder.
fn models() -> &'static [Vec<u8>] {
    static MODELS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let toy = Model {
            tensors: vec![
                bytes(&[4]),
                bytes(&[4]).with_data(&[1, 2, 3, 4]),
                bytes(&[4]),
                bytes(&[2, 2]),
            ],
            operators: vec![(ADD, vec![0, 1], vec![2]), (RESHAPE, vec![2], vec![3])],
            inputs: vec![0],
            outputs: vec![3],
            ..Model::default()
        };
        let real = folder::models()
            .into_iter()
            .map(|(_, model)| model)
            .filter(|model| model.len() < 600_000);
        std::iter::once(toy.build()).chain(real).collect()
    })
}

/// Held while memory is measured: the tests of one binary run side by side.
static MEASURING: Mutex<()> = Mutex::new(());

/// Compiles and inspects, and checks what must hold for any bytes.
fn survive(file: &[u8]) {
    let _measuring = MEASURING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let small = Options {
        optimise: Optimise::Size,
        ..Options::default()
    };
    let compiled = compile(file, &Options::default()).and_then(|_| compile(file, &small));
    let report = inspect(file);
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        peak <= 64 * file.len() + (4 << 20),
        "{peak} bytes for a file of {}",
        file.len()
    );
    if let Ok(compiled) = compiled {
        assert!(report.is_ok());
        let code_size = u32::from_le_bytes(compiled.program[72..76].try_into().unwrap()) as usize;
        apu_firmware::Program::validate(&compiled.program[..code_size]).unwrap();
    }
}

/// Numbers that lengths, offsets and shapes go wrong with.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0..64u32,
        Just(u32::MAX),
        Just(i32::MAX as u32),
        Just(1 << 31),
        (0..32u32).prop_map(|bit| 1 << bit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_models(
        model in any::<Index>(),
        // Two thirds near the end or the beginning, where the structure is; the rest anywhere.
        changes in prop::collection::vec((any::<Index>(), 0..3, number(), prop::bool::ANY), 1..12),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let mut file = model.get(models()).clone();
        for (place, region, number, word) in changes {
            let near = 4096.min(file.len());
            let at = match region {
                0 => place.index(near),
                1 => file.len() - near + place.index(near),
                _ => place.index(file.len()),
            };
            let size = if word { 4 } else { 1 };
            for (byte, new) in file[at..].iter_mut().zip(&number.to_le_bytes()[..size]) {
                *byte = *new;
            }
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        survive(&file);
    }

    #[test]
    fn noise(mut file in prop::collection::vec(any::<u8>(), 0..300), signed in any::<bool>()) {
        if let (true, Some(identifier)) = (signed, file.get_mut(4..8)) {
            identifier.copy_from_slice(b"TFL3");
        }
        survive(&file);
    }
}

#[test]
fn a_length_of_gigabytes_costs_nothing() {
    let mut model = models()[0].clone();
    let lengths: Vec<usize> = (0..model.len() - 4).step_by(4).collect();
    for at in lengths {
        let old: [u8; 4] = model[at..at + 4].try_into().unwrap();
        model[at..at + 4].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
        survive(&model);
        model[at..at + 4].copy_from_slice(&old);
    }
}
