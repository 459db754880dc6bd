//! The project's own model, compiled.

use apu::Program;

pub const INPUT: usize = 8 * 8;
pub const CLASSES: usize = 10;

pub fn program() -> Program {
    Program::parse(file()).unwrap()
}

pub fn file() -> Vec<u8> {
    let model = include_bytes!("../../../../models/digits/digits.tflite");
    apu_compiler::compile(model, &apu_compiler::Options::default())
        .unwrap()
        .program
}

/// An input that is not all the same, so that a run which ignored it would show.
#[allow(dead_code, reason = "each test binary uses some of this module")]
pub fn picture(seed: u8) -> Vec<u8> {
    (0..INPUT)
        .map(|i| (i as u8).wrapping_mul(37).wrapping_add(seed))
        .collect()
}
