//! One module per subcommand.

pub mod bench;
pub mod classify;
pub mod compile;
pub mod conformance;
pub mod devices;
pub mod diff;
pub mod inspect;
pub mod operators;
pub mod run;

use std::io::{Write, stdout};

use apu::{Context, Device, Model, Program};
use serde::Serialize;

use crate::error::Error;

/// Opens a device and makes a context that runs `program` on it.
fn load(device: &str, program: Program) -> Result<Context, Error> {
    let open = || Model::load(&Device::open(device)?, program)?.context();
    open().map_err(Error::device(device))
}

/// Prints one JSON document.
fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let mut out = stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}
