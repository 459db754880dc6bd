//! What jobs wait for and signal.

use std::time::Duration;

use nix::errno::Errno;

use super::UNKNOWN;
use crate::Bench;
use crate::bench::Work;
use crate::program::Program;
use crate::rule::{Area::Sync as AREA, Rule};
use crate::uapi::{SYNC_TIMELINE, Sync};
use crate::unproven::{Kept, Succeeds, same};

const HANDLE: &str = "drm_apu_sync.handle";
const FLAGS: &str = "drm_apu_sync.flags";
const POINT: &str = "drm_apu_sync.point";

/// Makes the job wait for a syncobj that has something wrong.
fn waiting(t: &Bench, spoil: fn(&mut Sync)) -> Result<(), Errno> {
    let submitted = t.submit(|s| {
        s.jobs[0].wait_count = 1;
        spoil(&mut s.wait);
    });
    submitted.map(drop)
}

/// Makes the job signal a syncobj that has something wrong.
fn signalling(t: &Bench, spoil: fn(&mut Sync)) -> Result<(), Errno> {
    t.submit(|s| spoil(&mut s.signal)).map(drop)
}

/// A job that takes a while, on the bench's own queue.
fn slow(t: &Bench) -> Kept<Work> {
    t.load(&Program::slow(256, t.device.target))
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "wait_for_an_unknown_syncobj",
        HANDLE,
        Errno::ENOENT,
        |t| waiting(t, |wait| wait.handle = UNKNOWN),
    ),
    Rule::refused(
        AREA,
        "wait_with_an_unknown_flag",
        FLAGS,
        Errno::EINVAL,
        |t| waiting(t, |wait| wait.flags = 1 << 31),
    ),
    Rule::refused(
        AREA,
        "wait_for_a_point_of_a_binary_syncobj",
        POINT,
        Errno::EINVAL,
        |t| waiting(t, |wait| wait.point = 1),
    ),
    Rule::refused(
        AREA,
        "wait_for_point_0_of_a_timeline",
        POINT,
        Errno::EINVAL,
        |t| waiting(t, |wait| wait.flags = SYNC_TIMELINE),
    ),
    Rule::refused(
        AREA,
        "wait_for_a_syncobj_without_fence",
        "drm_apu_job.waits",
        Errno::EINVAL,
        |t| {
            t.submit(|s| (s.jobs[0].wait_count, s.wait.handle) = (1, t.empty))
                .map(drop)
        },
    ),
    Rule::refused(
        AREA,
        "signal_of_an_unknown_syncobj",
        HANDLE,
        Errno::ENOENT,
        |t| signalling(t, |signal| signal.handle = UNKNOWN),
    ),
    Rule::refused(
        AREA,
        "signal_with_an_unknown_flag",
        FLAGS,
        Errno::EINVAL,
        |t| signalling(t, |signal| signal.flags = 1 << 31),
    ),
    Rule::refused(
        AREA,
        "signal_of_a_point_of_a_binary_syncobj",
        POINT,
        Errno::EINVAL,
        |t| signalling(t, |signal| signal.point = 1),
    ),
    Rule::refused(
        AREA,
        "signal_of_point_0_of_a_timeline",
        POINT,
        Errno::EINVAL,
        |t| signalling(t, |signal| signal.flags = SYNC_TIMELINE),
    ),
    Rule::kept(
        AREA,
        "a_signalled_wait_holds_nothing_up",
        "drm_apu_job.waits",
        "a job that waits for what has happened runs",
        |t| t.ends(t.submit(|s| s.jobs[0].wait_count = 1).succeeds("SUBMIT")?),
    ),
    Rule::kept(
        AREA,
        "a_job_runs_after_what_it_waits_for",
        "drm_apu_job.waits",
        "a job of another queue begins when the fence it waits for has signalled, not before",
        |t| {
            let first = t.submit_work(&slow(t)?, |_| ()).succeeds("SUBMIT")?;
            let queue = t.create_queue(|_| ())?;
            let second = t.submit(|s| {
                s.submit.queue_id = queue;
                (s.jobs[0].wait_count, s.wait.handle) = (1, first);
            });
            t.ends(second.succeeds("SUBMIT")?)?;
            same(
                "the first job's fence",
                t.node.wait(first, Duration::ZERO),
                Ok(()),
            )
        },
    ),
    Rule::kept(
        AREA,
        "jobs_of_a_queue_end_in_order",
        "drm_apu_queue_create",
        "jobs of one queue end in the order of their submits",
        |t| {
            let first = t.submit_work(&slow(t)?, |_| ()).succeeds("SUBMIT")?;
            t.ends(t.submit(|_| ()).succeeds("SUBMIT")?)?;
            same(
                "the first job's fence",
                t.node.wait(first, Duration::ZERO),
                Ok(()),
            )
        },
    ),
    Rule::kept(
        AREA,
        "a_wait_with_a_short_timeout_ends",
        "drm_apu_job.signals",
        "a wait for a job that runs ends with ETIME when its time is over",
        |t| {
            let running = t.submit_work(&slow(t)?, |_| ()).succeeds("SUBMIT")?;
            same(
                "SYNCOBJ_WAIT",
                t.node.wait(running, Duration::ZERO),
                Err(Errno::ETIME),
            )?;
            t.ends(running)
        },
    ),
    Rule::kept(
        AREA,
        "points_of_a_timeline_are_jobs",
        POINT,
        "a job signals a point of a timeline, and another one waits for it",
        |t| {
            let timeline = t.node.syncobj(0).succeeds("SYNCOBJ_CREATE")?;
            let point = |point| Sync {
                handle: timeline,
                flags: SYNC_TIMELINE,
                point,
            };
            t.submit_work(&slow(t)?, |s| s.signal = point(1))
                .succeeds("SUBMIT")?;
            let last = t.submit(|s| (s.jobs[0].wait_count, s.wait) = (1, point(1)));
            t.ends(last.succeeds("SUBMIT")?)?;
            same(
                "point 1",
                t.node.wait_point(timeline, 1, Duration::ZERO),
                Ok(()),
            )?;
            same(
                "point 2",
                t.node.wait_point(timeline, 2, Duration::ZERO),
                Err(Errno::EINVAL),
            )
        },
    ),
];
