//! The validator: any bytes, as a program and as records of one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::bounded(bytes, suite::hostile::validator));
