//! How placement is told.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use apu::Program;
use apu_compiler::Numerics;
use apu_compiler::report::Placement;
use serde::Serialize;

use crate::error::Error;
use crate::kernel::Part;
use crate::settings::{Format, Settings};

/// Where the operators of a graph run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub device: String,
    pub numerics: Numerics,
    /// Of the graph.
    pub operators: usize,
    /// On the APU.
    pub placed: usize,
    /// Multiply-accumulates of one inference on the APU.
    pub macs: u64,
    /// What runs on the APU as one program each.
    pub parts: Vec<PartReport>,
    /// What stays with the runtime.
    pub unplaced: Vec<Unplaced>,
}

/// A part on the APU.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartReport {
    /// Indices of its operators in the graph.
    pub operators: Vec<usize>,
    pub macs: u64,
    pub arena_bytes: u64,
    pub constants_bytes: usize,
}

impl PartReport {
    pub fn new(part: &Part, program: &Program) -> Self {
        Self {
            operators: part.operators.iter().map(|op| op.index).collect(),
            macs: program.macs(),
            arena_bytes: program.arena_size(),
            constants_bytes: program.constants().len(),
        }
    }
}

/// An operator that stays with the runtime.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unplaced {
    pub index: usize,
    pub opcode: String,
    /// Name of its first output.
    pub name: String,
    /// The constraint that it broke.
    pub reason: Placement,
}

/// More operators than this are counted, not listed, in the text.
const LISTED: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operators,
            placed,
            device,
            numerics,
            ..
        } = self;
        let macs = Macs(self.macs);
        let parts = match self.parts.len() {
            0 | 1 => String::new(),
            count => format!(" in {count} parts"),
        };
        writeln!(
            f,
            "APU: {placed} of {operators} operators, {macs}, run on {device}{parts} (numerics {numerics})"
        )?;
        for Unplaced {
            index,
            opcode,
            name,
            reason,
        } in self.unplaced.iter().take(LISTED)
        {
            write!(f, "APU:   not {index} {opcode} ({name}): ")?;
            match reason {
                // What it would need is one of all kinds that there are, a long list.
                Placement::Unplaced {
                    constraint: "operator",
                    got,
                    ..
                } => {
                    writeln!(f, "operator: the APU has no {got}")?;
                }
                reason => writeln!(f, "{reason}")?,
            }
        }
        match self.unplaced.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => writeln!(f, "APU:   nor {more} more, which report=json lists"),
        }
    }
}

struct Macs(u64);

impl fmt::Display for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            few @ 0..1_000_000 => write!(f, "{few} MACs"),
            many => write!(f, "{:.1} million MACs", many as f64 / 1e6),
        }
    }
}

/// Takes reports in the user's format to where the user wants them.
pub(crate) struct Reporter {
    format: Format,
    to: Mutex<Box<dyn Write + Send>>,
}

impl Reporter {
    /// Begins the file, if there is one.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let to: Box<dyn Write + Send> = match &settings.report_file {
            None => Box::new(io::stderr()),
            Some(path) => Box::new(File::create(path).map_err(|source| Error::Report {
                path: path.clone(),
                source,
            })?),
        };
        Ok(Self {
            format: settings.format,
            to: Mutex::new(to),
        })
    }

    /// Tells of one graph: as JSON in one line.
    pub fn tell(&self, report: &Report) {
        let text = match self.format {
            Format::None => return,
            Format::Text => report.to_string(),
            // Numbers and texts alone, which always have a JSON form.
            Format::Json => serde_json::to_string(report).unwrap_or_default() + "\n",
        };
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nobody can read it, nobody can be told that either.
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }
}
