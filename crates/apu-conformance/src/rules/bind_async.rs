//! VM_BIND that waits for fences, and VM_GET_STATE.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::errno::Errno;

use super::UNKNOWN;
use crate::Bench;
use crate::bench::{Work, address};
use crate::program::Program;
use crate::rule::{Area::Bind as AREA, Rule};
use crate::uapi::{
    BIND_ASYNC, BIND_NOREPLACE, BIND_READONLY, BIND_UNMAP, DEVICE_BIND_ASYNC, QUEUE_FAULTED,
    QUEUE_OK, QueueDestroy, SYNC_TIMELINE, Sync, VM_OK, VM_UNUSABLE, VmBind, VmBindOp, VmDestroy,
    VmGetState,
};
use crate::unproven::{Kept, Succeeds, Unproven, same};

fn supported(t: &Bench) -> Kept {
    if t.device.flags & DEVICE_BIND_ASYNC == 0 {
        return Err(Unproven::lacking("no asynchronous VM_BIND"));
    }
    Ok(())
}

/// A wrong asynchronous call. What is wrong with it, read aloud, is its name.
macro_rules! refused {
    ($name:literal, $written:literal, $wrong:literal, $errno:ident, $spoil:expr) => {
        Rule::kept(
            AREA,
            $name,
            $written,
            concat!(
                "an asynchronous VM_BIND ",
                $wrong,
                " is refused with ",
                stringify!($errno)
            ),
            |t| {
                supported(t)?;
                let spoil: fn(&Bench, &mut Parts) = $spoil;
                let bind = bind_as(t, &[map(t)], &[t.signalled], |parts| spoil(t, parts));
                same("VM_BIND", bind.map(drop), Err(Errno::$errno))
            },
        )
    };
}

/// What a VM_BIND points to.
struct Parts {
    bind: VmBind,
    waits: Vec<Sync>,
    signal: Sync,
}

fn binary(handle: u32) -> Sync {
    Sync {
        handle,
        ..Sync::default()
    }
}

/// Queues changes behind `waits`; returns the syncobj of their end.
fn bind(t: &Bench, ops: &[VmBindOp], waits: &[u32]) -> Kept<u32> {
    bind_as(t, ops, waits, |_| ()).succeeds("VM_BIND")
}

/// The same, once `change` has changed the call.
fn bind_as(
    t: &Bench,
    ops: &[VmBindOp],
    waits: &[u32],
    change: impl FnOnce(&mut Parts),
) -> Result<u32, Errno> {
    with_parts(t, ops, waits, |parts| {
        change(parts);
        t.node.call(&mut parts.bind)?;
        Ok(parts.signal.handle)
    })
}

/// What `call` makes of a correct call.
fn with_parts<T>(
    t: &Bench,
    ops: &[VmBindOp],
    waits: &[u32],
    call: impl FnOnce(&mut Parts) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut parts = Parts {
        bind: VmBind {
            vm_id: t.vm_id,
            flags: BIND_ASYNC,
            op_count: ops.len() as u32,
            op_stride: size_of::<VmBindOp>() as u32,
            ops: address(ops),
            wait_count: waits.len() as u32,
            signal_count: 1,
            sync_stride: size_of::<Sync>() as u32,
            ..VmBind::default()
        },
        waits: waits.iter().copied().map(binary).collect(),
        signal: binary(t.node.syncobj(0)?),
    };
    parts.bind.waits = address(parts.waits.as_slice());
    parts.bind.signals = address(&parts.signal);
    call(&mut parts)
}

/// Maps the bench's buffer where it is.
fn map(t: &Bench) -> VmBindOp {
    VmBindOp {
        bo_handle: t.bo.handle,
        va: t.va.start,
        size: t.bo.size,
        ..VmBindOp::default()
    }
}

fn unmap(va: u64, size: u64) -> VmBindOp {
    VmBindOp {
        kind: BIND_UNMAP,
        va,
        size,
        ..VmBindOp::default()
    }
}

/// Addresses that nothing is bound at.
fn free(t: &Bench) -> u64 {
    t.va.start + t.bo.size + (1 << 24)
}

/// A job that takes a while, on the bench's queue; its syncobj.
fn slow_job(t: &Bench) -> Kept<u32> {
    let slow = t.load(&Program::slow(256, t.device.target))?;
    t.submit_work(&slow, |_| ()).succeeds("SUBMIT")
}

