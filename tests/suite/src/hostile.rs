//! What must hold for bytes that anybody may have written, of each of the four that read any. `tests/mutated.rs`
//! tries some thousands of them, `tests/fuzz` as many as one has time for.

mod compiler;
mod interpreter;
mod validator;

pub use compiler::{compiler, importer};
pub use interpreter::interpreter;
pub use validator::validator;

use apu_compiler::{Options, compile};

/// What the models compile to, as far as they do.
pub fn programs(models: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let compiled = models
        .iter()
        .map(|model| compile(model, &Options::default()));
    compiled.filter_map(|it| Some(it.ok()?.program)).collect()
}
