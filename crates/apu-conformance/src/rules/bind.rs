//! VM_BIND.

use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use super::{NOWHERE, UNKNOWN};
use crate::Bench;
use crate::bench::{Work, address};
use crate::program::Program;
use crate::rule::{Area::Bind as AREA, Rule};
use crate::uapi::{BIND_READONLY, BIND_UNMAP, QUEUE_FAULTED, VmBind, VmBindOp};
use crate::unproven::{Kept, Succeeds, same};

/// A wrong field of the call.
const fn call(
    name: &'static str,
    written: &'static str,
    errno: Errno,
    call: fn(&Bench) -> Result<(), Errno>,
) -> Rule {
    Rule::refused(AREA, name, written, errno, call)
}

/// What a later version of the interface might make of an operation.
#[repr(C)]
struct Grown {
    known: VmBindOp,
    new: u64,
}

fn bind_grown(t: &Bench, new: u64) -> Result<(), Errno> {
    let mut op = Grown {
        known: VmBindOp::default(),
        new,
    };
    t.vm_bind(|bind, known| {
        op.known = *known;
        bind.ops = address(&op);
        bind.op_stride = size_of::<Grown>() as u32;
    })
}

fn unmap(t: &Bench, va: u64, size: u64) -> Kept {
    let unmapped = t.vm_bind(|_, op| {
        (op.kind, op.bo_handle, op.va, op.size) = (BIND_UNMAP, 0, va, size);
    });
    unmapped.succeeds("VM_BIND")
}

/// The state of the queue once a job of `work` has ended.
fn state_after(t: &Bench, work: &Work) -> Kept<(u32, u64)> {
    t.ends(t.submit_work(work, |_| ()).succeeds("SUBMIT")?)?;
    let state = t.state()?;
    Ok((state.state, state.address))
}

/// A copy over several pages, of which the device must see each where it is mapped now.
fn copy_of_pages(t: &Bench, pages: u32) -> Kept<Work> {
    t.load(&Program::copy(pages * t.device.page_size, t.device.target))
}