/// Jobs, the last of which takes as long as its queue lives.
struct Gate {
    ended: u32,
    queue_id: u32,
}

impl Gate {
    fn new(t: &Bench) -> Kept<Self> {
        let endless = t.load(&Program::slow(1 << 14, t.device.target))?;
        let queue_id = t.create_queue(|queue| queue.timeout_ms = t.device.max_timeout_ms)?;
        // Each is stopped after its timeout at most, and takes seconds at least.
        let submit = || t.submit_work(&endless, |s| s.submit.queue_id = queue_id);
        for _ in 0..7 {
            submit().succeeds("SUBMIT")?;
        }
        let ended = submit().succeeds("SUBMIT")?;
        Ok(Self { ended, queue_id })
    }

    fn is_shut(&self, t: &Bench) -> Kept {
        let waited = t.node.wait(self.ended, Duration::ZERO);
        same("the fence that is waited for", waited, Err(Errno::ETIME))
    }

    fn open(self, t: &Bench) -> Kept {
        let queue_id = self.queue_id;
        t.node
            .call(&mut QueueDestroy { queue_id, pad: 0 })
            .succeeds("QUEUE_DESTROY")
    }
}

fn vm_state(t: &Bench) -> Kept<VmGetState> {
    let mut state = VmGetState {
        vm_id: t.vm_id,
        ..VmGetState::default()
    };
    t.node.call(&mut state).succeeds("VM_GET_STATE")?;
    Ok(state)
}

/// The fence of changes that went well.
fn goes_well(t: &Bench, done: u32) -> Kept {
    t.ends(done)?;
    same(
        "status of the fence",
        t.node.fence_status(done).succeeds("SYNC_FILE_INFO")?,
        1,
    )
}

/// The fence of what failed.
fn fails(t: &Bench, what: &str, done: u32, errno: Errno) -> Kept {
    t.ends(done)?;
    same(
        what,
        t.node.fence_status(done).succeeds("SYNC_FILE_INFO")?,
        -(errno as i32),
    )
}

/// A job of `work` that waits for `done`; the state of the queue after that.
fn state_after(t: &Bench, work: &Work, done: u32) -> Kept<(u32, u64)> {
    let job = t.submit_work(work, |s| (s.jobs[0].wait_count, s.wait.handle) = (1, done));
    t.ends(job.succeeds("SUBMIT")?)?;
    let state = t.state()?;
    Ok((state.state, state.address))
}

