//! How much one client gets.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::Bench;
use crate::bench::{Work, address};
use crate::program::Program;
use crate::rule::{Area::Limits as AREA, Rule};
use crate::uapi::{BIND_UNMAP, BoCreate, QueueDestroy, VmBindOp, VmCreate};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};

/// Devices that map slower than would fill a VM in this are left alone with that.
const FILL_TIME: Duration = Duration::from_secs(3);

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

/// Jobs so slow that few end while queues are filled, and not so slow that one runs out of time where all
/// is slow.
fn slow(t: &Bench) -> Kept<Work> {
    t.load(&Program::slow(1 << 12, t.device.target))
}

/// How many jobs a queue takes until it, or its file, is full.
fn fill(t: &Bench, queue_id: u32, slow: &Work) -> Kept<u32> {
    let mut taken = 0;
    for count in [t.device.max_jobs, 1] {
        let submit = || submit_several(t, queue_id, slow, count);
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

/// Maps `count` pages from the one with this `index` on behind the bench's own work, each by itself.
fn map_pages(t: &Bench, index: u64, count: u64) -> Result<(), Errno> {
    let mut ops = Vec::new();
    t.vm_bind(|bind, op| {
        ops.extend((index..index + count).map(|index| VmBindOp {
            va: t.va.start + t.bo.size + index * t.page(),
            size: t.page(),
            ..*op
        }));
        (bind.ops, bind.op_count) = (address(ops.as_slice()), count as u32);
    })
}

/// Fills a VM with mappings; what it says of one more.
fn fill_vm(t: &Bench) -> Kept<Errno> {
    // The bench's own is one of them.
    let room = u64::from(t.device.max_mappings) - 1;
    if (t.va.end - t.va.start - t.bo.size) / t.page() <= room {
        return Err(Unproven::lacking("a VM with addresses for all mappings"));
    }
    let begin = Instant::now();
    let mut mapped = 0;
    while mapped < room {
        if begin.elapsed() > FILL_TIME {
            let what = format!("only {mapped} mappings in {FILL_TIME:?}");
            return Err(Unproven::lacking(what));
        }
        let count = (room - mapped).min(t.device.max_bind_ops.into());
        map_pages(t, mapped, count).succeeds("VM_BIND")?;
        mapped += count;
    }
    let one_more = map_pages(t, room, 1);
    one_more
        .err()
        .ok_or_else(|| Unproven::broken("one more is mapped"))
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
        "mappings_of_a_vm",
        "drm_apu_query_device.max_mappings",
        "a VM has as many mappings as QUERY says, then ENOSPC until one is unmapped; jobs go on",
        |t| {
            same("VM_BIND of one more", fill_vm(t)?, Errno::ENOSPC)?;
            t.works(1)?;
            let first = t.va.start + t.bo.size;
            t.vm_bind(|_, op| {
                (op.kind, op.bo_handle) = (BIND_UNMAP, 0);
                (op.va, op.size) = (first, t.page());
            })
            .succeeds("VM_BIND")?;
            map_pages(t, 0, 1).succeeds("VM_BIND")?;
            t.another()?.works(2)
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
            let taken = fill(t, queue_id, &slow(t)?)?;
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
    Rule::kept(
        AREA,
        "jobs_of_a_file",
        "drm_apu_query_device.max_file_jobs",
        "a file's queues together take as many jobs that have not ended as QUERY says, then EAGAIN; another file goes on",
        |t| {
            let slow = slow(t)?;
            let least = t.device.max_file_jobs;
            let mut queues = Vec::new();
            let (mut taken, mut done) = (0, 0);
            for _ in 0..=least / t.device.max_queued_jobs {
                let queue = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
                taken += fill(t, queue, &slow)?;
                queues.push(queue);
            }
            for &queue in &queues {
                done += t.state_of(queue)?.jobs_done as u32;
            }
            holds((least..=least + done).contains(&taken), || {
                format!("EAGAIN after {taken} jobs, of which {done} have ended")
            })?;
            let other = t.another()?;
            let work = other.load(&Program::nothing(t.device.target))?;
            let taken = submit_several(&other, other.queue_id, &work, 1);
            taken.succeeds("SUBMIT of another file")?;
            for queue_id in queues {
                let destroyed = t.node.call(&mut QueueDestroy { queue_id, pad: 0 });
                destroyed.succeeds("QUEUE_DESTROY")?;
            }
            other.works(1)
        },
    ),
];
