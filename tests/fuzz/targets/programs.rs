//! Validator, interpreter and kernels.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| suite::hostile::program(bytes));
