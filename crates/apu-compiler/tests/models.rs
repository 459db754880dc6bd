//! Real models compile whole, the firmware accepts what comes out, and it takes little memory.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod folder;

use apu_compiler::report::Totals;
use apu_compiler::{Optimise, Options, compile};

fn totals(name: &str, model: &[u8], optimise: Optimise) -> Totals {
    let options = Options {
        optimise,
        ..Options::default()
    };
    let compiled = compile(model, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let code_size = u32::from_le_bytes(compiled.program[72..76].try_into().unwrap()) as usize;
    apu_firmware::Program::validate(&compiled.program[..code_size])
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    println!("{name}, for {optimise}: {:?}", compiled.report.totals);
    compiled.report.totals
}

#[test]
fn every_model_compiles_to_a_valid_program_in_an_arena_without_gaps() {
    for (name, model) in folder::models() {
        for optimise in [Optimise::Speed, Optimise::Size] {
            let totals = totals(&name, &model, optimise);
            assert_eq!(totals.placed, totals.operators, "{name}");
            let (arena, bound) = (
                totals.arena_bytes.unwrap(),
                totals.arena_lower_bound.unwrap(),
            );
            assert!(
                arena >= bound && arena <= bound + bound / 20,
                "{name}: {arena} for at least {bound}"
            );
        }
    }
}

/// KiB of SRAM that Arm publishes for its Vela compiler, inputs and outputs included.
const VELA: [(&str, u64); 4] = [
    ("kws_ref_model.tflite", 22),
    ("pretrainedResnet_quant.tflite", 51),
    ("vww_96_int8.tflite", 73),
    ("mobilenet_v2_1.0_224_quant.tflite", 374),
];

#[test]
fn a_program_for_size_takes_no_more_memory_than_velas() {
    for (name, model) in folder::models() {
        let Some((_, most)) = VELA.iter().find(|(known, _)| *known == name) else {
            continue;
        };
        let arena = totals(&name, &model, Optimise::Size).arena_bytes.unwrap();
        assert!(arena <= most << 10, "{name}: {arena} bytes");
    }
}
