//! Jobs that go wrong in the device: what is said, and of whom.

use std::time::Instant;

use apu_proto::message::reject;
use nix::errno::Errno;

use crate::Bench;
use crate::bench::PATIENCE;
use crate::bench::Parts;
use crate::program::Program;
use crate::rule::{Area::Fault as AREA, Rule};
use crate::uapi::{
    BIND_UNMAP, NO_OP, QUEUE_FAULTED, QUEUE_REJECTED, QUEUE_TIMED_OUT, QueueGetState,
};
use crate::unproven::{Kept, Succeeds, holds, same};

/// The queue's state once a job with something wrong has ended.
fn state_after(t: &Bench, spoil: impl FnOnce(&mut Parts)) -> Kept<QueueGetState> {
    t.ends(t.submit(spoil).succeeds("SUBMIT")?)?;
    t.state()
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "bytes_that_are_no_program_are_rejected",
        "drm_apu_queue_state.DRM_APU_QUEUE_REJECTED",
        "a job of bytes that are no program is rejected, and the queue says why",
        |t| {
            // The page of zeros.
            let state = state_after(t, |s| s.jobs[0].run.program_va = t.va.start + 3 * t.page())?;
            let seen = (state.state, state.detail, state.op, state.jobs_done);
            same(
                "state, detail, op and jobs_done",
                seen,
                (QUEUE_REJECTED, reject::HEADER, NO_OP, 0),
            )
        },
    ),
    Rule::kept(
        AREA,
        "segments_that_are_too_small_are_rejected",
        "drm_apu_queue_get_state.detail",
        "a job whose segments are smaller than its program needs is rejected",
        |t| {
            let state = state_after(t, |s| s.segments[2].size = 8)?;
            same(
                "state and detail",
                (state.state, state.detail),
                (QUEUE_REJECTED, reject::SEGMENT),
            )
        },
    ),
    Rule::kept(
        AREA,
        "a_program_that_is_not_mapped_is_a_fault",
        "drm_apu_queue_get_state.address",
        "a job whose program is not mapped faults, and the queue says at which address",
        |t| {
            let nowhere = t.va.end - t.page();
            let state = state_after(t, |s| s.jobs[0].run.program_va = nowhere)?;
            same(
                "state and address",
                (state.state, state.address),
                (QUEUE_FAULTED, nowhere),
            )
        },
    ),
    Rule::kept(
        AREA,
        "what_was_unmapped_is_a_fault",
        "drm_apu_queue_state.DRM_APU_QUEUE_FAULTED",
        "a job whose memory was unmapped before the submit faults",
        |t| {
            let unmapped = t.vm_bind(|_, op| (op.kind, op.bo_handle) = (BIND_UNMAP, 0));
            unmapped.succeeds("VM_BIND")?;
            same("state", state_after(t, |_| ())?.state, QUEUE_FAULTED)
        },
    ),
    Rule::kept(
        AREA,
        "an_operand_that_is_not_mapped_names_its_operator",
        "drm_apu_queue_get_state.op",
        "a job whose output is not mapped faults, and the queue says in which operator",
        |t| {
            let nowhere = t.va.end - t.page();
            let state = state_after(t, |s| s.segments[3].va = nowhere)?;
            let seen = (state.state, state.op, state.address);
            same("state, op and address", seen, (QUEUE_FAULTED, 0, nowhere))
        },
    ),
    Rule::kept(
        AREA,
        "a_job_over_its_timeout_is_stopped",
        "drm_apu_queue_create.timeout_ms",
        "a job that runs longer than its queue's timeout is stopped, and the queue says so",
        |t| {
            let endless = t.load(&Program::slow(1 << 14, t.device.target))?;
            let queue = t.create_queue(|queue| queue.timeout_ms = 20)?;
            let begin = Instant::now();
            let ended = t.submit_work(&endless, |s| s.submit.queue_id = queue);
            t.ends(ended.succeeds("SUBMIT")?)?;
            holds(begin.elapsed() < PATIENCE, || {
                format!("{:?}", begin.elapsed())
            })?;
            same("state", t.state_of(queue)?.state, QUEUE_TIMED_OUT)
        },
    ),
    Rule::kept(
        AREA,
        "a_stopped_queue_takes_no_jobs",
        "drm_apu_queue_state",
        "a queue whose job went wrong answers later submits with ECANCELED",
        |t| {
            state_after(t, |s| s.jobs[0].run.program_va = t.va.start + 3 * t.page())?;
            same("SUBMIT", t.submit(|_| ()).map(drop), Err(Errno::ECANCELED))
        },
    ),
    Rule::kept(
        AREA,
        "jobs_behind_a_bad_one_end",
        "drm_apu_queue_state",
        "jobs of a queue that wait behind one that goes wrong end too, without running",
        |t| {
            t.work.fill(1);
            let bad = t.va.end - t.page();
            let jobs: Vec<_> = (0..8)
                .map(|job| {
                    t.submit(|s| {
                        if job == 0 {
                            s.jobs[0].run.program_va = bad
                        }
                    })
                })
                .filter(|job| *job != Err(Errno::ECANCELED))
                .collect();
            for job in jobs {
                t.ends(job.succeeds("SUBMIT")?)?;
            }
            let state = t.state()?;
            same(
                "state and jobs_done",
                (state.state, state.jobs_done),
                (QUEUE_FAULTED, 0),
            )?;
            t.work.is_untouched()
        },
    ),
    Rule::kept(
        AREA,
        "a_failed_job_leaves_an_error_in_its_fence",
        "drm_apu_job.signals",
        "the fence of a job that went wrong carries an error, that of a good one none",
        |t| {
            let good = t.submit(|_| ()).succeeds("SUBMIT")?;
            t.ends(good)?;
            same(
                "status of a good job",
                t.node.fence_status(good).succeeds("SYNC_IOC_FILE_INFO")?,
                1,
            )?;
            let bad = t
                .submit(|s| s.segments[3].va = t.va.end - t.page())
                .succeeds("SUBMIT")?;
            t.ends(bad)?;
            let status = t.node.fence_status(bad).succeeds("SYNC_IOC_FILE_INFO")?;
            holds(status < 0, || format!("status {status}"))
        },
    ),
];
