//! Which job is next.

use std::time::Duration;

use nix::errno::Errno;

use crate::Bench;
use crate::program::Program;
use crate::rule::{Area::Priority as AREA, Rule};
use crate::uapi::{PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_REALTIME};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};

/// Jobs of the lesser queue that wait when the better one gets its job.
const JOBS: u64 = 12;

/// Jobs of the lesser queue that may end before: those that the core has begun, and one more.
const MOST: u64 = 3;
/// How often to try: on a machine that is busy jobs end between two calls.
const ATTEMPTS: u32 = 4;

/// A job of a queue of priority `more` ends before those of one of priority `less` that came before it,
/// but for a few.
fn overtakes(t: &Bench, less: u32, more: u32) -> Kept {
    let mut fewest = JOBS;
    for _ in 0..ATTEMPTS {
        fewest = fewest.min(overtaken(t, less, more)?);
        if fewest <= MOST {
            return Ok(());
        }
    }
    let seen = format!("{fewest} of {JOBS} jobs of the lesser queue ended before");
    Err(Unproven::broken(seen))
}

/// Jobs of a queue of priority `less` that end before the one job of a queue of priority `more`, which
/// came after them all.
fn overtaken(t: &Bench, less: u32, more: u32) -> Kept<u64> {
    // Of the same core, since another one would be free.
    let queue =
        |priority| t.create_queue(|queue| (queue.priority, queue.core_mask) = (priority, 1));
    let slow = t.load(&Program::slow(64, t.device.target))?;
    let (less, more) = (queue(less)?, queue(more)?);
    let mut last = 0;
    for _ in 0..JOBS {
        last = t
            .submit_work(&slow, |s| s.submit.queue_id = less)
            .succeeds("SUBMIT")?;
    }
    let before = t.state_of(less)?.jobs_done;
    let ended = t
        .submit_work(&slow, |s| s.submit.queue_id = more)
        .succeeds("SUBMIT")?;
    t.ends(ended)?;
    let done = t.state_of(less)?.jobs_done - before;
    t.ends(last)?;
    Ok(done)
}

fn may_be_urgent(t: &Bench) -> Kept {
    match t.node.call(&mut crate::uapi::QueueCreate {
        priority: PRIORITY_HIGH,
        ..t.queue()
    }) {
        Err(Errno::EPERM) => Err(Unproven::lacking("high priority needs CAP_SYS_NICE")),
        made => made.succeeds("QUEUE_CREATE"),
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "normal_overtakes_low",
        "drm_apu_priority.DRM_APU_PRIORITY_LOW",
        "a job of a normal queue runs before those that wait in a low one",
        |t| overtakes(t, PRIORITY_LOW, PRIORITY_NORMAL),
    ),
    Rule::kept(
        AREA,
        "high_overtakes_normal",
        "drm_apu_priority.DRM_APU_PRIORITY_HIGH",
        "a job of a high queue runs before those that wait in a normal one",
        |t| {
            may_be_urgent(t)?;
            overtakes(t, PRIORITY_NORMAL, PRIORITY_HIGH)
        },
    ),
    Rule::kept(
        AREA,
        "realtime_overtakes_high",
        "drm_apu_priority.DRM_APU_PRIORITY_REALTIME",
        "a job of a realtime queue runs before those that wait in a high one",
        |t| {
            may_be_urgent(t)?;
            overtakes(t, PRIORITY_HIGH, PRIORITY_REALTIME)
        },
    ),
    Rule::kept(
        AREA,
        "urgency_does_not_overtake_what_it_waits_for",
        "drm_apu_job.waits",
        "a job of a normal queue that waits for one of a low queue runs behind it, on the same core too",
        |t| {
            let queue = |priority| {
                t.create_queue(|queue| (queue.priority, queue.core_mask) = (priority, 1))
            };
            let slow = t.load(&Program::slow(16, t.device.target))?;
            let (low, normal) = (queue(PRIORITY_LOW)?, queue(PRIORITY_NORMAL)?);
            let awaited = (0..3).try_fold(0, |_, _| {
                t.submit_work(&slow, |s| s.submit.queue_id = low)
                    .succeeds("SUBMIT")
            })?;
            let ended = t.submit(|s| {
                s.submit.queue_id = normal;
                (s.jobs[0].wait_count, s.wait.handle) = (1, awaited);
            });
            t.ends(ended.succeeds("SUBMIT")?)?;
            same(
                "what it waited for",
                t.node.wait(awaited, Duration::ZERO),
                Ok(()),
            )
        },
    ),
    Rule::kept(
        AREA,
        "low_is_not_forgotten",
        "drm_apu_priority.DRM_APU_PRIORITY_LOW",
        "a job of a low queue runs once nothing better waits",
        |t| {
            let queue = t.create_queue(|queue| queue.priority = PRIORITY_LOW)?;
            let ended = t.submit(|s| s.submit.queue_id = queue).succeeds("SUBMIT")?;
            t.ends(ended)?;
            holds(t.node.wait(ended, Duration::ZERO).is_ok(), || {
                "no fence".into()
            })
        },
    ),
];
