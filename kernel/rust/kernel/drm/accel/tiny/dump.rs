// SPDX-License-Identifier: GPL-2.0

//! What a failure leaves behind: a core dump of the device.
//!
//! Failures are seen in the fence signalling path, where nothing may be waited for. What will have
//! gone soon, the jobs on the cores, is kept as it is then; a system worker writes the rest.

use super::{
    device::{
        Engine,
        MAX_CORES, //
    },
    job::JobId,
    vm::registered,
    Device,
    Driver,
    QueueInfo, //
};
use crate::{
    devcoredump::Dump,
    drm::{
        self,
        wedge::Recovery, //
    },
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    sync::aref::ARef,
    time::Delta,
    workqueue, //
};

/// A failure, as it was when it happened.
pub(super) struct Crash<D: Driver> {
    device: ARef<drm::Device<D>>,
    reason: &'static str,
    recovery: Recovery,
    seats: [Option<Seat>; MAX_CORES],
}

/// A job that was on a core.
pub(super) struct Seat {
    pub(super) job: JobId,
    /// Number of its VM.
    pub(super) vm: u32,
    pub(super) elapsed: Delta,
    /// How far it is, if the device has said so.
    pub(super) progress: Option<u64>,
    /// Jobs that the device has behind it.
    pub(super) waiting: usize,
    pub(super) timeout: Delta,
    pub(super) cancelled: bool,
    pub(super) queue: QueueInfo,
    /// Jobs of its queue that have not been freed.
    pub(super) queued: usize,
}

impl<D: Driver> Crash<D> {
    /// What the jobs on the cores are; nothing is to be told when there are none.
    pub(super) fn of(
        engine: &mut Engine<D>,
        reason: &'static str,
        recovery: Recovery,
    ) -> Option<Self> {
        let device = engine.running().next()?.device();
        let seats = engine.running_seats();
        Some(Self {
            device,
            reason,
            recovery,
            seats,
        })
    }

    /// Has the dump written and user space told, if there is memory at hand.
    pub(super) fn report(self) {
        let _ = workqueue::system_long().try_spawn(GFP_NOWAIT, move || self.publish());
    }

    fn publish(&self) {
        // The parent has gone, or goes no further as long as this is held.
        let Ok(registered) = registered(&self.device) else {
            return;
        };
        let mut dump = Dump::new();
        // One that is cut off is better than none.
        let _ = self.write(&mut dump);
        dump.publish(&self.device.parent);
        let _ = registered.wedged_event(self.recovery);
    }

    fn write(&self, dump: &mut Dump) -> fmt::Result {
        writeln!(dump, "driver: {}", D::INFO.name.to_str().unwrap_or(""))?;
        writeln!(dump, "reason: {}", self.reason)?;
        write_seats(&self.seats, dump)?;
        let device: &Device<D> = &self.device;
        for space in device.spaces.lock().list.iter() {
            space.write(dump)?;
        }
        D::dump(device, dump)
    }
}

impl<D: Driver> Engine<D> {
    /// What the jobs on the cores are.
    pub(super) fn running_seats(&self) -> [Option<Seat>; MAX_CORES] {
        core::array::from_fn(|core| self.cores.get(core)?.current_seat())
    }
}

/// Writes what runs on each core.
pub(super) fn write_seats(seats: &[Option<Seat>], out: &mut dyn Write) -> fmt::Result {
    for (core, seat) in seats.iter().enumerate() {
        if let Some(seat) = seat {
            write!(out, "core {core}: ")?;
            seat.write(out)?;
        }
    }
    Ok(())
}

impl Seat {
    fn write(&self, dump: &mut dyn Write) -> fmt::Result {
        writeln!(
            dump,
            "job {} on vm {}, {} ms of {} ms{}",
            self.job,
            self.vm,
            self.elapsed.as_millis(),
            self.timeout.as_millis(),
            if self.cancelled { ", cancelled" } else { "" }
        )?;
        if let Some(progress) = self.progress {
            writeln!(dump, "  progress: {progress}")?;
        }
        if self.waiting > 0 {
            writeln!(dump, "  behind it: {} jobs", self.waiting)?;
        }
        writeln!(
            dump,
            "  queue: {:?}, {} jobs done, {} queued",
            self.queue.state, self.queue.jobs_done, self.queued
        )
    }
}
