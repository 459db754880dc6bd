//! What the driver refuses, one wrong thing at a time, and what it says to a correct call.
#![allow(missing_docs, clippy::unwrap_used)]

use rustix::io::Errno;
use rustix::mm::MapFlags;
use suite::accel::bench::{Bench, PATIENCE, address};
use suite::accel::node::Node;
use suite::accel::uapi::*;
use suite::skip::or_skip;

/// Addresses that no process has mapped.
const NOWHERE: u64 = 0x1000;
/// A name that nothing has.
const UNKNOWN: u32 = 0x7fff_fff0;

fn on_node(test: &str, body: impl FnOnce(&Bench)) {
    or_skip(test, || {
        body(&Bench::new()?);
        Ok(())
    });
}

macro_rules! refused {
    ($($test:ident: $call:expr => $errno:ident;)*) => {$(
        #[test]
        fn $test() {
            on_node(stringify!($test), |bench| {
                let call: fn(&Bench) -> Result<(), Errno> = $call;
                assert_eq!(call(bench), Err(Errno::$errno));
            });
        }
    )*};
}

mod query {
    use super::*;

    refused! {
        of_an_unknown_type: |t| t.node.query(99, &mut [0; 8]).map(drop) => INVAL;
        into_memory_that_is_not_there: |t| t.node.call(&mut Query { kind: 0, size: 8, data: NOWHERE }) => FAULT;
    }

    #[test]
    fn says_the_limits() {
        on_node("says_the_limits", |t| {
            let limits = &t.device;
            assert!(limits.max_jobs > 1 && limits.max_syncs > 1 && limits.max_segments > 3);
            assert!(limits.page_size.is_power_of_two() && limits.max_timeout_ms > 5000);
        });
    }

    #[test]
    fn without_data_tells_the_size() {
        on_node("without_data_tells_the_size", |t| {
            let mut query = Query::default();
            t.node.call(&mut query).unwrap();
            assert_eq!(query.size as usize, size_of::<QueryDevice>());
        });
    }

    #[test]
    fn fills_what_is_known_and_zeroes_the_rest() {
        on_node("fills_what_is_known_and_zeroes_the_rest", |t| {
            let known = size_of::<QueryDevice>();
            let mut long = [0xaa; 256];
            assert_eq!(t.node.query(0, &mut long), Ok(known as u32));
            assert!(long[known..].iter().all(|&byte| byte == 0));
            let mut short = [0xaa; 12];
            let (head, tail) = short.split_at_mut(8);
            assert_eq!(t.node.query(0, head), Ok(known as u32));
            assert_eq!((&*head, &*tail), (&long[..8], &[0xaa; 4][..]));
        });
    }
}

mod bo_create {
    use super::*;

    refused! {
        of_no_bytes: |t| t.node.call(&mut BoCreate::default()) => INVAL;
        of_all_bytes_there_are: |t| t.node.call(&mut BoCreate { size: u64::MAX, ..t.bo }) => INVAL;
        with_an_unknown_flag: |t| t.node.call(&mut BoCreate { flags: 1, ..t.bo }) => INVAL;
    }

    #[test]
    fn rounds_up_to_whole_pages() {
        on_node("rounds_up_to_whole_pages", |t| {
            let mut bo = BoCreate {
                size: t.page() + 1,
                ..BoCreate::default()
            };
            t.node.call(&mut bo).unwrap();
            assert_eq!(bo.size, 2 * t.page());
        });
    }
}

mod mmap {
    use super::*;

    refused! {
        past_the_end_of_the_bo: |t| {
            t.node.map(t.bo.mmap_offset, t.bo.size + t.page(), MapFlags::SHARED)
        } => INVAL;
        of_no_bo: |t| t.node.map(t.bo.mmap_offset + (1 << 40), t.page(), MapFlags::SHARED) => INVAL;
        of_a_private_copy: |t| t.node.map(t.bo.mmap_offset, t.bo.size, MapFlags::PRIVATE) => INVAL;
        of_another_files_bo: |t| {
            Node::open().unwrap().map(t.bo.mmap_offset, t.bo.size, MapFlags::SHARED)
        } => ACCESS;
    }

