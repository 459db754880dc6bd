//! VM_CREATE and VM_DESTROY.

use nix::errno::Errno;

use super::UNKNOWN;
use crate::Bench;
use crate::rule::{Area::Vm as AREA, Rule};
use crate::uapi::{QueueDestroy, VmCreate, VmDestroy};
use crate::unproven::{Succeeds, holds, same};

const NAME: &str = "drm_apu_vm_destroy.vm_id";

fn destroy(t: &Bench, vm_id: u32) -> Result<(), Errno> {
    t.node.call(&mut VmDestroy { vm_id, pad: 0 })
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "with_an_unknown_flag",
        "drm_apu_vm_create.flags",
        Errno::EINVAL,
        |t| {
            t.node.call(&mut VmCreate {
                flags: 1 << 31,
                ..VmCreate::default()
            })
        },
    ),
    Rule::kept(
        AREA,
        "has_addresses",
        "drm_apu_vm_create.va_start",
        "VM_CREATE returns a name that isn't 0 and a range of whole pages",
        |t| {
            holds(t.vm_id != 0, || "the name 0".into())?;
            let whole = |at: u64| at.is_multiple_of(t.page());
            let range = &t.va;
            holds(
                range.start < range.end && whole(range.start) && whole(range.end),
                || format!("{range:#x?}"),
            )
        },
    ),
    Rule::refused(AREA, "of_an_unknown_vm", NAME, Errno::ENOENT, |t| {
        destroy(t, UNKNOWN)
    }),
    Rule::refused(AREA, "of_vm_0", NAME, Errno::ENOENT, |t| destroy(t, 0)),
    Rule::refused(
        AREA,
        "with_padding",
        "drm_apu_vm_destroy.pad",
        Errno::EINVAL,
        |t| {
            t.node.call(&mut VmDestroy {
                vm_id: t.vm_id,
                pad: 1,
            })
        },
    ),
    Rule::refused(
        AREA,
        "while_a_queue_uses_it",
        "drm_apu_vm_destroy",
        Errno::EBUSY,
        |t| destroy(t, t.vm_id),
    ),
    Rule::kept(
        AREA,
        "is_gone_once_destroyed",
        NAME,
        "VM_DESTROY without queues destroys the VM, once",
        |t| {
            t.node
                .call(&mut QueueDestroy {
                    queue_id: t.queue_id,
                    pad: 0,
                })
                .succeeds("QUEUE_DESTROY")?;
            same("VM_DESTROY", destroy(t, t.vm_id), Ok(()))?;
            same("VM_DESTROY again", destroy(t, t.vm_id), Err(Errno::ENOENT))
        },
    ),
];
