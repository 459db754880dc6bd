// SPDX-License-Identifier: GPL-2.0

//! Loss and return of the device.
//!
//! A loss ends every running job and leaves VMs and buffer objects as they are. A device that comes
//! back is told of all of them before it gets a job.
//!
//! A device without jobs may sleep, if its bus has runtime power management. All else it must still
//! answer.

use super::{
    dump::Crash,
    Device,
    Driver,
    Outcome,
    Report, //
};
use crate::{
    drm::wedge::Recovery,
    pm_runtime::Awake,
    prelude::*, //
};
use core::ops::Range;

/// What a device that answers says of itself.
#[derive(Clone)]
pub struct Online {
    /// Cores that can run jobs.
    pub cores: u32,
    /// Device addresses that VMs can map.
    pub va: Range<u64>,
    /// Equal parts of `va`, of which each VM gets one: more than one if the device has a single
    /// address space for all of them.
    pub windows: u32,
    /// VMs that it can hold at once.
    pub vms: usize,
    /// Jobs that each core can have at once, urgent ones apart, up to
    /// [`Limits::core_jobs`](super::Limits::core_jobs).
    pub core_jobs: u32,
}

impl Online {
    /// A device on which each VM has all of `va`, with room for any number of them.
    pub fn new(cores: u32, va: Range<u64>) -> Self {
        Self {
            cores,
            va,
            windows: 1,
            vms: usize::MAX,
            core_jobs: 1,
        }
    }
}

impl<D: Driver> Device<D> {
    /// What the device said of itself, unless it is lost.
    pub fn online(&self) -> Option<Online> {
        self.engine.lock().online.clone()
    }

    /// Takes a device into service that answers and holds no VM. Fails when it can't take over the
    /// living VMs, and with [`ENODEV`] when it was lost meanwhile.
    ///
    /// Until `open` is called the driver's methods on memory must fail with [`ENODEV`], so that no
    /// VM is told twice.
    pub fn attach(&self, online: Online, open: impl FnOnce()) -> Result {
        // Until its first job, it may sleep. Not before it is open, as nobody may wait here for an
        // answer of the device.
        let _awake = Awake::new(&self.parent)?;
        let losses = self.engine.lock().losses;
        let mut spaces = self.spaces.lock();
        let moved = spaces.va.as_ref().is_some_and(|va| *va != online.va);
        if !spaces.list.is_empty() && (moved || spaces.list.len() > online.vms) {
            return Err(EINVAL);
        }
        open();
        for space in spaces.list.iter() {
            space.replay()?;
        }
        spaces.va = Some(online.va.clone());
        spaces.windows = online.windows;
        spaces.limit = online.vms;
        self.set_core_jobs(online.core_jobs);
        let mut engine = self.engine.lock();
        if engine.losses != losses {
            return Err(ENODEV);
        }
        engine.online = Some(Online {
            cores: online.cores.min(self.core_limit() as u32),
            core_jobs: online.core_jobs.clamp(1, D::LIMITS.core_jobs),
            ..online
        });
        Ok(())
    }

    /// Tells that the device has gone: its jobs end, and new ones fail at once.
    pub fn lose(&self) {
        self.cut_off(Outcome::Lost(Report::default()), "the device was lost");
    }

    /// Sends a device to sleep that has no jobs. One that doesn't say in time that it sleeps is cut
    /// off. For [`Sleeper::suspend`](crate::pm_runtime::Sleeper::suspend).
    pub fn suspend(&self) -> Result {
        match D::suspend(self) {
            Err(ETIMEDOUT) => {
                self.unresponsive();
                Ok(())
            }
            Err(ENODEV) => Ok(()),
            Err(_) => Err(EBUSY),
            Ok(()) => Ok(()),
        }
    }

    /// Wakes a device up. For [`Sleeper::resume`](crate::pm_runtime::Sleeper::resume).
    pub fn resume(&self) {
        D::resume(self);
    }

    /// Cuts off a device that doesn't do what it must in bounded time.
    pub(super) fn unresponsive(&self) {
        dev_err!(self.parent, "device doesn't answer, it is cut off\n");
        self.cut_off(Outcome::Innocent, "the device didn't answer");
    }

    /// Cuts off a device that has jobs and says nothing.
    pub(super) fn fell_silent(&self) {
        dev_err!(self.parent, "device has fallen silent, it is cut off\n");
        self.cut_off(
            Outcome::Lost(Report::default()),
            "the device has fallen silent",
        );
    }

    fn cut_off(&self, outcome: Outcome, reason: &'static str) {
        let crash = {
            let mut engine = self.engine.lock();
            engine.losses += 1;
            engine.online = None;
            D::reset(self);
            // Before whoever sees the device go can say otherwise.
            engine.lose_all(outcome);
            Crash::of(&mut engine, reason, Recovery::Unknown)
        };
        if let Some(crash) = crash {
            crash.report();
        }
        let mut ends = self.ends();
        loop {
            let lost = self.engine.lock().end_lost();
            let Some((core, queue)) = lost else {
                break;
            };
            ends.tell(core, queue);
        }
    }
}
