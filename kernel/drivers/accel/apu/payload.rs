// SPDX-License-Identifier: GPL-2.0

//! Structures that ioctls point to, and what they become.

use crate::{
    driver::{
        Apu,
        Job, //
    },
    envelope::{
        Blank,
        RunBlank, //
    },
    message::{
        Run,
        Segment as RunSegment,
        MAX_SEGMENTS, //
    }, //
};
use kernel::{
    drm::{
        self,
        accel::tiny::{
            read_array,
            Access,
            BindOp,
            File,
            JobRequest,
            SyncPoint,
            Syncs, //
        }, //
    },
    prelude::*,
    uapi, //
};

pub(crate) const MAX_JOBS: u32 = 64;
pub(crate) const MAX_SYNCS: u32 = 64;
pub(crate) const MAX_BIND_OPS: u32 = 1024;
pub(crate) const MAX_QUEUED_JOBS: usize = 1024;

/// A change of a VM in the framework's words.
pub(crate) fn bind_op(
    op: &uapi::drm_apu_vm_bind_op,
    file: &drm::File<File<Apu>>,
) -> Result<BindOp<Apu>> {
    let end = op.va.checked_add(op.size).ok_or(EINVAL)?;
    if op.pad != 0 {
        return Err(EINVAL);
    }
    match op.type_ {
        uapi::drm_apu_vm_bind_op_type_DRM_APU_VM_BIND_OP_MAP => Ok(BindOp::Map {
            va: op.va,
            range: File::bo_range(file, op.bo_handle, op.bo_offset, op.size, access(op.flags)?)?,
            exclusive: op.flags & uapi::DRM_APU_VM_BIND_NOREPLACE != 0,
        }),
        uapi::drm_apu_vm_bind_op_type_DRM_APU_VM_BIND_OP_UNMAP => {
            if op.flags != 0 || op.bo_handle != 0 || op.bo_offset != 0 {
                return Err(EINVAL);
            }
            Ok(BindOp::Unmap { va: op.va..end })
        }
        _ => Err(EINVAL),
    }
}

fn access(flags: u32) -> Result<Access> {
    match flags & !uapi::DRM_APU_VM_BIND_NOREPLACE {
        0 => Ok(Access::ReadWrite),
        uapi::DRM_APU_VM_BIND_READONLY => Ok(Access::Read),
        _ => Err(EINVAL),
    }
}

/// A job in the framework's words.
pub(crate) fn job_request(job: &uapi::drm_apu_job) -> Result<JobRequest<Apu>> {
    if job.flags != 0 {
        return Err(EINVAL);
    }
    Ok(JobRequest {
        waits: read_syncs(job.waits, job.wait_count, job.sync_stride)?,
        signals: read_syncs(job.signals, job.signal_count, job.sync_stride)?,
        payload: parse_run(&job.run)?,
    })
}

/// What an asynchronous VM_BIND waits for and signals, or None for a synchronous one.
pub(crate) fn bind_syncs(args: &uapi::drm_apu_vm_bind) -> Result<Option<Syncs>> {
    let count = args.wait_count | args.signal_count;
    match args.flags {
        0 if args.waits | args.signals == 0 && count | args.sync_stride == 0 => Ok(None),
        uapi::DRM_APU_VM_BIND_ASYNC => Ok(Some(Syncs {
            waits: read_syncs(args.waits, args.wait_count, args.sync_stride)?,
            signals: read_syncs(args.signals, args.signal_count, args.sync_stride)?,
        })),
        _ => Err(EINVAL),
    }
}

fn read_syncs(address: u64, count: u32, stride: u32) -> Result<KVec<SyncPoint>> {
    let mut points = KVec::new();
    for sync in read_array(address, count, stride, MAX_SYNCS)? {
        points.push(sync_point(&sync)?, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(points)
}

fn sync_point(sync: &uapi::drm_apu_sync) -> Result<SyncPoint> {
    let point = match (sync.flags, sync.point) {
        (0, 0) => None,
        (uapi::DRM_APU_SYNC_TIMELINE, point) if point != 0 => Some(point),
        _ => return Err(EINVAL),
    };
    Ok(SyncPoint {
        handle: sync.handle,
        point,
    })
}

/// Whether the program is any good is for the firmware to say; this keeps the message well formed.
fn parse_run(run: &uapi::drm_apu_run) -> Result<Job> {
    if run.program_size == 0 {
        return Err(EINVAL);
    }
    let given = read_array::<uapi::drm_apu_segment>(
        run.segments,
        run.segment_count,
        run.segment_stride,
        MAX_SEGMENTS as u32,
    )?;
    let mut segments = [RunSegment::default(); MAX_SEGMENTS];
    for (segment, given) in segments.iter_mut().zip(&given) {
        *segment = RunSegment {
            va: given.va,
            size: given.size,
        };
    }
    let run = Run {
        job: 0,
        vm: 0,
        core: 0,
        priority: 0,
        program: RunSegment {
            va: run.program_va,
            size: run.program_size,
        },
        // CAST: at most `MAX_SEGMENTS`.
        segment_count: given.len() as u16,
        max_cores: 0,
        queue: 0,
        segments,
    };
    Ok(Job {
        program: run.program,
        segment_count: run.segment_count,
        run: Some(RunBlank::new(&run)?),
        cancel: Some(Blank::new()?),
    })
}
