//! Several clients: each has what is its own, and nothing of another's.

use nix::errno::Errno;
use rustix::mm::MapFlags;

use crate::program::Program;
use crate::rule::{Area::Isolation as AREA, Rule};
use crate::uapi::{QUEUE_FAULTED, QUEUE_OK, QueueDestroy, QueueGetState, VmDestroy};
use crate::unproven::{Succeeds, same};

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "a_vm_is_its_files",
        "drm_apu_vm_create",
        "another file can't name a VM",
        |t| {
            let destroyed = t.node.another()?.call(&mut VmDestroy {
                vm_id: t.vm_id,
                pad: 0,
            });
            same("VM_DESTROY", destroyed, Err(Errno::ENOENT))?;
            t.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "a_queue_is_its_files",
        "drm_apu_queue_create.queue_id",
        "another file can't name a queue",
        |t| {
            let (other, queue_id) = (t.node.another()?, t.queue_id);
            let destroyed = other.call(&mut QueueDestroy { queue_id, pad: 0 });
            same("QUEUE_DESTROY", destroyed, Err(Errno::ENOENT))?;
            let state = other.call(&mut QueueGetState {
                queue_id,
                ..QueueGetState::default()
            });
            same("QUEUE_GET_STATE", state, Err(Errno::ENOENT))?;
            t.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "a_bo_is_its_files",
        "drm_apu_bo_create.mmap_offset",
        "another file can't map a BO by its offset",
        |t| {
            let mapped = t
                .node
                .another()?
                .map(t.bo.mmap_offset, t.bo.size, MapFlags::SHARED);
            same("mmap", mapped, Err(Errno::EACCES))
        },
    ),
    Rule::kept(
        AREA,
        "addresses_are_of_a_vm",
        "drm_apu_vm_create",
        "what is mapped in one VM is not there at the same address of another one",
        |t| {
            let other = t.another()?;
            let apart = other.load(&Program::copy(t.device.page_size, t.device.target))?;
            // Mapped in the other VM alone, past the end of what this one has.
            let ended = t.submit(|s| s.segments[2].va = apart.va);
            t.ends(ended.succeeds("SUBMIT")?)?;
            same("state", t.state()?.state, QUEUE_FAULTED)?;
            other.works(1)
        },
    ),
    Rule::kept(
        AREA,
        "clients_share_the_device",
        "drm_apu_queue_create",
        "clients whose jobs are mixed each get their own results, byte for byte",
        |t| {
            let clients: Vec<_> = (0..4).map(|_| t.another()).collect::<Result<_, _>>()?;
            for round in 0..16 {
                let seed = |client: usize| round * 100 + client as i32;
                let mut jobs = Vec::new();
                for (index, client) in clients.iter().enumerate() {
                    client.work.fill(seed(index));
                    jobs.push(client.submit(|_| ()).succeeds("SUBMIT")?);
                }
                for (index, (client, job)) in clients.iter().zip(jobs).enumerate() {
                    client.ends(job)?;
                    client.work.is_copied(seed(index))?;
                }
            }
            Ok(())
        },
    ),
    Rule::kept(
        AREA,
        "one_whose_jobs_fail_disturbs_nobody",
        "drm_apu_queue_state.DRM_APU_QUEUE_INNOCENT",
        "a client whose jobs all fault doesn't change another one's results or its queue's state",
        |t| {
            for seed in 0..16 {
                let bad = t.another()?;
                let nowhere = bad.va.end - bad.page();
                let jobs = [0, 1].map(|_| bad.submit(|s| s.segments[3].va = nowhere));
                t.works(seed)?;
                for job in jobs.into_iter().filter(|job| *job != Err(Errno::ECANCELED)) {
                    bad.ends(job.succeeds("SUBMIT")?)?;
                }
                same("state of the other one", bad.state()?.state, QUEUE_FAULTED)?;
            }
            same("state", t.state()?.state, QUEUE_OK)
        },
    ),
];