/// Makes the VM unusable: the second of three changes maps over what is there.
fn spoil_vm(t: &Bench) -> Kept<u32> {
    let page = t.page();
    let at = |va, flags| VmBindOp {
        va,
        flags,
        size: page,
        ..map(t)
    };
    let ops = [
        at(free(t), 0),
        at(t.va.start + page, BIND_NOREPLACE),
        at(free(t) + 2 * page, 0),
    ];
    bind(t, &ops, &[])
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "with_waits_but_not_asynchronous",
        "drm_apu_vm_bind.waits",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| (bind.wait_count, bind.sync_stride) = (1, 16)),
    ),
    Rule::refused(
        AREA,
        "with_signals_but_not_asynchronous",
        "drm_apu_vm_bind.signals",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.signals = address(&Sync::default())),
    ),
    Rule::refused(
        AREA,
        "with_more_padding",
        "drm_apu_vm_bind.pad2",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.pad2 = 1),
    ),
    Rule::refused(
        AREA,
        "over_a_mapping_that_is_not_to_be_replaced",
        "drm_apu_vm_bind_op.flags",
        Errno::EEXIST,
        |t| {
            t.vm_bind(|_, op| {
                (op.flags, op.va, op.size) = (BIND_NOREPLACE, op.va + t.page(), t.page());
            })
        },
    ),
    Rule::kept(
        AREA,
        "nothing_is_replaced_that_is_not_to_be",
        "drm_apu_vm_bind_op.flags",
        "a map with NOREPLACE changes nothing where something is, and maps where nothing is",
        |t| {
            let refused = t.vm_bind(|_, op| op.flags = BIND_NOREPLACE);
            same("VM_BIND", refused, Err(Errno::EEXIST))?;
            t.works(1)?;
            let mapped = t.vm_bind(|_, op| (op.flags, op.va) = (BIND_NOREPLACE, free(t)));
            mapped.succeeds("VM_BIND")
        },
    ),
    refused!(
        "async_of_an_unknown_vm",
        "drm_apu_vm_bind.vm_id",
        "of an unknown VM",
        ENOENT,
        |_, parts| parts.bind.vm_id = UNKNOWN
    ),
    refused!(
        "async_with_an_unknown_flag",
        "drm_apu_vm_bind.flags",
        "with an unknown flag",
        EINVAL,
        |_, parts| parts.bind.flags |= 1 << 31
    ),
    refused!(
        "async_of_no_operations",
        "drm_apu_vm_bind.op_count",
        "of no operations",
        EINVAL,
        |_, parts| parts.bind.op_count = 0
    ),
    refused!(
        "async_with_too_many_waits",
        "drm_apu_vm_bind.wait_count",
        "with too many waits",
        EINVAL,
        |t, parts| parts.bind.wait_count = t.device.max_syncs + 1
    ),
    refused!(
        "async_with_too_many_signals",
        "drm_apu_vm_bind.signal_count",
        "with too many signals",
        EINVAL,
        |t, parts| parts.bind.signal_count = t.device.max_syncs + 1
    ),
    refused!(
        "async_with_a_sync_stride_too_small",
        "drm_apu_vm_bind.sync_stride",
        "with a stride too small",
        EINVAL,
        |_, parts| parts.bind.sync_stride -= 8
    ),
    refused!(
        "async_wait_for_an_unknown_syncobj",
        "drm_apu_sync.handle",
        "that waits for an unknown syncobj",
        ENOENT,
        |_, parts| parts.waits[0].handle = UNKNOWN
    ),
    refused!(
        "async_wait_for_a_syncobj_without_fence",
        "drm_apu_vm_bind.waits",
        "that waits for a syncobj without a fence",
        EINVAL,
        |t, parts| parts.waits[0].handle = t.empty
    ),
    refused!(
        "async_signal_of_an_unknown_syncobj",
        "drm_apu_sync.handle",
        "that signals an unknown syncobj",
        ENOENT,
        |_, parts| parts.signal.handle = UNKNOWN
    ),
    refused!(
        "async_signal_of_point_0_of_a_timeline",
        "drm_apu_sync.point",
        "that signals point 0 of a timeline",
        EINVAL,
        |_, parts| parts.signal.flags = SYNC_TIMELINE
    ),
    Rule::kept(
        AREA,
        "async_is_all_or_nothing",
        "drm_apu_vm_bind",
        "an asynchronous VM_BIND with a wrong operation names it, and queues none",
        |t| {
            supported(t)?;
            let before = vm_state(t)?.mappings;
            let right = VmBindOp {
                va: free(t),
                ..map(t)
            };
            let unknown = VmBindOp {
                bo_handle: UNKNOWN,
                ..right
            };
            let (called, failed_op, signal) =
                with_parts(t, &[right, unknown, right], &[], |parts| {
                    let called = t.node.call(&mut parts.bind);
                    Ok((called, parts.bind.failed_op, parts.signal.handle))
                })
                .succeeds("SYNCOBJ_CREATE")?;
            same("VM_BIND", called, Err(Errno::ENOENT))?;
            same("failed_op", failed_op, 1)?;
            same("mappings", vm_state(t)?.mappings, before)?;
            let waited = t.node.wait(signal, Duration::ZERO);
            same("SYNCOBJ_WAIT", waited, Err(Errno::EINVAL))
        },
    ),
    Rule::kept(
        AREA,
        "async_waits_for_its_fences",
        "drm_apu_vm_bind.waits",
        "asynchronous operations are done when what they wait for has ended, not before",
        |t| {
            supported(t)?;
            let gate = slow_job(t)?;
            goes_well(t, bind(t, &[map(t)], &[gate, t.signalled])?)?;
            same("the job", t.node.wait(gate, Duration::ZERO), Ok(()))
        },
    ),
    Rule::kept(
        AREA,
        "async_waits_hold_nothing_up",
        "drm_apu_vm_bind",
        "while asynchronous operations wait, jobs run and synchronous operations are done",
        |t| {
            supported(t)?;
            let gate = Gate::new(t)?;
            let done = bind(t, &[unmap(t.va.start, t.bo.size)], &[gate.ended])?;
            same("pending", vm_state(t)?.pending, 1)?;
            t.vm_bind(|_, op| op.va = free(t)).succeeds("VM_BIND")?;
            if t.device.core_count > 1 {
                t.another()?.works(1)?;
                t.works(2)?;
            }
            gate.is_shut(t)?;
            gate.open(t)?;
            goes_well(t, done)?;
            let state = vm_state(t)?;
            same("pending", state.pending, 0)
        },
    ),
    Rule::kept(
        AREA,
        "async_is_done_in_order",
        "drm_apu_vm_bind",
        "asynchronous operations of a VM are done in the order of their calls",
        |t| {
            supported(t)?;
            let gate = slow_job(t)?;
            let work = Work::new(&t.node, t.page(), free(t), &copy(t, 1))?;
            let op = VmBindOp {
                bo_handle: work.bo.handle,
                va: work.va,
                size: work.bo.size,
                ..VmBindOp::default()
            };
            bind(t, &[unmap(work.va, work.bo.size)], &[gate])?;
            let last = bind(t, &[op], &[])?;
            work.fill(3);
            same("state", state_after(t, &work, last)?.0, QUEUE_OK)?;
            same("the job", t.node.wait(gate, Duration::ZERO), Ok(()))?;
            work.is_copied(3)
        },
    ),
    Rule::kept(
        AREA,
        "a_job_sees_what_it_waits_for",
        "drm_apu_vm_bind.signals",
        "a job that waits for asynchronous maps and unmaps sees them",
        |t| {
            supported(t)?;
            let gate = slow_job(t)?;
            let work = Work::new(&t.node, t.page(), free(t), &copy(t, 1))?;
            work.fill(4);
            let op = VmBindOp {
                bo_handle: work.bo.handle,
                va: work.va,
                size: work.bo.size,
                ..VmBindOp::default()
            };
            let done = bind(t, &[op], &[gate])?;
            same("state", state_after(t, &work, done)?.0, QUEUE_OK)?;
            work.is_copied(4)?;
            let done = bind(t, &[unmap(work.va, t.page())], &[])?;
            same(
                "state and address",
                state_after(t, &work, done)?,
                (QUEUE_FAULTED, work.va),
            )
        },
    ),
    Rule::kept(
        AREA,
        "async_unmap_waits_for_the_job_that_uses_it",
        "drm_apu_vm_bind.waits",
        "an unmap that waits for a job doesn't disturb it",
        |t| {
            supported(t)?;
            let slow = t.load(&Program::slow(64, t.device.target))?;
            let job = t.submit_work(&slow, |_| ()).succeeds("SUBMIT")?;
            let done = bind(t, &[unmap(slow.va, slow.bo.size)], &[job])?;
            goes_well(t, done)?;
            same("state", t.state()?.state, QUEUE_OK)
        },
    ),
    Rule::kept(
        AREA,
        "async_leaves_what_is_around_a_hole",
        "drm_apu_vm_bind_op_type",
        "an asynchronous unmap in the middle of a mapping takes that part alone away",
        |t| {
            supported(t)?;
            let (page, work) = (t.page(), t.load(&copy(t, 3))?);
            let before = vm_state(t)?.mappings;
            let done = bind(t, &[unmap(work.va + page, page)], &[])?;
            same(
                "state and address",
                state_after(t, &work, done)?,
                (QUEUE_FAULTED, work.va + page),
            )?;
            same("mappings", vm_state(t)?.mappings, before + 1)
        },
    ),
    Rule::kept(
        AREA,
        "async_replaces_what_was_there",
        "drm_apu_vm_bind_op_type",
        "an asynchronous map over part of a mapping shows the pages at its offset there alone",
        |t| {
            supported(t)?;
            let (page, work) = (t.page(), t.load(&copy(t, 3))?);
            work.fill(5);
            // The third page of the input for the second one, through the bench's own buffer.
            let words = page as usize / 4;
            let other = t.work.words.iter().skip(3 * words).take(words);
            other.for_each(|word| word.store(-1, Relaxed));
            let op = VmBindOp {
                bo_offset: 3 * page,
                va: work.va + page,
                size: page,
                flags: BIND_READONLY,
                ..map(t)
            };
            let done = bind(t, &[op], &[])?;
            same("state", state_after(t, &work, done)?.0, QUEUE_OK)?;
            for index in 0..3 * words {
                let copied = work.words[3 * words + index].load(Relaxed);
                let wanted = if (words..2 * words).contains(&index) {
                    -1
                } else {
                    work.words[index].load(Relaxed)
                };
                same(&format!("word {index}"), copied, wanted)?;
            }
            Ok(())
        },
    ),
    Rule::kept(
        AREA,
        "async_read_only_is_read_only",
        "drm_apu_vm_bind_op.flags",
        "the device faults when it writes through a mapping that was made read-only asynchronously",
        |t| {
            supported(t)?;
            let op = VmBindOp {
                flags: BIND_READONLY,
                ..map(t)
            };
            let done = bind(t, &[op], &[])?;
            same(
                "state and address",
                state_after(t, &t.work, done)?,
                (QUEUE_FAULTED, t.va.start + t.page()),
            )
        },
    ),
    Rule::kept(
        AREA,
        "async_uses_points_of_timelines",
        "drm_apu_vm_bind.signals",
        "asynchronous operations signal a point of a timeline, and others wait for it",
        |t| {
            supported(t)?;
            let timeline = t.node.syncobj(0).succeeds("SYNCOBJ_CREATE")?;
            let point = |point| Sync {
                handle: timeline,
                flags: SYNC_TIMELINE,
                point,
            };
            let gate = slow_job(t)?;
            let first = bind_as(t, &[map(t)], &[gate], |parts| parts.signal = point(1));
            first.succeeds("VM_BIND")?;
            let last = bind_as(t, &[map(t)], &[0], |parts| {
                (parts.waits[0], parts.signal) = (point(1), point(2));
            });
            last.succeeds("VM_BIND")?;
            let waited = t.node.wait_point(timeline, 2, crate::bench::PATIENCE);
            same("point 2", waited, Ok(()))?;
            same("the job", t.node.wait(gate, Duration::ZERO), Ok(()))
        },
    ),
    Rule::kept(
        AREA,
        "async_failure_makes_the_vm_unusable",
        "drm_apu_vm_get_state",
        "a failed asynchronous operation has its error in the fence and in VM_GET_STATE, and ends the batch",
        |t| {
            supported(t)?;
            let before = vm_state(t)?;
            same(
                "state, error and pending before",
                (before.state, before.error, before.pending),
                (VM_OK, 0, 0),
            )?;
            fails(t, "status of the fence", spoil_vm(t)?, Errno::EEXIST)?;
            let state = vm_state(t)?;
            same(
                "state, error, failed_op and address",
                (state.state, state.error, state.failed_op, state.address),
                (VM_UNUSABLE, Errno::EEXIST as u32, 1, t.va.start + t.page()),
            )?;
            same("mappings", state.mappings, before.mappings + 1)
        },
    ),
    Rule::kept(
        AREA,
        "an_unusable_vm_takes_nothing",
        "drm_apu_vm_state.DRM_APU_VM_UNUSABLE",
        "an unusable VM refuses binds and jobs with ECANCELED; others go on",
        |t| {
            supported(t)?;
            t.ends(spoil_vm(t)?)?;
            let refused = [
                t.vm_bind(|_, _| ()),
                bind_as(t, &[map(t)], &[], |_| ()).map(drop),
                t.submit(|_| ()).map(drop),
            ];
            same(
                "VM_BIND, an asynchronous one, and SUBMIT",
                refused,
                [Err(Errno::ECANCELED); 3],
            )?;
            t.another()?.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "what_waits_for_an_unusable_vm_ends",
        "drm_apu_vm_state.DRM_APU_VM_UNUSABLE",
        "asynchronous operations and jobs behind a failed one end with ECANCELED",
        |t| {
            supported(t)?;
            let gate = Gate::new(t)?;
            bind(t, &[map(t)], &[gate.ended])?;
            let failed = spoil_vm(t)?;
            let behind = bind(t, &[map(t)], &[])?;
            let job = t.submit(|s| (s.jobs[0].wait_count, s.wait.handle) = (1, failed));
            let job = job.succeeds("SUBMIT")?;
            gate.open(t)?;
            fails(t, "the batch that fails", failed, Errno::EEXIST)?;
            fails(t, "the batch behind", behind, Errno::ECANCELED)?;
            fails(t, "the job behind", job, Errno::ECANCELED)
        },
    ),
    Rule::kept(
        AREA,
        "an_unusable_vm_can_be_destroyed",
        "drm_apu_vm_state.DRM_APU_VM_UNUSABLE",
        "an unusable VM is destroyed like any other, and the file makes a new one",
        |t| {
            supported(t)?;
            t.ends(spoil_vm(t)?)?;
            let queue_id = t.queue_id;
            t.node
                .call(&mut QueueDestroy { queue_id, pad: 0 })
                .succeeds("QUEUE_DESTROY")?;
            destroy_vm(t)?;
            t.node
                .call(&mut crate::uapi::VmCreate::default())
                .succeeds("VM_CREATE")
        },
    ),
    Rule::kept(
        AREA,
        "async_ends_with_its_vm",
        "drm_apu_vm_destroy",
        "asynchronous operations that wait when their VM is destroyed end with ECANCELED",
        |t| {
            supported(t)?;
            let (gate, other) = (Gate::new(t)?, new_vm(t)?);
            let op = VmBindOp {
                va: other.va_start,
                ..map(t)
            };
            let vm_id = other.vm_id;
            let done = bind_as(t, &[op], &[gate.ended], |parts| parts.bind.vm_id = vm_id);
            t.node
                .call(&mut VmDestroy { vm_id, pad: 0 })
                .succeeds("VM_DESTROY")?;
            gate.open(t)?;
            fails(
                t,
                "the operation",
                done.succeeds("VM_BIND")?,
                Errno::ECANCELED,
            )
        },
    ),
    Rule::kept(
        AREA,
        "async_ends_with_its_file",
        "drm_apu_vm_destroy",
        "closing a file with asynchronous operations that wait disturbs nobody",
        |t| {
            supported(t)?;
            for _ in 0..4 {
                let leaving = t.another()?;
                let gate = Gate::new(&leaving)?;
                for _ in 0..4 {
                    bind(&leaving, &[map(&leaving)], &[gate.ended])?;
                }
            }
            t.works(1)?;
            same("state", t.state()?.state, QUEUE_OK)
        },
    ),
    Rule::kept(
        AREA,
        "pending_operations_are_limited",
        "drm_apu_query_device.max_pending_binds",
        "a VM takes as many asynchronous operations that wait as QUERY says, then EAGAIN",
        |t| {
            supported(t)?;
            let gate = Gate::new(t)?;
            let mut room = t.device.max_pending_binds;
            let mut last = 0;
            while room > 0 {
                let count = room.min(t.device.max_bind_ops);
                let ops = vec![unmap(free(t), t.page()); count as usize];
                last = bind(t, &ops, &[gate.ended])?;
                room -= count;
            }
            same("pending", vm_state(t)?.pending, t.device.max_pending_binds)?;
            let more = bind_as(t, &[map(t)], &[], |_| ()).map(drop);
            same("VM_BIND", more, Err(Errno::EAGAIN))?;
            gate.open(t)?;
            goes_well(t, last)?;
            goes_well(t, bind(t, &[map(t)], &[])?)
        },
    ),
    Rule::refused(
        AREA,
        "state_of_an_unknown_vm",
        "drm_apu_vm_get_state.vm_id",
        Errno::ENOENT,
        |t| {
            t.node.call(&mut VmGetState {
                vm_id: UNKNOWN,
                ..VmGetState::default()
            })
        },
    ),
    Rule::kept(
        AREA,
        "mappings_are_counted_in_parts",
        "drm_apu_vm_get_state.mappings",
        "VM_GET_STATE counts a mapping with a hole as two, and none when all is unmapped",
        |t| {
            let mappings = || Ok::<_, Unproven>(vm_state(t)?.mappings);
            let unmap_at = |va, size| t.vm_bind(|_, op| *op = unmap(va, size)).succeeds("VM_BIND");
            same("mappings", mappings()?, 1)?;
            unmap_at(t.va.start + t.page(), t.page())?;
            same("mappings", mappings()?, 2)?;
            unmap_at(t.va.start, t.va.end - t.va.start)?;
            same("mappings", mappings()?, 0)
        },
    ),
];

fn copy(t: &Bench, pages: u32) -> Program {
    Program::copy(pages * t.device.page_size, t.device.target)
}

fn new_vm(t: &Bench) -> Kept<crate::uapi::VmCreate> {
    let mut vm = crate::uapi::VmCreate::default();
    t.node.call(&mut vm).succeeds("VM_CREATE")?;
    Ok(vm)
}

fn destroy_vm(t: &Bench) -> Kept {
    let vm_id = t.vm_id;
    t.node
        .call(&mut VmDestroy { vm_id, pad: 0 })
        .succeeds("VM_DESTROY")
}
