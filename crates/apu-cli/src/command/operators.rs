//! `apu operators`: what can be placed, and what each operator needs.

use std::io::{Write, stdout};

use crate::error::Error;

pub fn run() -> Result<(), Error> {
    Ok(write!(
        stdout().lock(),
        "{}",
        apu_compiler::supported::page()
    )?)
}
