// SPDX-License-Identifier: GPL-2.0

//! The last lines of the firmware's log, for whoever looks into a failure.

use crate::message::{
    log_level,
    Log, //
};
use kernel::{
    fmt::{
        self,
        Write, //
    },
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// Lines that are remembered.
const LENGTH: usize = 32;

/// The last lines.
#[pin_data]
pub(crate) struct Lines {
    #[pin]
    ring: SpinLock<Ring>,
}

struct Ring {
    lines: [Option<Log>; LENGTH],
    next: usize,
}

impl Lines {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ring <- new_spinlock!(Ring {
                lines: [None; LENGTH],
                next: 0,
            }),
        })
    }

    /// Remembers a line, and forgets the oldest one.
    pub(crate) fn add(&self, line: Log) {
        let mut ring = self.ring.lock();
        let next = ring.next;
        if let Some(oldest) = ring.lines.get_mut(next) {
            *oldest = Some(line);
        }
        ring.next = (next + 1) % LENGTH;
    }

    /// Writes all, the oldest one first.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(out, "firmware log:")?;
        for line in (0..LENGTH).filter_map(|age| self.oldest(age)) {
            write_line(&line, out)?;
        }
        Ok(())
    }

    /// The line that is followed by `LENGTH - 1 - index` others.
    fn oldest(&self, index: usize) -> Option<Log> {
        let ring = self.ring.lock();
        *ring.lines.get((ring.next + index) % LENGTH)?
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
