//! Inputs when nobody gives any: the same arbitrary ones each time.

use apu::{DType, Program, Tensor};

/// A value for each input of a program: bytes of a linear congruential sequence, floats between 0
/// and 1, truth values of 0 or 1.
pub fn inputs(program: &Program) -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let inputs = program.inputs().iter();
    inputs.map(|tensor| input(tensor, &mut next)).collect()
}

fn input(tensor: &Tensor, mut next: impl FnMut() -> u8) -> Vec<u8> {
    let mut bytes = vec![0; tensor.size];
    if tensor.dtype == DType::Float32 {
        for element in bytes.chunks_exact_mut(4) {
            element.copy_from_slice(&(f32::from(next()) / 255.0).to_le_bytes());
        }
    } else if tensor.dtype == DType::Bool {
        bytes.fill_with(|| next() & 1);
    } else {
        bytes.fill_with(next);
    }
    bytes
}