    #[test]
    fn of_the_whole_bo() {
        on_node("of_the_whole_bo", |t| {
            assert_eq!(
                t.node.map(t.bo.mmap_offset, t.bo.size, MapFlags::SHARED),
                Ok(())
            );
        });
    }
}

mod vm_create {
    use super::*;

    refused! {
        with_an_unknown_flag: |t| t.node.call(&mut VmCreate { flags: 1, ..VmCreate::default() }) => INVAL;
        above_the_limit: |t| {
            let create = || t.node.call(&mut VmCreate::default());
            // The bench has one already.
            (1..t.device.max_vms).for_each(|_| create().unwrap());
            create()
        } => NOSPC;
    }
}

mod vm_destroy {
    use super::*;

    refused! {
        of_an_unknown_vm: |t| t.node.call(&mut VmDestroy { vm_id: UNKNOWN, pad: 0 }) => NOENT;
        of_vm_0: |t| t.node.call(&mut VmDestroy::default()) => NOENT;
        of_another_files_vm: |t| Node::open().unwrap().call(&mut VmDestroy { vm_id: t.vm_id, pad: 0 }) => NOENT;
        with_padding: |t| t.node.call(&mut VmDestroy { vm_id: t.vm_id, pad: 1 }) => INVAL;
        while_a_queue_uses_it: |t| t.node.call(&mut VmDestroy { vm_id: t.vm_id, pad: 0 }) => BUSY;
        twice: |t| {
            t.node.call(&mut QueueDestroy { queue_id: t.queue_id, pad: 0 }).unwrap();
            t.node.call(&mut VmDestroy { vm_id: t.vm_id, pad: 0 }).unwrap();
            t.node.call(&mut VmDestroy { vm_id: t.vm_id, pad: 0 })
        } => NOENT;
    }
}

mod vm_bind {
    use super::*;

    refused! {
        of_an_unknown_vm: |t| t.vm_bind(|bind, _| bind.vm_id = UNKNOWN) => NOENT;
        with_an_unknown_flag: |t| t.vm_bind(|bind, _| bind.flags = 1) => INVAL;
        with_padding: |t| t.vm_bind(|bind, _| bind.pad = 1) => INVAL;
        of_no_operations: |t| t.vm_bind(|bind, _| bind.op_count = 0) => INVAL;
        of_too_many_operations: |t| t.vm_bind(|bind, _| bind.op_count = t.device.max_bind_ops + 1) => INVAL;
        with_a_stride_too_small: |t| t.vm_bind(|bind, _| bind.op_stride -= 8) => INVAL;
        with_operations_that_are_not_there: |t| t.vm_bind(|bind, _| bind.ops = NOWHERE) => FAULT;

        op_of_an_unknown_type: |t| t.vm_bind(|_, op| op.kind = 99) => INVAL;
        op_with_an_unknown_flag: |t| t.vm_bind(|_, op| op.flags = 1 << 7) => INVAL;
        op_with_padding: |t| t.vm_bind(|_, op| op.pad = 1) => INVAL;
        map_of_an_unknown_bo: |t| t.vm_bind(|_, op| op.bo_handle = UNKNOWN) => NOENT;
        map_of_bo_0: |t| t.vm_bind(|_, op| op.bo_handle = 0) => NOENT;
        map_from_within_a_page: |t| t.vm_bind(|_, op| (op.bo_offset, op.size) = (8, t.page())) => INVAL;
        map_to_within_a_page: |t| t.vm_bind(|_, op| op.va += 8) => INVAL;
        map_of_no_bytes: |t| t.vm_bind(|_, op| op.size = 0) => INVAL;
        map_of_a_part_of_a_page: |t| t.vm_bind(|_, op| op.size -= 8) => INVAL;
        map_past_the_end_of_the_bo: |t| t.vm_bind(|_, op| op.size += t.page()) => INVAL;
        map_past_the_end_of_the_bo_by_offset: |t| t.vm_bind(|_, op| op.bo_offset = t.page()) => INVAL;
        map_with_an_offset_that_overflows: |t| t.vm_bind(|_, op| op.bo_offset = !0 - (t.page() - 1)) => INVAL;
        map_with_an_address_that_overflows: |t| t.vm_bind(|_, op| op.va = !0 - (t.page() - 1)) => INVAL;
        map_below_the_first_address: |t| t.vm_bind(|_, op| op.va = t.device.va_start - t.page()) => INVAL;
        map_past_the_last_address: |t| t.vm_bind(|_, op| op.va = t.device.va_end - t.page()) => INVAL;

        unmap_with_a_bo: |t| t.vm_bind(|_, op| op.kind = BIND_UNMAP) => INVAL;
        unmap_with_an_offset: |t| t.vm_bind(|_, op| {
            (op.kind, op.bo_handle, op.bo_offset) = (BIND_UNMAP, 0, t.page());
        }) => INVAL;
        unmap_with_a_flag: |t| t.vm_bind(|_, op| (op.kind, op.bo_handle, op.flags) = (BIND_UNMAP, 0, 1)) => INVAL;
        unmap_of_no_bytes: |t| t.vm_bind(|_, op| (op.kind, op.bo_handle, op.size) = (BIND_UNMAP, 0, 0)) => INVAL;
    }

