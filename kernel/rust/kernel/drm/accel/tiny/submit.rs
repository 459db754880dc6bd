// SPDX-License-Identifier: GPL-2.0

//! From a submit to queued jobs: all of it can fail before the first job is pushed, none after.

use super::{
    job::{
        Job,
        Start, //
    },
    prepared::Prepared,
    queue::Queue,
    Driver,
    File,
    SyncPoint,
    Syncs, //
};
use crate::{
    dma_fence::DriverFenceAlloc,
    drm,
    prelude::*,
    sync::Arc, //
};

/// One job of a submit.
pub struct JobRequest<D: Driver> {
    /// What to wait for; each has a fence already.
    pub waits: KVec<SyncPoint>,
    /// What to signal when the job ends.
    pub signals: KVec<SyncPoint>,
    /// The driver's own part.
    pub payload: D::Job,
}

fn prepare<D: Driver>(
    file: &drm::File<File<D>>,
    queue: &Arc<Queue<D>>,
    request: JobRequest<D>,
) -> Result<Prepared<Job<D>>> {
    let start = Start {
        payload: request.payload,
        fence: DriverFenceAlloc::new()?,
        active: queue.vm.space.activity.begin(),
    };
    let job = Job::new(queue.clone(), start)?;
    let syncs = Syncs {
        waits: request.waits,
        signals: request.signals,
    };
    let credits = queue.device().job_credits();
    Prepared::new(file, queue.entity(), credits, job, syncs)
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
        prepared.push(prepare(file, queue, request)?, GFP_KERNEL_ACCOUNT)?;
    }
    let mut imports = queue.vm.space.imports.lock()?;
    if let (Some(imports), Some(first)) = (&imports, prepared.first_mut()) {
        first.wait_for_users(imports)?;
    }
    for job in &prepared {
        job.job().submitted(file.client_id());
    }
    // They run in order: what the first one waits for, all do, and the last one ends last.
    let last = prepared.pop();
    let plug = queue.device().plug();
    for job in prepared {
        job.push(|_| ());
    }
    if let Some(last) = last {
        last.push(|fence| {
            if let Some(imports) = &mut imports {
                imports.publish(fence);
            }
        });
    }
    // The device is told without the reservations' locks.
    drop(imports);
    drop(plug);
    Ok(())
}
