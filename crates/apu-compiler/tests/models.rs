//! Real models compile whole, and the firmware accepts what comes out.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod folder;

use apu_compiler::{Options, compile};

#[test]
fn every_model_compiles_to_a_valid_program() {
    for (name, model) in folder::models() {
        let compiled =
            compile(&model, &Options::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let totals = compiled.report.totals;
        println!("{name}: {totals:?}, {} bytes", compiled.program.len());
        assert_eq!(totals.placed, totals.operators, "{name}");
        let (arena, bound) = (
            totals.arena_bytes.unwrap(),
            totals.arena_lower_bound.unwrap(),
        );
        assert!(
            arena >= bound && arena <= bound + bound / 4,
            "{name}: {arena} for at least {bound}"
        );
        let code_size = u32::from_le_bytes(compiled.program[72..76].try_into().unwrap()) as usize;
        apu_firmware::Program::validate(&compiled.program[..code_size])
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
