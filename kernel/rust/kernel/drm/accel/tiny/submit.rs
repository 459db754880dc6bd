// SPDX-License-Identifier: GPL-2.0

//! From a submit to queued jobs: all of it can fail before the first job is pushed, none after.

use super::{
    job::{
        Job,
        Start, //
    },
    queue::Queue,
    Driver,
    File, //
};
use crate::{
    dma_fence::{
        DriverFenceAlloc,
        Fence, //
    },
    drm::{
        self,
        sched,
        syncobj::{
            FenceChain,
            SyncObj, //
        }, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// A syncobj, and which point of it.
#[derive(Clone, Copy)]
pub struct SyncPoint {
    /// The caller's handle.
    pub handle: u32,
    /// Point of a timeline; None for a binary syncobj.
    pub point: Option<u64>,
}

/// One job of a submit.
pub struct JobRequest<D: Driver> {
    /// What to wait for; each has a fence already.
    pub waits: KVec<SyncPoint>,
    /// What to signal when the job ends.
    pub signals: KVec<SyncPoint>,
    /// The driver's own part.
    pub payload: D::Job,
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
struct Prepared<D: Driver> {
    job: sched::Job<Job<D>>,
    signals: KVec<Signal>,
}

impl<D: Driver> Prepared<D> {
    fn new(
        file: &drm::File<File<D>>,
        queue: &Arc<Queue<D>>,
        request: JobRequest<D>,
    ) -> Result<Self> {
        let start = Start {
            payload: request.payload,
            fence: DriverFenceAlloc::new()?,
        };
        let job = Job::new(queue.clone(), start)?;
        let mut job = sched::Job::new(queue.entity(), 1, file.client_id(), job)?;
        for wait in request.waits {
            job.add_dependency(SyncObj::find_fence(
                file,
                wait.handle,
                wait.point.unwrap_or(0),
            )?)?;
        }
        let mut signals = KVec::with_capacity(request.signals.len(), GFP_KERNEL_ACCOUNT)?;
        for signal in request.signals {
            signals.push(Signal::new(file, signal)?, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self { job, signals })
    }

    fn push(self) {
        let Self { job, signals } = self;
        job.push(|fence| {
            for signal in signals {
                signal.publish(fence);
            }
        });
    }
}

/// Queues all jobs or none.
pub(super) fn submit<D: Driver>(
    file: &drm::File<File<D>>,
    queue: &Arc<Queue<D>>,
    requests: KVec<JobRequest<D>>,
) -> Result {
    queue.check()?;
    let mut prepared = KVec::with_capacity(requests.len(), GFP_KERNEL_ACCOUNT)?;
    for request in requests {
        prepared.push(Prepared::new(file, queue, request)?, GFP_KERNEL_ACCOUNT)?;
    }
    for job in prepared {
        job.push();
    }
    Ok(())
}
