//! `include/uapi/drm/apu_accel.h`, and the few core DRM structures beside it, field for field.
//!
//! Documentation is in the headers. Sizes and offsets are asserted below: they are the contract.

use rustix::ioctl::{Opcode, opcode};

use super::ioctl::Argument;

/// `DRM_IOCTL_BASE`.
const DRM: u8 = b'd';
/// `DRM_COMMAND_BASE`.
const COMMAND: u8 = 0x40;

pub(super) const QUERY_DEVICE: u32 = 0;
pub(super) const DEVICE_ONLINE: u32 = 1;
pub(super) const BIND_MAP: u32 = 0;
pub(super) const BIND_UNMAP: u32 = 1;
pub(super) const BIND_READONLY: u32 = 1 << 0;
pub(super) const BIND_ASYNC: u32 = 1 << 0;
pub(super) const SYNC_TIMELINE: u32 = 1 << 0;

/// Declares structures with the ioctl that each is the argument of, if any.
macro_rules! uapi {
    ($($(#[ioctl($direction:ident, $number:expr, $call:literal)])? struct $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        #[derive(Clone, Copy, Debug, Default)]
        #[repr(C)]
        pub(super) struct $name { $(pub $field: $type,)* }
        $(
            // SAFETY: the number carries this structure's size, which is asserted below.
            unsafe impl Argument for $name {
                const OPCODE: Opcode = opcode::$direction::<$name>(DRM, $number);
                const CALL: &'static str = $call;
            }
        )?
    )*};
}

uapi! {
    #[ioctl(read_write, 0x00, "VERSION")]
    struct Version {
        major: i32, minor: i32, patchlevel: i32,
        name_len: usize, name: usize,
        date_len: usize, date: usize,
        desc_len: usize, desc: usize,
    }
    #[ioctl(write, 0x09, "GEM_CLOSE")]
    struct GemClose { handle: u32, pad: u32, }
    #[ioctl(read_write, 0x2d, "PRIME_HANDLE_TO_FD")]
    struct PrimeHandle { handle: u32, flags: u32, fd: i32, }
    #[ioctl(read_write, 0xbf, "SYNCOBJ_CREATE")]
    struct SyncobjCreate { handle: u32, flags: u32, }
    #[ioctl(read_write, 0xc0, "SYNCOBJ_DESTROY")]
    struct SyncobjDestroy { handle: u32, pad: u32, }
    #[ioctl(read_write, 0xca, "SYNCOBJ_TIMELINE_WAIT")]
    struct TimelineWait {
        handles: u64, points: u64, timeout_nsec: i64,
        count_handles: u32, flags: u32, first_signaled: u32, pad: u32,
        deadline_nsec: u64,
    }

    #[ioctl(read_write, COMMAND, "QUERY")]
    struct Query { kind: u32, size: u32, data: u64, }
    struct QueryDevice {
        state: u32, protocol_version: u32, core_count: u32, page_size: u32,
        va_start: u64, va_end: u64, features: u64, target: [u8; 32],
        max_segments: u32, max_jobs: u32, max_syncs: u32, max_bind_ops: u32,
        max_timeout_ms: u32, max_vms: u32, max_queues: u32, flags: u32,
    }
    #[ioctl(read_write, COMMAND + 0x01, "BO_CREATE")]
    struct BoCreate { size: u64, flags: u32, handle: u32, mmap_offset: u64, }
    #[ioctl(read_write, COMMAND + 0x02, "VM_CREATE")]
    struct VmCreate { flags: u32, vm_id: u32, va_start: u64, va_end: u64, }
    #[ioctl(read_write, COMMAND + 0x03, "VM_DESTROY")]
    struct VmDestroy { vm_id: u32, pad: u32, }
    struct VmBindOp {
        kind: u32, flags: u32, bo_handle: u32, pad: u32,
        bo_offset: u64, va: u64, size: u64,
    }
    #[ioctl(read_write, COMMAND + 0x04, "VM_BIND")]
    struct VmBind {
        vm_id: u32, flags: u32, op_count: u32, op_stride: u32, ops: u64,
        failed_op: u32, pad: u32,
        waits: u64, signals: u64, wait_count: u32, signal_count: u32,
        sync_stride: u32, pad2: u32,
    }
    #[ioctl(read_write, COMMAND + 0x05, "QUEUE_CREATE")]
    struct QueueCreate {
        vm_id: u32, priority: u32, core_mask: u64, timeout_ms: u32, flags: u32,
        queue_id: u32, max_cores: u32,
    }
    #[ioctl(read_write, COMMAND + 0x06, "QUEUE_DESTROY")]
    struct QueueDestroy { queue_id: u32, pad: u32, }
    #[ioctl(read_write, COMMAND + 0x07, "QUEUE_GET_STATE")]
    struct QueueGetState {
        queue_id: u32, state: u32, status: u32, detail: u32, op: u32, pad: u32,
        address: u64, jobs_done: u64, start_ns: u64, end_ns: u64, device_ns: u64,
    }
    #[ioctl(read_write, COMMAND + 0x09, "VM_GET_STATE")]
    struct VmGetState {
        vm_id: u32, state: u32, error: u32, failed_op: u32, address: u64,
        mappings: u32, pending: u32,
    }
    #[ioctl(read_write, COMMAND + 0x0a, "BO_SET_LABEL")]
    struct BoSetLabel { handle: u32, pad: u32, label: u64, }
    struct Sync { handle: u32, flags: u32, point: u64, }
    struct Run {
        program_va: u64, program_size: u64, segments: u64,
        segment_count: u32, segment_stride: u32,
    }
    struct Job {
        waits: u64, signals: u64, wait_count: u32, signal_count: u32,
        sync_stride: u32, flags: u32, run: Run,
    }
    #[ioctl(read_write, COMMAND + 0x08, "SUBMIT")]
    struct Submit { queue_id: u32, flags: u32, job_count: u32, job_stride: u32, jobs: u64, }
}

const _: () = {
    use std::mem::{offset_of, size_of};
    #[cfg(target_pointer_width = "64")]
    assert!(size_of::<Version>() == 64);
    assert!(size_of::<GemClose>() == 8);
    assert!(size_of::<PrimeHandle>() == 12);
    assert!(size_of::<SyncobjCreate>() == 8);
    assert!(size_of::<SyncobjDestroy>() == 8);
    assert!(size_of::<TimelineWait>() == 48);
    assert!(size_of::<Query>() == 16);
    assert!(size_of::<QueryDevice>() == 104);
    assert!(offset_of!(QueryDevice, target) == 40);
    assert!(size_of::<BoCreate>() == 24);
    assert!(size_of::<VmCreate>() == 24);
    assert!(size_of::<VmDestroy>() == 8);
    assert!(size_of::<VmBindOp>() == 40);
    assert!(size_of::<VmBind>() == 64);
    assert!(offset_of!(VmBind, failed_op) == 24);
    assert!(size_of::<QueueCreate>() == 32);
    assert!(offset_of!(QueueCreate, queue_id) == 24);
    assert!(size_of::<QueueDestroy>() == 8);
    assert!(size_of::<QueueGetState>() == 64);
    assert!(offset_of!(QueueGetState, address) == 24);
    assert!(size_of::<VmGetState>() == 32);
    assert!(size_of::<BoSetLabel>() == 16);
    assert!(size_of::<Sync>() == 16);
    assert!(size_of::<Run>() == 32);
    assert!(size_of::<Job>() == 64);
    assert!(offset_of!(Job, run) == 32);
    assert!(size_of::<Submit>() == 24);
    // `drm_apu_segment` is our own `Segment`, handed over in place.
    assert!(size_of::<crate::Segment>() == 16);
    assert!(offset_of!(crate::Segment, size) == 8);
};