    #[test]
    fn unmap_of_nothing_is_no_error() {
        on_node("unmap_of_nothing_is_no_error", |t| {
            let unmap = || t.vm_bind(|_, op| (op.kind, op.bo_handle) = (BIND_UNMAP, 0));
            assert_eq!((unmap(), unmap()), (Ok(()), Ok(())));
        });
    }

    /// What a later version of the interface might make of an operation.
    #[repr(C)]
    struct Grown {
        known: VmBindOp,
        new: u64,
    }

    #[test]
    fn takes_operations_of_a_later_version_if_they_ask_nothing_new() {
        on_node(
            "takes_operations_of_a_later_version_if_they_ask_nothing_new",
            |t| {
                let grown = |new| {
                    let mut op = Grown {
                        known: VmBindOp::default(),
                        new,
                    };
                    t.vm_bind(|bind, known| {
                        op.known = *known;
                        bind.ops = address(&op);
                        bind.op_stride = size_of::<Grown>() as u32;
                    })
                };
                assert_eq!((grown(0), grown(1)), (Ok(()), Err(Errno::TOOBIG)));
            },
        );
    }

    #[test]
    fn says_which_operation_failed_and_keeps_those_before() {
        on_node("says_which_operation_failed_and_keeps_those_before", |t| {
            let map = VmBindOp {
                bo_handle: t.bo.handle,
                va: t.device.va_start + t.bo.size,
                size: t.bo.size,
                ..VmBindOp::default()
            };
            let ops = [
                map,
                VmBindOp {
                    bo_handle: UNKNOWN,
                    ..map
                },
                map,
            ];
            let mut bind = VmBind {
                vm_id: t.vm_id,
                op_count: 3,
                op_stride: size_of::<VmBindOp>() as u32,
                ops: address(&ops),
                ..VmBind::default()
            };
            assert_eq!(t.node.call(&mut bind), Err(Errno::NOENT));
            assert_eq!(bind.failed_op, 1);
        });
    }
}

mod queue_create {
    use super::*;

    refused! {
        on_an_unknown_vm: |t| t.node.call(&mut QueueCreate { vm_id: UNKNOWN, ..t.queue() }) => NOENT;
        with_an_unknown_priority: |t| t.node.call(&mut QueueCreate { priority: 3, ..t.queue() }) => INVAL;
        with_only_cores_that_are_not_there: |t| {
            t.node.call(&mut QueueCreate { core_mask: 1 << 63, ..t.queue() })
        } => INVAL;
        with_a_timeout_above_the_limit: |t| {
            t.node.call(&mut QueueCreate { timeout_ms: t.device.max_timeout_ms + 1, ..t.queue() })
        } => INVAL;
        with_an_unknown_flag: |t| t.node.call(&mut QueueCreate { flags: 1, ..t.queue() }) => INVAL;
        with_padding: |t| t.node.call(&mut QueueCreate { pad: 1, ..t.queue() }) => INVAL;
        above_the_limit: |t| {
            for _ in 1..t.device.max_queues {
                t.create_queue();
            }
            t.node.call(&mut t.queue())
        } => NOSPC;
        with_high_priority_but_no_capability: |t| {
            use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_NICE);
            // Of this thread alone, which libtest made for this test.
            set_capabilities(None, sets).unwrap();
            t.node.call(&mut QueueCreate { priority: PRIORITY_HIGH, ..t.queue() })
        } => PERM;
    }
}

