//! How much one client gets.

use nix::errno::Errno;

use crate::Bench;
use crate::bench::{Work, address};
use crate::program::Program;
use crate::rule::{Area::Limits as AREA, Rule};
use crate::uapi::{BoCreate, QueueDestroy, VmCreate};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};

/// Makes things until it is refused; how many, and why then.
fn until_refused(limit: u32, mut make: impl FnMut() -> Result<(), Errno>) -> Kept<(u32, Errno)> {
    for made in 0..=limit {
        if let Err(errno) = make() {
            return Ok((made, errno));
        }
    }
    Err(Unproven::broken(format!(
        "{} were made, wanted at most {limit}",
        limit + 1
    )))
}

/// How many jobs a queue takes, all of them slow, until it is full.
fn fill(t: &Bench, queue_id: u32) -> Kept<u32> {
    // So slow that few end meanwhile, and not so slow that one runs out of time where all is slow.
    let slow = t.load(&Program::slow(1 << 12, t.device.target))?;
    let mut taken = 0;
    for count in [t.device.max_jobs, 1] {
        let submit = || submit_several(t, queue_id, &slow, count);
        let (calls, errno) = until_refused(2 * t.device.max_queued_jobs / count, submit)?;
        same("SUBMIT to a full queue", errno, Errno::EAGAIN)?;
        taken += calls * count;
    }
    Ok(taken)
}

/// Makes a BO as large as one can be.
fn create_largest(t: &Bench) -> Result<u32, Errno> {
    let mut bo = BoCreate {
        size: t.device.max_bo_size,
        ..BoCreate::default()
    };
    t.node.call(&mut bo)?;
    Ok(bo.handle)
}

fn submit_several(t: &Bench, queue_id: u32, work: &Work, count: u32) -> Result<(), Errno> {
    let mut jobs = Vec::new();
    let submitted = t.submit_work(work, |s| {
        jobs.resize(count as usize, s.jobs[0]);
        (s.submit.jobs, s.submit.job_count) = (address(jobs.as_slice()), count);
        s.submit.queue_id = queue_id;
    });
    submitted.map(drop)
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "one_byte_more_than_a_bo_may_have",
        "drm_apu_query_device.max_bo_size",
        Errno::EINVAL,
        |t| {
            t.node.call(&mut BoCreate {
                size: t.device.max_bo_size + 1,
                ..BoCreate::default()
            })
        },
    ),
    Rule::kept(
        AREA,
        "memory_of_a_file",
        "drm_apu_query_device.max_bo_bytes",
        "a file gets as many bytes as QUERY says, then ENOSPC until it closes a BO; others still get theirs",
        |t| {
            let room = t.device.max_bo_bytes - t.bo.size;
            let limit = u32::try_from(room / t.device.max_bo_size).unwrap_or(u32::MAX);
            let mut last = 0;
            let refused = until_refused(limit, || {
                last = create_largest(t)?;
                Ok(())
            })?;
            same("BOs, and why no more", refused, (limit, Errno::ENOSPC))?;
            t.another()?.works(1)?;
            t.node.close(last).succeeds("GEM_CLOSE")?;
            create_largest(t).map(drop).succeeds("BO_CREATE")
        },
    ),
    Rule::kept(
        AREA,
        "vms_of_a_file",
        "drm_apu_query_device.max_vms",
        "a file gets as many VMs as QUERY says, then ENOSPC; others still get theirs",
        |t| {
            // The bench has one already.
            let refused =
                until_refused(t.device.max_vms, || t.node.call(&mut VmCreate::default()))?;
            same(
                "VMs, and why no more",
                refused,
                (t.device.max_vms - 1, Errno::ENOSPC),
            )?;
            t.another()?.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "queues_of_a_file",
        "drm_apu_query_device.max_queues",
        "a file gets as many queues as QUERY says, then ENOSPC; others still get theirs",
        |t| {
            let refused = until_refused(t.device.max_queues, || t.node.call(&mut t.queue()))?;
            same(
                "queues, and why no more",
                refused,
                (t.device.max_queues - 1, Errno::ENOSPC),
            )?;
            t.another()?.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "jobs_of_a_queue",
        "drm_apu_query_device.max_queued_jobs",
        "a queue takes as many jobs that have not ended as QUERY says, then EAGAIN; another one goes on",
        |t| {
            let queue_id = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
            let taken = fill(t, queue_id)?;
            // Those that ended meanwhile made room.
            let least = t.device.max_queued_jobs;
            let most = least + t.state_of(queue_id)?.jobs_done as u32;
            holds((least..=most).contains(&taken), || {
                format!("EAGAIN after {taken} jobs")
            })?;
            let destroyed = t.node.call(&mut QueueDestroy { queue_id, pad: 0 });
            destroyed.succeeds("QUEUE_DESTROY")?;
            t.works(1)
        },
    ),
];
