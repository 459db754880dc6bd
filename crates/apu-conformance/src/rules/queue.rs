//! QUEUE_CREATE, QUEUE_DESTROY and QUEUE_GET_STATE.

use nix::errno::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::UNKNOWN;
use crate::Bench;
use crate::program::Program;
use crate::rule::{Area::Queue as AREA, Rule};
use crate::uapi::{
    PRIORITY_HIGH, PRIORITY_REALTIME, QUEUE_OK, QueueCreate, QueueDestroy, QueueGetState,
};
use crate::unproven::{Succeeds, Unproven, holds, same};

fn create(t: &Bench, change: impl FnOnce(&mut QueueCreate)) -> Result<(), Errno> {
    let mut queue = t.queue();
    change(&mut queue);
    t.node.call(&mut queue)
}

fn destroy(t: &Bench, queue_id: u32) -> Result<(), Errno> {
    t.node.call(&mut QueueDestroy { queue_id, pad: 0 })
}

/// As a user without rights; in a thread of its own, since rights are a thread's.
fn without_rights(call: impl FnOnce() -> Result<(), Errno> + Send) -> Result<(), Errno> {
    let dropped = || {
        let mut sets = capabilities(None)?;
        sets.effective.remove(CapabilitySet::SYS_NICE);
        set_capabilities(None, sets)
    };
    let call = || {
        dropped().map_err(|errno| Errno::from_raw(errno.raw_os_error()))?;
        call()
    };
    std::thread::scope(|scope| scope.spawn(call).join()).unwrap_or(Err(Errno::UnknownErrno))
}

