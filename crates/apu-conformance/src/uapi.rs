//! `include/uapi/drm/apu_accel.h` and the core DRM structures that the checks need, field for field.
//!
//! A copy of its own, on purpose: libapu's is under test as well. The header documents the fields.
#![allow(missing_docs)]

use rustix::ioctl::{Opcode, opcode};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `DRM_IOCTL_BASE`.
const DRM: u8 = b'd';
/// `DRM_COMMAND_BASE`.
const COMMAND: u8 = 0x40;

pub const BIND_MAP: u32 = 0;
pub const BIND_UNMAP: u32 = 1;
pub const BIND_READONLY: u32 = 1;
pub const BIND_NOREPLACE: u32 = 1 << 1;
pub const BIND_ASYNC: u32 = 1;
pub const DEVICE_BIND_ASYNC: u32 = 1 << 1;
pub const VM_OK: u32 = 0;
pub const VM_UNUSABLE: u32 = 1;
pub const PRIORITY_LOW: u32 = 0;
pub const PRIORITY_NORMAL: u32 = 1;
pub const PRIORITY_HIGH: u32 = 2;
pub const PRIORITY_REALTIME: u32 = 3;
pub const SYNC_TIMELINE: u32 = 1;
pub const DEVICE_ONLINE: u32 = 1;
pub const NO_OP: u32 = u32::MAX;
pub const QUEUE_OK: u32 = 0;
pub const QUEUE_TIMED_OUT: u32 = 1;
pub const QUEUE_FAULTED: u32 = 2;
pub const QUEUE_REJECTED: u32 = 3;
pub const QUEUE_INNOCENT: u32 = 4;
pub const QUEUE_DEVICE_LOST: u32 = 5;

/// A structure that an ioctl takes.
pub trait Argument {
    const OPCODE: Opcode;
}