mod queue_destroy {
    use super::*;

    refused! {
        of_an_unknown_queue: |t| t.node.call(&mut QueueDestroy { queue_id: UNKNOWN, pad: 0 }) => NOENT;
        of_queue_0: |t| t.node.call(&mut QueueDestroy::default()) => NOENT;
        of_another_files_queue: |t| {
            Node::open().unwrap().call(&mut QueueDestroy { queue_id: t.queue_id, pad: 0 })
        } => NOENT;
        with_padding: |t| t.node.call(&mut QueueDestroy { queue_id: t.queue_id, pad: 1 }) => INVAL;
        twice: |t| {
            t.node.call(&mut QueueDestroy { queue_id: t.queue_id, pad: 0 }).unwrap();
            t.node.call(&mut QueueDestroy { queue_id: t.queue_id, pad: 0 })
        } => NOENT;
    }
}

mod queue_get_state {
    use super::*;

    refused! {
        of_an_unknown_queue: |t| {
            t.node.call(&mut QueueGetState { queue_id: UNKNOWN, ..QueueGetState::default() })
        } => NOENT;
        with_padding: |t| {
            t.node.call(&mut QueueGetState { queue_id: t.queue_id, pad: 1, ..QueueGetState::default() })
        } => INVAL;
    }

    #[test]
    fn of_a_new_queue_is_ok() {
        on_node("of_a_new_queue_is_ok", |t| {
            assert_eq!((t.state().state, t.state().jobs_done), (QUEUE_OK, 0));
        });
    }
}

mod submit {
    use super::*;

    /// Makes the job wait for `wait`.
    fn waiting(t: &Bench, spoil: fn(&mut Sync)) -> Result<(), Errno> {
        t.submit(|s| {
            s.jobs[0].wait_count = 1;
            spoil(&mut s.wait);
        })
        .map(drop)
    }

    fn spoilt(t: &Bench, spoil: impl FnOnce(&mut suite::accel::bench::Parts)) -> Result<(), Errno> {
        t.submit(spoil).map(drop)
    }

    refused! {
        to_an_unknown_queue: |t| spoilt(t, |s| s.submit.queue_id = UNKNOWN) => NOENT;
        with_an_unknown_flag: |t| spoilt(t, |s| s.submit.flags = 1) => INVAL;
        of_no_jobs: |t| spoilt(t, |s| s.submit.job_count = 0) => INVAL;
        of_too_many_jobs: |t| spoilt(t, |s| s.submit.job_count = t.device.max_jobs + 1) => INVAL;
        with_a_stride_of_jobs_too_small: |t| spoilt(t, |s| s.submit.job_stride -= 8) => INVAL;
        with_jobs_that_are_not_there: |t| spoilt(t, |s| s.submit.jobs = NOWHERE) => FAULT;

        job_with_an_unknown_flag: |t| spoilt(t, |s| s.jobs[0].flags = 1) => INVAL;
        job_with_too_many_waits: |t| spoilt(t, |s| s.jobs[0].wait_count = t.device.max_syncs + 1) => INVAL;
        job_with_too_many_signals: |t| spoilt(t, |s| s.jobs[0].signal_count = t.device.max_syncs + 1) => INVAL;
        job_with_a_stride_of_syncs_too_small: |t| spoilt(t, |s| s.jobs[0].sync_stride = 8) => INVAL;
        job_with_waits_that_are_not_there: |t| {
            spoilt(t, |s| (s.jobs[0].waits, s.jobs[0].wait_count) = (NOWHERE, 1))
        } => FAULT;
        job_with_signals_that_are_not_there: |t| spoilt(t, |s| s.jobs[0].signals = NOWHERE) => FAULT;

        wait_for_an_unknown_syncobj: |t| waiting(t, |wait| wait.handle = UNKNOWN) => NOENT;
        wait_with_an_unknown_flag: |t| waiting(t, |wait| wait.flags = 2) => INVAL;
        wait_for_a_point_of_a_binary_syncobj: |t| waiting(t, |wait| wait.point = 1) => INVAL;
        wait_for_point_0_of_a_timeline: |t| waiting(t, |wait| wait.flags = SYNC_TIMELINE) => INVAL;
        wait_for_a_syncobj_without_fence: |t| {
            spoilt(t, |s| (s.jobs[0].wait_count, s.wait.handle) = (1, t.empty))
        } => INVAL;
        signal_of_an_unknown_syncobj: |t| spoilt(t, |s| s.signal.handle = UNKNOWN) => NOENT;
        signal_with_an_unknown_flag: |t| spoilt(t, |s| s.signal.flags = 2) => INVAL;
        signal_of_a_point_of_a_binary_syncobj: |t| spoilt(t, |s| s.signal.point = 1) => INVAL;
        signal_of_point_0_of_a_timeline: |t| spoilt(t, |s| s.signal.flags = SYNC_TIMELINE) => INVAL;

        run_of_an_empty_program: |t| spoilt(t, |s| s.jobs[0].run.program_size = 0) => INVAL;
        run_with_too_many_segments: |t| {
            spoilt(t, |s| s.jobs[0].run.segment_count = t.device.max_segments + 1)
        } => INVAL;
        run_with_a_stride_of_segments_too_small: |t| spoilt(t, |s| s.jobs[0].run.segment_stride = 8) => INVAL;
        run_with_segments_that_are_not_there: |t| spoilt(t, |s| s.jobs[0].run.segments = NOWHERE) => FAULT;
    }

