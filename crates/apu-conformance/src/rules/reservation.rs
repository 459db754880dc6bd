//! Who waits for whom at foreign buffers, as Documentation/driver-api/dma-buf.rst says of reservations.
//!
//! Other drivers may know of no syncobjs. What they say in the reservation of a buffer that comes from
//! them, jobs heed, and say there themselves.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;

use super::prime::{bind, import};
use crate::Bench;
use crate::foreign::{Access, Udmabuf, Vgem, is_busy_for};
use crate::program::Program;
use crate::rule::{Area::Prime as AREA, Rule};
use crate::uapi::{BIND_READONLY, BIND_UNMAP};
use crate::unproven::{Kept, Succeeds, holds, same};

const WRITTEN: &str = "Documentation/driver-api/dma-buf.rst, Reservation Objects";
/// Long for a job that waits for nothing.
const A_WHILE: Duration = Duration::from_millis(200);

/// A buffer of vgem, imported and mapped.
struct Shared {
    vgem: Vgem,
    /// Vgem's handle.
    theirs: u32,
    dma_buf: OwnedFd,
}

impl Shared {
    fn new(t: &Bench, flags: u32) -> Kept<Self> {
        let vgem = Vgem::open()?;
        let theirs = vgem.create(t.page())?;
        let dma_buf = vgem.export(theirs)?;
        bind(t, import(t, &dma_buf)?, 0, 1, flags)?;
        Ok(Self {
            vgem,
            theirs,
            dma_buf,
        })
    }

    /// Has somebody else use it.
    fn begin(&self, access: Access) -> Kept<u32> {
        let begun = self.vgem.begin(self.theirs, access);
        begun.succeeds("vgem's FENCE_ATTACH")
    }

    fn is_free_for(&self, access: Access) -> Kept<bool> {
        Ok(!is_busy_for(&self.dma_buf, access)?)
    }
}

/// That a job doesn't end before a use by somebody else does.
fn waits_for(t: &Bench, shared: &Shared, access: Access) -> Kept {
    let used = shared.begin(access)?;
    let job = t.submit(|_| ()).succeeds("SUBMIT")?;
    let waited = t.node.wait(job, A_WHILE);
    same("SYNCOBJ_WAIT before", waited, Err(Errno::ETIME))?;
    shared.vgem.end(used)?;
    t.ends(job)
}

/// That it does.
fn ignores(t: &Bench, shared: &Shared, access: Access) -> Kept {
    let used = shared.begin(access)?;
    t.ends(t.submit(|_| ()).succeeds("SUBMIT")?)?;
    shared.vgem.end(used)
}

