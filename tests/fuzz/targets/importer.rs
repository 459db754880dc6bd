//! The importer: any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| fuzz::bounded(file, suite::hostile::importer));
