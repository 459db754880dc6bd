//! Changes that leave a model a model and a program a program, for the fuzzer, whose own changes of single
//! bytes would mostly be refused at the door.

mod model;
mod program;

pub use model::model;
pub use program::program;

use fastrand::Rng;

/// One of these.
fn choose<'a, T>(random: &mut Rng, items: &'a [T]) -> Option<&'a T> {
    (!items.is_empty()).then(|| &items[random.usize(..items.len())])
}

/// A number that sizes, offsets and indices go wrong with, or one near another.
fn number(random: &mut Rng, near: u32) -> u32 {
    match random.u8(..8) {
        0 => random.u32(..),
        1 => u32::MAX,
        2 => i32::MAX as u32,
        3 => 1 << random.u32(..32),
        4 => near.wrapping_add(1),
        5 => near.wrapping_sub(1),
        6 => near.wrapping_mul(2),
        _ => random.u32(..16),
    }
}
