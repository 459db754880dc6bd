// SPDX-License-Identifier: GPL-2.0

//! A job with what it waits for and what it signals: all of that can fail, pushing it can't.

use super::{
    Bo,
    Driver,
    File, //
};
use crate::{
    dma_fence::Fence,
    drm::{
        self,
        exec::Locked,
        sched::{
            self,
            Entity,
            JobOps, //
        },
        syncobj::{
            FenceChain,
            SyncObj, //
        }, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A syncobj, and which point of it.
#[derive(Clone, Copy)]
pub struct SyncPoint {
    /// The caller's handle.
    pub handle: u32,
    /// Point of a timeline; None for a binary syncobj.
    pub point: Option<u64>,
}

/// What a job waits for and signals.
pub struct Syncs {
    /// What to wait for; each has a fence already.
    pub waits: KVec<SyncPoint>,
    /// What to signal when the job ends.
    pub signals: KVec<SyncPoint>,
}

/// Where the fence of a job goes.
struct Signal {
    syncobj: ARef<SyncObj>,
    timeline: Option<(u64, FenceChain)>,
}

impl Signal {
    fn new<D: Driver>(file: &drm::File<File<D>>, sync: SyncPoint) -> Result<Self> {
        let timeline = match sync.point {
            Some(point) => Some((point, FenceChain::new()?)),
            None => None,
        };
        Ok(Self {
            syncobj: SyncObj::lookup(file, sync.handle)?,
            timeline,
        })
    }

    fn publish(self, fence: &Fence) {
        match self.timeline {
            Some((point, chain)) => self.syncobj.add_point(chain, fence, point),
            None => self.syncobj.replace_fence(Some(fence)),
        }
    }
}

/// A job that only waits to be pushed.
pub(super) struct Prepared<J: JobOps> {
    job: sched::Job<J>,
    signals: KVec<Signal>,
}

impl<J: JobOps> Prepared<J> {
    pub(super) fn new<D: Driver>(
        file: &drm::File<File<D>>,
        entity: &Entity<J>,
        credits: u32,
        job: J,
        syncs: Syncs,
    ) -> Result<Self> {
        let mut job = sched::Job::new(entity, credits, file.client_id(), job)?;
        for wait in syncs.waits {
            job.add_dependency(SyncObj::find_fence(
                file,
                wait.handle,
                wait.point.unwrap_or(0),
            )?)?;
        }
        let mut signals = KVec::with_capacity(syncs.signals.len(), GFP_KERNEL_ACCOUNT)?;
        for signal in syncs.signals {
            signals.push(Signal::new(file, signal)?, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self { job, signals })
    }

    pub(super) fn job(&self) -> &J {
        self.job.data()
    }

    /// Lets the job wait for the others who use what was locked.
    pub(super) fn wait_for_users<D: Driver>(&mut self, locked: &Locked<Bo<D>>) -> Result {
        self.job.add_implicit_dependencies(locked)
    }

    /// Pushes the job; `also` gets its fence, too.
    pub(super) fn push(self, also: impl FnOnce(&Fence)) {
        let Self { job, signals } = self;
        job.push(|fence| {
            for signal in signals {
                signal.publish(fence);
            }
            also(fence);
        });
    }
}