pub(super) const RULES: &[Rule] = &[
    call(
        "of_an_unknown_vm",
        "drm_apu_vm_bind.vm_id",
        Errno::ENOENT,
        |t| t.vm_bind(|bind, _| bind.vm_id = UNKNOWN),
    ),
    call(
        "with_an_unknown_flag",
        "drm_apu_vm_bind.flags",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.flags = 1 << 31),
    ),
    call("with_padding", "drm_apu_vm_bind.pad", Errno::EINVAL, |t| {
        t.vm_bind(|bind, _| bind.pad = 1)
    }),
    call(
        "of_no_operations",
        "drm_apu_vm_bind.op_count",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.op_count = 0),
    ),
    call(
        "of_too_many_operations",
        "drm_apu_vm_bind.op_count",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.op_count = t.device.max_bind_ops + 1),
    ),
    call(
        "with_a_stride_too_small",
        "drm_apu_vm_bind.op_stride",
        Errno::EINVAL,
        |t| t.vm_bind(|bind, _| bind.op_stride -= 8),
    ),
    call(
        "with_operations_that_are_not_there",
        "drm_apu_vm_bind.ops",
        Errno::EFAULT,
        |t| t.vm_bind(|bind, _| bind.ops = NOWHERE),
    ),
    call(
        "of_an_unknown_type",
        "drm_apu_vm_bind_op.type",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.kind = 99),
    ),
    call(
        "map_with_an_unknown_flag",
        "drm_apu_vm_bind_op.flags",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.flags = 1 << 31),
    ),
    call(
        "operation_with_padding",
        "drm_apu_vm_bind_op.pad",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.pad = 1),
    ),
    call(
        "map_of_an_unknown_bo",
        "drm_apu_vm_bind_op.bo_handle",
        Errno::ENOENT,
        |t| t.vm_bind(|_, op| op.bo_handle = UNKNOWN),
    ),
    call(
        "map_of_bo_0",
        "drm_apu_vm_bind_op.bo_handle",
        Errno::ENOENT,
        |t| t.vm_bind(|_, op| op.bo_handle = 0),
    ),
    call(
        "map_from_within_a_page",
        "drm_apu_vm_bind_op.bo_offset",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| (op.bo_offset, op.size) = (8, t.page())),
    ),
    call(
        "map_to_within_a_page",
        "drm_apu_vm_bind_op.va",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.va += 8),
    ),
    call(
        "map_of_no_bytes",
        "drm_apu_vm_bind_op.size",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.size = 0),
    ),
    call(
        "map_of_a_part_of_a_page",
        "drm_apu_vm_bind_op.size",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.size -= 8),
    ),
    call(
        "map_past_the_end_of_the_bo",
        "drm_apu_vm_bind_op.size",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.size += t.page()),
    ),
    call(
        "map_past_the_end_of_the_bo_by_offset",
        "drm_apu_vm_bind_op.bo_offset",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.bo_offset = t.page()),
    ),
    call(
        "map_with_an_offset_that_overflows",
        "drm_apu_vm_bind_op.bo_offset",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.bo_offset = !0 - (t.page() - 1)),
    ),
    call(
        "map_with_an_address_that_overflows",
        "drm_apu_vm_bind_op.va",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.va = !0 - (t.page() - 1)),
    ),
    call(
        "map_below_the_first_address",
        "drm_apu_vm_bind_op.va",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.va = t.va.start - t.page()),
    ),
    call(
        "map_past_the_last_address",
        "drm_apu_vm_bind_op.va",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.va = t.va.end - t.page()),
    ),
    call(
        "unmap_with_a_bo",
        "drm_apu_vm_bind_op.bo_handle",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| op.kind = BIND_UNMAP),
    ),
    call(
        "unmap_with_an_offset",
        "drm_apu_vm_bind_op.bo_offset",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| (op.kind, op.bo_handle, op.bo_offset) = (BIND_UNMAP, 0, t.page())),
    ),
    call(
        "unmap_with_a_flag",
        "drm_apu_vm_bind_op.flags",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| (op.kind, op.bo_handle, op.flags) = (BIND_UNMAP, 0, BIND_READONLY)),
    ),
    call(
        "unmap_of_no_bytes",
        "drm_apu_vm_bind_op.size",
        Errno::EINVAL,
        |t| t.vm_bind(|_, op| (op.kind, op.bo_handle, op.size) = (BIND_UNMAP, 0, 0)),
    ),
    Rule::kept(
        AREA,
        "unmap_of_nothing_is_no_error",
        "drm_apu_vm_bind_op_type",
        "VM_BIND unmaps a range that holds nothing without an error",
        |t| {
            unmap(t, t.va.start, t.bo.size)?;
            unmap(t, t.va.start, t.bo.size)
        },
    ),
    Rule::kept(
        AREA,
        "takes_operations_of_a_later_version_if_they_ask_nothing_new",
        "drm_apu_vm_bind.op_stride",
        "VM_BIND takes longer operations if what it doesn't know of them is 0, else E2BIG",
        |t| {
            same(
                "VM_BIND",
                (bind_grown(t, 0), bind_grown(t, 1)),
                (Ok(()), Err(Errno::E2BIG)),
            )
        },
    ),
    Rule::kept(
        AREA,
        "says_which_operation_failed_and_keeps_those_before",
        "drm_apu_vm_bind.failed_op",
        "VM_BIND says which operation failed",
        |t| {
            let map = VmBindOp {
                bo_handle: t.bo.handle,
                va: t.va.start + t.bo.size,
                size: t.bo.size,
                ..VmBindOp::default()
            };
            let unknown = VmBindOp {
                bo_handle: UNKNOWN,
                ..map
            };
            let ops = [map, unknown, map];
            let mut bind = VmBind {
                vm_id: t.vm_id,
                op_count: 3,
                op_stride: size_of::<VmBindOp>() as u32,
                ops: address(&ops),
                ..VmBind::default()
            };
            same("VM_BIND", t.node.call(&mut bind), Err(Errno::ENOENT))?;
            same("failed_op", bind.failed_op, 1)
        },
    ),
    Rule::kept(
        AREA,
        "a_hole_faults_and_what_is_around_it_does_not",
        "drm_apu_vm_bind_op_type",
        "an unmap in the middle of a mapping takes that part alone away from the device",
        |t| {
            let (page, work) = (t.page(), copy_of_pages(t, 3)?);
            // Of the input's three pages the second.
            unmap(t, work.va + page, page)?;
            same(
                "state and address",
                state_after(t, &work)?,
                (QUEUE_FAULTED, work.va + page),
            )
        },
    ),
    Rule::kept(
        AREA,
        "a_map_replaces_what_was_there",
        "drm_apu_vm_bind_op_type",
        "a map over a part of a mapping shows the new pages there, and the old ones around",
        |t| {
            let (page, work) = (t.page(), copy_of_pages(t, 3)?);
            work.fill(1);
            let replaced = t.vm_bind(|_, op| {
                // A page of zeros for the second one of the input.
                (op.bo_offset, op.va, op.size) = (3 * page, work.va + page, page);
            });
            replaced.succeeds("VM_BIND")?;
            t.ends(t.submit_work(&work, |_| ()).succeeds("SUBMIT")?)?;
            let words = page as usize / 4;
            let copied = |index: usize| {
                let (from, to) = (&work.words[index], &work.words[3 * words + index]);
                (from.load(Relaxed), to.load(Relaxed))
            };
            for index in 0..3 * words {
                let (from, to) = copied(index);
                let replaced = (words..2 * words).contains(&index);
                same(
                    &format!("word {index}"),
                    to,
                    if replaced { 0 } else { from },
                )?;
            }
            Ok(())
        },
    ),
    Rule::kept(
        AREA,
        "read_only_is_read_only",
        "drm_apu_vm_bind_op.flags",
        "the device can read through a read-only mapping, and faults when it writes",
        |t| {
            let page = t.page();
            let read_only = |at: u64| {
                let bind = t.vm_bind(|_, op| {
                    (op.flags, op.bo_offset, op.va, op.size) =
                        (BIND_READONLY, at, t.va.start + at, page);
                });
                bind.succeeds("VM_BIND")
            };
            read_only(0)?;
            t.works(1)?;
            read_only(page)?;
            same(
                "state and address",
                state_after(t, &t.work)?,
                (QUEUE_FAULTED, t.va.start + page),
            )
        },
    ),
    Rule::kept(
        AREA,
        "a_closed_bo_stays_mapped",
        "drm_apu_bo_create.handle",
        "a mapping keeps its BO, whose handle may be closed",
        |t| {
            t.node.close(t.bo.handle).succeeds("GEM_CLOSE")?;
            t.works(1)
        },
    ),
];