macro_rules! structures {
    ($($(#[ioctl($number:expr)])? struct $name:ident ($size:literal) { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
        #[repr(C)]
        pub struct $name { $(pub $field: $type),* }
        const _: () = assert!(size_of::<$name>() == $size);
        $(impl Argument for $name {
            const OPCODE: Opcode = opcode::read_write::<$name>(DRM, $number);
        })?
    )*};
}

structures! {
    #[ioctl(0x09)]
    struct GemClose(8) { handle: u32, pad: u32 }
    #[ioctl(0x2d)]
    struct PrimeHandleToFd(12) { handle: u32, flags: u32, fd: i32 }
    #[ioctl(0x2e)]
    struct PrimeFdToHandle(12) { handle: u32, flags: u32, fd: i32 }
    #[ioctl(0xb2)]
    struct CreateDumb(32) {
        height: u32, width: u32, bpp: u32, flags: u32, handle: u32, pitch: u32, size: u64,
    }
    #[ioctl(0xb3)]
    struct MapDumb(16) { handle: u32, pad: u32, offset: u64 }
    #[ioctl(0xbf)]
    struct SyncobjCreate(8) { handle: u32, flags: u32 }
    #[ioctl(0xc0)]
    struct SyncobjDestroy(8) { handle: u32, pad: u32 }
    #[ioctl(0xc1)]
    struct SyncobjToFd(16) { handle: u32, flags: u32, fd: i32, pad: u32 }
    #[ioctl(0xc3)]
    struct SyncobjWait(40) {
        handles: u64, timeout_nsec: i64, count_handles: u32, flags: u32,
        first_signaled: u32, pad: u32, deadline_nsec: u64,
    }
    #[ioctl(0xca)]
    struct TimelineWait(48) {
        handles: u64, points: u64, timeout_nsec: i64, count_handles: u32, flags: u32,
        first_signaled: u32, pad: u32, deadline_nsec: u64,
    }
    #[ioctl(0xcd)]
    struct TimelineSignal(24) { handles: u64, points: u64, count_handles: u32, flags: u32 }

    #[ioctl(COMMAND)]
    struct Query(16) { kind: u32, size: u32, data: u64 }
    struct QueryDevice(136) {
        state: u32, protocol_version: u32, core_count: u32, page_size: u32,
        va_start: u64, va_end: u64, features: u64, target: [u8; 32],
        max_segments: u32, max_jobs: u32, max_syncs: u32, max_bind_ops: u32,
        max_timeout_ms: u32, max_vms: u32, max_queues: u32, flags: u32,
        max_bo_size: u64, max_bo_bytes: u64, max_queued_jobs: u32, max_mappings: u32,
        max_pending_binds: u32, max_file_jobs: u32,
    }
    #[ioctl(COMMAND + 1)]
    struct BoCreate(24) { size: u64, flags: u32, handle: u32, mmap_offset: u64 }
    #[ioctl(COMMAND + 2)]
    struct VmCreate(24) { flags: u32, vm_id: u32, va_start: u64, va_end: u64 }
    #[ioctl(COMMAND + 3)]
    struct VmDestroy(8) { vm_id: u32, pad: u32 }
    #[ioctl(COMMAND + 4)]
    struct VmBind(64) {
        vm_id: u32, flags: u32, op_count: u32, op_stride: u32, ops: u64, failed_op: u32, pad: u32,
        waits: u64, signals: u64, wait_count: u32, signal_count: u32, sync_stride: u32, pad2: u32,
    }
    struct VmBindOp(40) {
        kind: u32, flags: u32, bo_handle: u32, pad: u32, bo_offset: u64, va: u64, size: u64,
    }
    #[ioctl(COMMAND + 5)]
    struct QueueCreate(32) {
        vm_id: u32, priority: u32, core_mask: u64, timeout_ms: u32, flags: u32, queue_id: u32, max_cores: u32,
    }
    #[ioctl(COMMAND + 6)]
    struct QueueDestroy(8) { queue_id: u32, pad: u32 }
    #[ioctl(COMMAND + 7)]
    struct QueueGetState(72) {
        queue_id: u32, state: u32, status: u32, detail: u32, op: u32, pad: u32,
        address: u64, jobs_done: u64, start_ns: u64, end_ns: u64, device_ns: u64,
        cycles: u64,
    }
    #[ioctl(COMMAND + 8)]
    struct Submit(24) { queue_id: u32, flags: u32, job_count: u32, job_stride: u32, jobs: u64 }
    struct Job(64) {
        waits: u64, signals: u64, wait_count: u32, signal_count: u32, sync_stride: u32, flags: u32,
        run: Run,
    }
    #[ioctl(COMMAND + 9)]
    struct VmGetState(32) {
        vm_id: u32, state: u32, error: u32, failed_op: u32, address: u64, mappings: u32, pending: u32,
    }
    #[ioctl(COMMAND + 10)]
    struct BoSetLabel(16) { handle: u32, pad: u32, label: u64 }
    struct Run(32) {
        program_va: u64, program_size: u64, segments: u64, segment_count: u32, segment_stride: u32,
    }
    struct Sync(16) { handle: u32, flags: u32, point: u64 }
    struct Segment(16) { va: u64, size: u64 }

    #[ioctl(COMMAND + 1)]
    struct VgemFenceAttach(16) { handle: u32, flags: u32, out_fence: u32, pad: u32 }
    #[ioctl(COMMAND + 2)]
    struct VgemFenceSignal(8) { fence: u32, flags: u32 }

    struct UdmabufCreate(24) { memfd: u32, flags: u32, offset: u64, size: u64 }
    struct SyncFileInfo(56) {
        name: [u8; 32], status: i32, flags: u32, num_fences: u32, pad: u32, fences: u64,
    }
}

impl Argument for UdmabufCreate {
    const OPCODE: Opcode = opcode::write::<Self>(b'u', 0x42);
}

impl Argument for SyncFileInfo {
    const OPCODE: Opcode = opcode::read_write::<Self>(b'>', 4);
}
