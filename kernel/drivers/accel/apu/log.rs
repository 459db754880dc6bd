// SPDX-License-Identifier: GPL-2.0

//! The last lines of the firmware's log, for whoever looks into a failure.

use crate::{
    last::Last,
    message::{
        log_level,
        Log, //
    }, //
};
use kernel::{
    fmt::{
        self,
        Write, //
    },
    prelude::*, //
};

/// The last lines.
#[pin_data]
pub(crate) struct Lines {
    #[pin]
    last: Last<Log>,
}

impl Lines {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { last <- Last::new() })
    }

    /// Remembers a line, and forgets the oldest one.
    pub(crate) fn add(&self, line: Log) {
        self.last.add(line);
    }

    /// Writes all, the oldest one first.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(out, "firmware log:")?;
        for line in self.last.iter() {
            write_line(&line, out)?;
        }
        Ok(())
    }
}

/// What firmware writes may be anything.
fn write_line(line: &Log, out: &mut dyn Write) -> fmt::Result {
    let level = match line.level {
        log_level::ERROR => "error",
        log_level::WARNING => "warning",
        _ => "info",
    };
    let text = line.text.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let us = line.time_ns / 1000;
    writeln!(out, "  {us} us, {level}: {}", text.escape_ascii())
}