/// A job that takes some hundred milliseconds.
fn long_job(t: &Bench) -> Kept<u32> {
    let queue_id = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
    let long = Program::slow(1 << 12, t.device.target);
    // Behind the page that is shared.
    let at = t.va.start + t.bo.size + t.page();
    let work = crate::bench::Work::new(&t.node, t.page(), at, &long)?;
    let bound =
        t.vm_bind(|_, op| (op.bo_handle, op.va, op.size) = (work.bo.handle, at, work.bo.size));
    bound.succeeds("VM_BIND")?;
    let job = t.submit_work(&work, |s| s.submit.queue_id = queue_id);
    job.succeeds("SUBMIT")
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "a_job_waits_for_foreign_writers",
        WRITTEN,
        "a job waits until nobody else writes the foreign buffers that its VM maps",
        |t| waits_for(t, &Shared::new(t, 0)?, Access::Write),
    ),
    Rule::kept(
        AREA,
        "a_reader_waits_for_foreign_writers",
        WRITTEN,
        "a job waits for others who write a foreign buffer that is mapped read-only",
        |t| waits_for(t, &Shared::new(t, BIND_READONLY)?, Access::Write),
    ),
    Rule::kept(
        AREA,
        "a_job_waits_for_foreign_readers",
        WRITTEN,
        "a job that may write a foreign buffer waits until nobody else reads it",
        |t| waits_for(t, &Shared::new(t, 0)?, Access::Read),
    ),
    Rule::kept(
        AREA,
        "a_reader_does_not_wait_for_foreign_readers",
        WRITTEN,
        "a job that can only read a foreign buffer doesn't wait for others who do",
        |t| ignores(t, &Shared::new(t, BIND_READONLY)?, Access::Read),
    ),
    Rule::kept(
        AREA,
        "what_is_unmapped_is_not_waited_for",
        WRITTEN,
        "a job doesn't wait for foreign buffers that were mapped once",
        |t| {
            let shared = Shared::new(t, 0)?;
            let unmapped = t.vm_bind(|_, op| {
                (op.kind, op.bo_handle) = (BIND_UNMAP, 0);
                (op.va, op.size) = (t.va.start + t.bo.size, t.page());
            });
            unmapped.succeeds("VM_BIND")?;
            ignores(t, &shared, Access::Write)
        },
    ),
    Rule::kept(
        AREA,
        "other_vms_do_not_wait",
        WRITTEN,
        "a job doesn't wait for foreign buffers that only another VM maps",
        |t| ignores(&t.another()?, &Shared::new(t, 0)?, Access::Write),
    ),
    Rule::kept(
        AREA,
        "others_wait_for_a_job",
        WRITTEN,
        "a foreign buffer is busy for others who would read or write it until the job has ended",
        |t| {
            let shared = Shared::new(t, 0)?;
            let job = long_job(t)?;
            let (read, write) = (
                shared.is_free_for(Access::Read)?,
                shared.is_free_for(Access::Write)?,
            );
            same("free for others", (read, write), (false, false))?;
            let used = shared.vgem.begin(shared.theirs, Access::Read);
            same("FENCE_ATTACH of a reader", used, Err(Errno::EBUSY))?;
            t.ends(job)?;
            holds(shared.is_free_for(Access::Write)?, || "still busy".into())
        },
    ),
    Rule::kept(
        AREA,
        "others_read_while_a_job_does",
        WRITTEN,
        "a foreign buffer that is mapped read-only is busy for writers alone",
        |t| {
            let shared = Shared::new(t, BIND_READONLY)?;
            let job = long_job(t)?;
            let (read, write) = (
                shared.is_free_for(Access::Read)?,
                shared.is_free_for(Access::Write)?,
            );
            same("free for others", (read, write), (true, false))?;
            t.ends(job)
        },
    ),
    Rule::kept(
        AREA,
        "several_buffers_are_waited_for",
        WRITTEN,
        "a job waits for the users of each of several foreign buffers, in any order",
        |t| {
            let (first, other) = (Shared::new(t, 0)?, Udmabuf::new(t.page())?);
            let handle = import(t, &other.dma_buf)?;
            let bound = t.vm_bind(|_, op| {
                (op.bo_handle, op.va) = (handle, t.va.end - t.page());
                op.size = t.page();
            });
            bound.succeeds("VM_BIND")?;
            waits_for(t, &first, Access::Write)?;
            let job = long_job(t)?;
            holds(is_busy_for(&other.dma_buf, Access::Read)?, || {
                "the second buffer is free while the job runs".into()
            })?;
            t.ends(job)
        },
    ),
    Rule::kept(
        AREA,
        "a_batch_waits_once",
        WRITTEN,
        "of jobs submitted together none runs before others are done, and others wait for the last",
        |t| {
            let shared = Shared::new(t, 0)?;
            let used = shared.begin(Access::Write)?;
            let last = t.node.syncobj(0).succeeds("SYNCOBJ_CREATE")?;
            let signal = crate::uapi::Sync {
                handle: last,
                ..Default::default()
            };
            let first = t.submit(|s| {
                s.submit.job_count = 2;
                s.jobs[1].signals = crate::bench::address(&signal);
            });
            let first = first.succeeds("SUBMIT")?;
            same(
                "SYNCOBJ_WAIT before",
                t.node.wait(first, A_WHILE),
                Err(Errno::ETIME),
            )?;
            shared.vgem.end(used)?;
            holds(
                !shared.is_free_for(Access::Read)? || t.node.wait(last, Duration::ZERO).is_ok(),
                || "free before the last job has ended".into(),
            )?;
            t.ends(first)?;
            t.ends(last)
        },
    ),
];
