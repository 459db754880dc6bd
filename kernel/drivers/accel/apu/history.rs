// SPDX-License-Identifier: GPL-2.0

//! The last messages in both directions, for whoever looks into a failure.

use crate::last::Last;
use kernel::{
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Bytes of each message: the header, and of the body what names a VM, a job, or a status.
const START: usize = 32;

/// Which way a message went.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// To the firmware.
    Out,
    /// From the firmware.
    In,
}

#[derive(Clone, Copy)]
struct Record {
    direction: Direction,
    at: Instant<Monotonic>,
    length: usize,
    start: [u8; START],
}

/// The last messages.
#[pin_data]
pub(crate) struct History {
    #[pin]
    last: Last<Record>,
}

impl History {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { last <- Last::new() })
    }

    /// Remembers a message, and forgets the oldest one. In the fence signalling path.
    pub(crate) fn note(&self, direction: Direction, message: &[u8]) {
        let mut start = [0; START];
        for (to, from) in start.iter_mut().zip(message) {
            *to = *from;
        }
        self.last.add(Record {
            direction,
            at: Instant::now(),
            length: message.len(),
            start,
        });
    }

    /// Writes all, the oldest one first.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(out, "messages:")?;
        for record in self.last.iter() {
            record.write(out)?;
        }
        Ok(())
    }
}

impl Record {
    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let direction = match self.direction {
            Direction::Out => "out",
            Direction::In => "in",
        };
        let start = self.start.get(..self.length).unwrap_or(&self.start);
        write!(
            out,
            "  {} us ago, {direction}, {} bytes:",
            self.at.elapsed().as_micros_ceil(),
            self.length
        )?;
        for byte in start {
            write!(out, " {byte:02x}")?;
        }
        writeln!(out)
    }
}
