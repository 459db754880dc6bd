//! What the machine could do at most: int8 multiply-accumulates of one thread, measured.

use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::contender::median;
use crate::{command, workspace};

/// A program that measures it and prints a [`Peak`].
const EXAMPLE: &str = "crates/apu-kernels/examples/peak.rs";

/// Of one thread.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Peak {
    /// The instruction set.
    pub isa: String,
    /// int8 multiply-accumulates a second.
    pub macs_per_second: f64,
}

/// The peak, measured now and then among other things.
pub struct Peaks {
    program: Option<Command>,
    measured: Vec<Peak>,
}

impl Peaks {
    /// Builds what measures it, where there is such a thing.
    pub fn new() -> Result<Self> {
        let program = if workspace::root().join(EXAMPLE).exists() {
            command::run(workspace::cargo().args([
                "build",
                "--release",
                "--quiet",
                "--package=apu-kernels",
                "--example=peak",
            ]))?;
            Some(Command::new(
                workspace::target()?.join("release/examples/peak"),
            ))
        } else {
            None
        };
        Ok(Self {
            program,
            measured: Vec::new(),
        })
    }

    /// Measures it once more.
    pub fn measure(&mut self) -> Result<()> {
        if let Some(program) = &mut self.program {
            let said = command::output(program)?;
            let peak = serde_json::from_str(&said).context("reading what the peak is")?;
            self.measured.push(peak);
        }
        Ok(())
    }

    /// The median of what was measured.
    pub fn median(&self) -> Option<Peak> {
        let mut rates: Vec<f64> = self.measured.iter().map(|p| p.macs_per_second).collect();
        Some(Peak {
            isa: self.measured.first()?.isa.clone(),
            macs_per_second: median(&mut rates),
        })
    }
}
