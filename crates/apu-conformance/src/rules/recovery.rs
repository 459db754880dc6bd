//! What is possible after a job went wrong.

use crate::Bench;
use crate::bench::Parts;
use crate::program::Program;
use crate::rule::{Area::Recovery as AREA, Rule};
use crate::uapi::{DEVICE_ONLINE, QUEUE_OK, QueueDestroy};
use crate::unproven::{Kept, Succeeds, same};

/// What a client does once its queue has been stopped.
fn with_a_new_queue(mut t: Bench) -> Kept {
    let queue_id = t.queue_id;
    t.node
        .call(&mut QueueDestroy { queue_id, pad: 0 })
        .succeeds("QUEUE_DESTROY")?;
    t.queue_id = t.create_queue(|_| ())?;
    t.works(1)
}

/// After a job with something wrong, the client goes on with a new queue.
fn goes_on_after(t: &Bench, spoil: impl FnOnce(&Bench, &mut Parts)) -> Kept {
    let client = t.another()?;
    client.ends(client.submit(|s| spoil(&client, s)).succeeds("SUBMIT")?)?;
    with_a_new_queue(client)?;
    same(
        "state of the device",
        t.node.device().succeeds("QUERY")?.state,
        DEVICE_ONLINE,
    )
}

/// A job that is stopped after its timeout of 20 ms.
fn time_out(t: &Bench) -> Kept {
    let endless = t.load(&Program::slow(1 << 14, t.device.target))?;
    let queue = t.create_queue(|queue| queue.timeout_ms = 20)?;
    let ended = t.submit_work(&endless, |s| s.submit.queue_id = queue);
    t.ends(ended.succeeds("SUBMIT")?)
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "after_a_fault",
        "drm_apu_queue_state.DRM_APU_QUEUE_FAULTED",
        "after a fault a new queue on the same VM runs jobs",
        |t| goes_on_after(t, |t, s| s.segments[3].va = t.va.end - t.page()),
    ),
    Rule::kept(
        AREA,
        "after_a_rejected_program",
        "drm_apu_queue_state.DRM_APU_QUEUE_REJECTED",
        "after a rejected program a new queue on the same VM runs jobs",
        |t| {
            goes_on_after(t, |t, s| {
                s.jobs[0].run.program_va = t.va.start + 3 * t.page()
            })
        },
    ),
    Rule::kept(
        AREA,
        "after_a_timeout",
        "drm_apu_queue_state.DRM_APU_QUEUE_TIMED_OUT",
        "after a timeout another queue on the same VM runs jobs, without the device being loaded anew",
        |t| {
            time_out(t)?;
            same(
                "state of the device",
                t.node.device().succeeds("QUERY")?.state,
                DEVICE_ONLINE,
            )?;
            t.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "a_destroyed_queues_jobs_end",
        "drm_apu_queue_destroy",
        "jobs of a queue that is destroyed end, and the VM can be used at once",
        |t| {
            let slow = t.load(&Program::slow(1 << 10, t.device.target))?;
            let queue_id = t.create_queue(|_| ())?;
            let jobs: Vec<_> = (0..4)
                .map(|_| t.submit_work(&slow, |s| s.submit.queue_id = queue_id))
                .collect();
            t.node
                .call(&mut QueueDestroy { queue_id, pad: 0 })
                .succeeds("QUEUE_DESTROY")?;
            for job in jobs {
                t.ends(job.succeeds("SUBMIT")?)?;
            }
            t.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "a_file_that_is_closed_takes_its_jobs_along",
        "drm_apu_queue_destroy",
        "closing a file with jobs running and waiting disturbs nobody",
        |t| {
            for _ in 0..4 {
                let leaving = t.another()?;
                let slow = leaving.load(&Program::slow(1 << 10, t.device.target))?;
                for _ in 0..4 {
                    leaving.submit_work(&slow, |_| ()).succeeds("SUBMIT")?;
                }
            }
            t.works(1)?;
            same("state", t.state()?.state, QUEUE_OK)
        },
    ),
];
