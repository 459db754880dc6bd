// SPDX-License-Identifier: GPL-2.0

//! The last messages in both directions, for whoever looks into a failure.

use kernel::{
    fmt::{
        self,
        Write, //
    },
    new_spinlock,
    prelude::*,
    sync::SpinLock,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Messages that are remembered.
const LENGTH: usize = 32;
/// Bytes of each: the header, and of the body what names a VM, a job, or a status.
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
    ring: SpinLock<Ring>,
}

struct Ring {
    records: [Option<Record>; LENGTH],
    next: usize,
}

impl History {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ring <- new_spinlock!(Ring {
                records: [None; LENGTH],
                next: 0,
            }),
        })
    }

    /// Remembers a message, and forgets the oldest one. In the fence signalling path.
    pub(crate) fn note(&self, direction: Direction, message: &[u8]) {
        let mut start = [0; START];
        for (to, from) in start.iter_mut().zip(message) {
            *to = *from;
        }
        let record = Record {
            direction,
            at: Instant::now(),
            length: message.len(),
            start,
        };
        let mut ring = self.ring.lock();
        let next = ring.next;
        if let Some(oldest) = ring.records.get_mut(next) {
            *oldest = Some(record);
        }
        ring.next = (next + 1) % LENGTH;
    }

    /// Writes all, the oldest one first.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(out, "messages:")?;
        for record in (0..LENGTH).filter_map(|age| self.oldest(age)) {
            record.write(out)?;
        }
        Ok(())
    }

    /// The message that is followed by `LENGTH - 1 - index` others.
    fn oldest(&self, index: usize) -> Option<Record> {
        let ring = self.ring.lock();
        *ring.records.get((ring.next + index) % LENGTH)?
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
