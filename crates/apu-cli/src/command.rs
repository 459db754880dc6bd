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

use apu::{Context, ContextOptions, Device, Model, Program, QueueOptions};
use serde::Serialize;

use crate::args::DeviceArg;
use crate::error::Error;

/// Opens a device and makes a context that runs `program` on it.
fn load(args: &DeviceArg, program: Program) -> Result<Context, Error> {
    let device = args.device.as_str();
    let queue = QueueOptions {
        threads: args.threads.get(),
        ..QueueOptions::default()
    };
    let options = ContextOptions {
        queue,
        ..ContextOptions::default()
    };
    let open = || Model::load(&Device::open(device)?, program)?.context_with(options);
    open().map_err(Error::device(device))
}

/// Prints one JSON document.
fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let mut out = stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}