    #[test]
    fn of_a_bad_second_job_queues_none() {
        on_node("of_a_bad_second_job_queues_none", |t| {
            let mut ended = 0;
            let submitted = t.submit(|s| {
                s.submit.job_count = 2;
                s.jobs[1].flags = 1;
                ended = s.signal.handle;
            });
            assert_eq!(submitted, Err(Errno::INVAL));
            // EINVAL: no fence was put into it.
            assert_eq!(t.node.wait(ended, PATIENCE), Err(Errno::INVAL));
        });
    }

    #[test]
    fn of_bytes_that_are_no_program_is_rejected_by_the_firmware() {
        on_node(
            "of_bytes_that_are_no_program_is_rejected_by_the_firmware",
            |t| {
                let ended = t.submit(|s| s.jobs[0].wait_count = 1).unwrap();
                assert_eq!(t.node.wait(ended, PATIENCE), Ok(()));
                let state = t.state();
                assert_eq!((state.state, state.jobs_done), (QUEUE_REJECTED, 0));
                assert_eq!(state.detail, apu_proto::message::reject::HEADER);
                assert_eq!(t.submit(|_| ()).map(drop), Err(Errno::CANCELED));
            },
        );
    }

    #[test]
    fn of_a_program_that_is_not_mapped_is_a_fault() {
        on_node("of_a_program_that_is_not_mapped_is_a_fault", |t| {
            let nowhere = t.device.va_start + (1 << 30);
            let ended = t.submit(|s| s.jobs[0].run.program_va = nowhere).unwrap();
            assert_eq!(t.node.wait(ended, PATIENCE), Ok(()));
            assert_eq!(
                (t.state().state, t.state().address),
                (QUEUE_FAULTED, nowhere)
            );
        });
    }

    #[test]
    fn of_a_program_that_was_unmapped_is_a_fault() {
        on_node("of_a_program_that_was_unmapped_is_a_fault", |t| {
            t.vm_bind(|_, op| (op.kind, op.bo_handle) = (BIND_UNMAP, 0))
                .unwrap();
            let ended = t.submit(|_| ()).unwrap();
            assert_eq!(t.node.wait(ended, PATIENCE), Ok(()));
            assert_eq!(t.state().state, QUEUE_FAULTED);
        });
    }
}

mod file {
    use super::*;

    #[test]
    fn of_a_buffer_passes_to_another_process_as_dma_buf() {
        on_node("of_a_buffer_passes_to_another_process_as_dma_buf", |t| {
            let mut export = PrimeHandleToFd {
                handle: t.bo.handle,
                ..PrimeHandleToFd::default()
            };
            t.node.call(&mut export).unwrap();
            let other = Node::open().unwrap();
            let mut import = PrimeFdToHandle {
                fd: export.fd,
                ..PrimeFdToHandle::default()
            };
            other.call(&mut import).unwrap();
            assert_ne!(import.handle, 0);
        });
    }
}
