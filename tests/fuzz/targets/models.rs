//! Importer and compiler, and what they write.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| suite::hostile::model(bytes));
