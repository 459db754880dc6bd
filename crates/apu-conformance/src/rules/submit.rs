//! SUBMIT: what it takes, and what it refuses.

use nix::errno::Errno;

use super::{NOWHERE, UNKNOWN};
use crate::Bench;
use crate::bench::Parts;
use crate::rule::{Area::Submit as AREA, Rule};
use crate::uapi::Segment;
use crate::unproven::{Succeeds, same};

/// A SUBMIT with something wrong.
const fn call(
    name: &'static str,
    written: &'static str,
    errno: Errno,
    call: fn(&Bench) -> Result<(), Errno>,
) -> Rule {
    Rule::refused(AREA, name, written, errno, call)
}

fn spoilt(t: &Bench, spoil: impl FnOnce(&mut Parts)) -> Result<(), Errno> {
    t.submit(spoil).map(drop)
}

pub(super) const RULES: &[Rule] = &[
    call(
        "to_an_unknown_queue",
        "drm_apu_submit.queue_id",
        Errno::ENOENT,
        |t| spoilt(t, |s| s.submit.queue_id = UNKNOWN),
    ),
    call(
        "with_an_unknown_flag",
        "drm_apu_submit.flags",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.submit.flags = 1 << 31),
    ),
    call(
        "of_no_jobs",
        "drm_apu_submit.job_count",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.submit.job_count = 0),
    ),
    call(
        "of_too_many_jobs",
        "drm_apu_submit.job_count",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.submit.job_count = t.device.max_jobs + 1),
    ),
    call(
        "with_a_stride_of_jobs_too_small",
        "drm_apu_submit.job_stride",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.submit.job_stride -= 8),
    ),
    call(
        "with_jobs_that_are_not_there",
        "drm_apu_submit.jobs",
        Errno::EFAULT,
        |t| spoilt(t, |s| s.submit.jobs = NOWHERE),
    ),
    call(
        "with_an_unknown_flag_of_a_job",
        "drm_apu_job.flags",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.jobs[0].flags = 1 << 31),
    ),
    call(
        "with_too_many_waits",
        "drm_apu_job.wait_count",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.jobs[0].wait_count = t.device.max_syncs + 1),
    ),
    call(
        "with_too_many_signals",
        "drm_apu_job.signal_count",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.jobs[0].signal_count = t.device.max_syncs + 1),
    ),
    call(
        "with_a_stride_of_syncs_too_small",
        "drm_apu_job.sync_stride",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.jobs[0].sync_stride = 8),
    ),
    call(
        "with_waits_that_are_not_there",
        "drm_apu_job.waits",
        Errno::EFAULT,
        |t| {
            spoilt(t, |s| {
                (s.jobs[0].waits, s.jobs[0].wait_count) = (NOWHERE, 1)
            })
        },
    ),
    call(
        "with_signals_that_are_not_there",
        "drm_apu_job.signals",
        Errno::EFAULT,
        |t| spoilt(t, |s| s.jobs[0].signals = NOWHERE),
    ),
    call(
        "of_an_empty_program",
        "drm_apu_run.program_size",
        Errno::EINVAL,
        |t| spoilt(t, |s| s.jobs[0].run.program_size = 0),
    ),
    call(
        "with_too_many_segments",
        "drm_apu_run.segment_count",
        Errno::EINVAL,
        |t| {
            spoilt(t, |s| {
                s.jobs[0].run.segment_count = t.device.max_segments + 1
            })
        },
    ),
    call(
        "with_a_stride_of_segments_too_small",
        "drm_apu_run.segment_stride",
        Errno::EINVAL,
        |t| {
            spoilt(t, |s| {
                s.jobs[0].run.segment_stride = size_of::<Segment>() as u32 - 8
            })
        },
    ),
    call(
        "with_segments_that_are_not_there",
        "drm_apu_run.segments",
        Errno::EFAULT,
        |t| spoilt(t, |s| s.jobs[0].run.segments = NOWHERE),
    ),
    Rule::kept(
        AREA,
        "a_correct_job_does_what_it_says",
        "drm_apu_run",
        "a job runs its program on its segments, byte for byte",
        |t| (1..=8).try_for_each(|seed| t.works(seed)),
    ),
    Rule::kept(
        AREA,
        "of_a_bad_second_job_queues_none",
        "drm_apu_submit",
        "SUBMIT queues either all of its jobs or none",
        |t| {
            let mut ended = 0;
            let submitted = t.submit(|s| {
                s.submit.job_count = 2;
                s.jobs[1].flags = 1 << 31;
                ended = s.signal.handle;
            });
            same("SUBMIT", submitted, Err(Errno::EINVAL))?;
            // EINVAL: no fence was put into it.
            same(
                "the end of the first job",
                t.node.wait(ended, crate::bench::PATIENCE),
                Err(Errno::EINVAL),
            )
        },
    ),
    Rule::kept(
        AREA,
        "of_several_jobs_runs_them_all",
        "drm_apu_submit.job_count",
        "SUBMIT of several jobs runs each of them",
        |t| {
            let ended = t.submit(|s| s.submit.job_count = 2).succeeds("SUBMIT")?;
            t.ends(ended)?;
            same("jobs_done", t.state()?.jobs_done, 2)
        },
    ),
];
