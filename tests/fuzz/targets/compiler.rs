//! The compiler, and what it writes: models that are some.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|file: &[u8]| fuzz::bounded(file, suite::hostile::compiler));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    fuzz::mutate(data, size, max_size, seed, suite::mutate::model)
});
