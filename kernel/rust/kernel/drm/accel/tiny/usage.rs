// SPDX-License-Identifier: GPL-2.0

//! What one file uses: memory and jobs, up to their limits, and the time of cores.

use super::{
    seats::nanoseconds,
    Device,
    Driver,
    File, //
};
use crate::{
    drm::{
        self,
        print::Printer, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// What one file uses. Its queues and buffer objects may outlive it, and hold this.
pub(super) struct Usage {
    /// Bytes of living buffer objects that the file made.
    bytes: Atomic<u64>,
    /// Jobs of its queues that have not been freed.
    jobs: Atomic<usize>,
    /// Time that its jobs were on a core, those that are there now left out.
    busy_ns: Atomic<u64>,
    /// Cycles of those of its jobs that have ended.
    cycles: Atomic<u64>,
    /// The most that somebody was told.
    shown_ns: Atomic<u64>,
}

impl Usage {
    pub(super) fn new() -> Result<Arc<Self>> {
        let usage = Self {
            bytes: Atomic::new(0),
            jobs: Atomic::new(0),
            busy_ns: Atomic::new(0),
            cycles: Atomic::new(0),
            shown_ns: Atomic::new(0),
        };
        Ok(Arc::new(usage, GFP_KERNEL_ACCOUNT)?)
    }

    /// Counts a job in, or fails with [`EAGAIN`] when there are `limit` of them.
    pub(super) fn job_enters(&self, limit: usize) -> Result {
        if self.jobs.fetch_add(1, Relaxed) >= limit {
            self.job_leaves();
            return Err(EAGAIN);
        }
        Ok(())
    }

    /// Counts a job out.
    pub(super) fn job_leaves(&self) {
        self.jobs.fetch_sub(1, Relaxed);
    }

    /// Counts a job that leaves its core.
    pub(super) fn add_busy(&self, ns: u64) {
        self.busy_ns.fetch_add(ns, Relaxed);
    }

    /// Counts cycles of a job that has ended, if its device does.
    pub(super) fn add_cycles(&self, cycles: u64) {
        self.cycles.fetch_add(cycles, Relaxed);
    }
}

/// Bytes of a file's limit, which are free again when this is dropped.
pub(super) struct Charge {
    usage: Arc<Usage>,
    bytes: u64,
}

impl Charge {
    /// Takes `bytes` off what is left below `limit`, or fails with [`ENOSPC`].
    pub(super) fn new(usage: &Arc<Usage>, bytes: u64, limit: u64) -> Result<Self> {
        let before = usage.bytes.fetch_add(bytes, Relaxed);
        let charge = Self {
            usage: usage.clone(),
            bytes,
        };
        if before.saturating_add(bytes) > limit {
            return Err(ENOSPC);
        }
        Ok(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.usage.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

impl<D: Driver> Device<D> {
    /// Time that jobs of a file were on a core until now, on all cores together. It never goes
    /// back.
    fn busy_ns(&self, usage: &Arc<Usage>) -> u64 {
        // A job that ends is counted under this lock.
        let engine = self.engine.lock();
        let now = engine
            .cores
            .iter()
            .filter_map(|seats| Some((seats, seats.current()?)))
            .filter(|(_, running)| Arc::ptr_eq(running.usage(), usage))
            .map(|(seats, running)| nanoseconds(seats.elapsed(running)))
            .sum::<u64>();
        let busy = usage.busy_ns.load(Relaxed) + now;
        // What the device says of a job that has ended may be less than was seen of it.
        let shown = usage.shown_ns.load(Relaxed).max(busy);
        usage.shown_ns.store(shown, Relaxed);
        shown
    }
}

impl<D: Driver> File<D> {
    /// What [`drm::Driver::show_fdinfo`] is to print: time and cycles of the cores, as one engine
    /// of the driver's name, and memory.
    pub fn show_fdinfo(file: &drm::File<Self>, printer: &Printer) {
        let this = file.inner();
        let name = D::INFO.name.to_str().unwrap_or("");
        let busy = this.device.busy_ns(&this.usage);
        writeln!(printer, "drm-engine-{name}:\t{busy} ns");
        let cycles = this.usage.cycles.load(Relaxed);
        if cycles > 0 {
            writeln!(printer, "drm-cycles-{name}:\t{cycles}");
        }
        if let Some(online) = this.device.online().filter(|online| online.cores > 1) {
            writeln!(printer, "drm-engine-capacity-{name}:\t{}", online.cores);
        }
        file.show_memory_stats(printer);
    }
}