fn create_without_rights(t: &Bench, priority: u32) -> Result<(), Errno> {
    let (node, mut queue) = (&t.node, t.queue());
    queue.priority = priority;
    without_rights(move || node.call(&mut queue))
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "on_an_unknown_vm",
        "drm_apu_queue_create.vm_id",
        Errno::ENOENT,
        |t| create(t, |queue| queue.vm_id = UNKNOWN),
    ),
    Rule::refused(
        AREA,
        "with_an_unknown_priority",
        "drm_apu_queue_create.priority",
        Errno::EINVAL,
        |t| create(t, |queue| queue.priority = 99),
    ),
    Rule::refused(
        AREA,
        "with_only_cores_that_are_not_there",
        "drm_apu_queue_create.core_mask",
        Errno::EINVAL,
        |t| create(t, |queue| queue.core_mask = 1 << 63),
    ),
    Rule::refused(
        AREA,
        "with_a_timeout_above_the_limit",
        "drm_apu_queue_create.timeout_ms",
        Errno::EINVAL,
        |t| create(t, |queue| queue.timeout_ms = t.device.max_timeout_ms + 1),
    ),
    Rule::refused(
        AREA,
        "with_an_unknown_flag",
        "drm_apu_queue_create.flags",
        Errno::EINVAL,
        |t| create(t, |queue| queue.flags = 1 << 31),
    ),
    Rule::refused(
        AREA,
        "with_more_cores_for_a_job_than_there_are",
        "drm_apu_queue_create.max_cores",
        Errno::EINVAL,
        |t| create(t, |queue| queue.max_cores = t.device.core_count + 1),
    ),
    Rule::refused(
        AREA,
        "with_high_priority_but_no_capability",
        "drm_apu_queue_create.priority",
        Errno::EPERM,
        |t| create_without_rights(t, PRIORITY_HIGH),
    ),
    Rule::refused(
        AREA,
        "with_realtime_priority_but_no_capability",
        "drm_apu_queue_create.priority",
        Errno::EPERM,
        |t| create_without_rights(t, PRIORITY_REALTIME),
    ),
    Rule::refused(
        AREA,
        "of_an_unknown_queue",
        "drm_apu_queue_destroy.queue_id",
        Errno::ENOENT,
        |t| destroy(t, UNKNOWN),
    ),
    Rule::refused(
        AREA,
        "of_queue_0",
        "drm_apu_queue_destroy.queue_id",
        Errno::ENOENT,
        |t| destroy(t, 0),
    ),
    Rule::refused(
        AREA,
        "destroy_with_padding",
        "drm_apu_queue_destroy.pad",
        Errno::EINVAL,
        |t| {
            t.node.call(&mut QueueDestroy {
                queue_id: t.queue_id,
                pad: 1,
            })
        },
    ),
    Rule::kept(
        AREA,
        "is_gone_once_destroyed",
        "drm_apu_queue_destroy.queue_id",
        "QUEUE_DESTROY destroys the queue, once, and nothing can be submitted to it",
        |t| {
            same("QUEUE_DESTROY", destroy(t, t.queue_id), Ok(()))?;
            same(
                "QUEUE_DESTROY again",
                destroy(t, t.queue_id),
                Err(Errno::ENOENT),
            )?;
            same("SUBMIT", t.submit(|_| ()).map(drop), Err(Errno::ENOENT))
        },
    ),
    Rule::refused(
        AREA,
        "state_of_an_unknown_queue",
        "drm_apu_queue_get_state.queue_id",
        Errno::ENOENT,
        |t| {
            t.node.call(&mut QueueGetState {
                queue_id: UNKNOWN,
                ..QueueGetState::default()
            })
        },
    ),
    Rule::refused(
        AREA,
        "state_with_padding",
        "drm_apu_queue_get_state.pad",
        Errno::EINVAL,
        |t| {
            t.node.call(&mut QueueGetState {
                queue_id: t.queue_id,
                pad: 1,
                ..QueueGetState::default()
            })
        },
    ),
    Rule::kept(
        AREA,
        "is_ok_when_new",
        "drm_apu_queue_state",
        "a new queue is OK and has done no job",
        |t| {
            let state = t.state()?;
            same(
                "state and jobs_done",
                (state.state, state.jobs_done),
                (QUEUE_OK, 0),
            )
        },
    ),
    Rule::kept(
        AREA,
        "counts_its_jobs",
        "drm_apu_queue_get_state.jobs_done",
        "jobs_done counts the jobs of the queue that ended well, and of no other one",
        |t| {
            let other = t.create_queue(|_| ())?;
            for _ in 0..3 {
                t.ends(t.submit(|_| ()).succeeds("SUBMIT")?)?;
            }
            let done =
                [t.queue_id, other].map(|queue| t.state_of(queue).map(|state| state.jobs_done));
            same("jobs_done of both", done, [Ok(3), Ok(0)])
        },
    ),
    Rule::kept(
        AREA,
        "tells_when_its_last_job_ran",
        "drm_apu_queue_get_state.start_ns",
        "start_ns and end_ns are those of the last job, by a clock that goes on, and device_ns is their sum",
        |t| {
            let run = || {
                t.ends(t.submit(|_| ()).succeeds("SUBMIT")?)?;
                t.state()
            };
            let (first, second) = (run()?, run()?);
            let took = |state: &QueueGetState| state.end_ns.saturating_sub(state.start_ns);
            let times = [first.start_ns, first.end_ns, second.start_ns, second.end_ns];
            holds(first.start_ns > 0 && times.is_sorted(), || {
                format!("two jobs one after the other ran at {times:?}")
            })?;
            same(
                "device_ns after each",
                (first.device_ns, second.device_ns),
                (took(&first), took(&first) + took(&second)),
            )
        },
    ),
    Rule::kept(
        AREA,
        "tells_the_cycles_of_its_last_job",
        "drm_apu_queue_get_state.cycles",
        "cycles are those of the last job: more for a longer one, and none before the first one",
        |t| {
            let cycles = |times| {
                let work = t.load(&Program::slow(times, t.device.target))?;
                t.ends(t.submit_work(&work, |_| ()).succeeds("SUBMIT")?)?;
                Ok::<_, Unproven>(t.state()?.cycles)
            };
            same("cycles without a job", t.state()?.cycles, 0)?;
            let (long, short) = (cycles(1 << 8)?, cycles(1)?);
            if (long, short) == (0, 0) {
                return Err(Unproven::lacking("the device counts no cycles"));
            }
            holds(long > short && short > 0, || {
                format!("{long} for a long job, {short} for a short one")
            })
        },
    ),
];
