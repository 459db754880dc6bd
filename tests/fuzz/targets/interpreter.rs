//! The interpreter and the kernels: programs that are some, whatever their segments hold.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|file: &[u8]| fuzz::bounded(file, suite::hostile::interpreter));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    fuzz::mutate(data, size, max_size, seed, suite::mutate::program)
});
