// SPDX-License-Identifier: GPL-2.0

//! The ioctls: checks that belong to the uAPI, and the way into the framework.

use crate::{
    driver::Apu,
    message::MAX_SEGMENTS,
    payload::{
        bind_op,
        bind_syncs,
        job_request,
        MAX_BIND_OPS,
        MAX_JOBS,
        MAX_SYNCS, //
    }, //
};
use core::mem::size_of;
use kernel::{
    drm::{
        self,
        accel::tiny::{
            self,
            read_array,
            read_string,
            write_struct,
            Driver,
            Priority,
            QueueConfig,
            QueueState, //
        },
        Registered, //
    },
    page::PAGE_SIZE,
    prelude::*,
    security,
    time::Delta,
    uapi, //
};

type Device = drm::Device<Apu, Registered>;
type File = drm::File<tiny::File<Apu>>;

const DEFAULT_TIMEOUT_MS: u32 = 5000;
/// A fence of a job must signal within some ten seconds.
const MAX_TIMEOUT_MS: u32 = 10_000;

fn must_be_zero(value: u32) -> Result {
    if value != 0 {
        return Err(EINVAL);
    }
    Ok(())
}

pub(crate) fn query(
    device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_query,
    _file: &File,
) -> Result<u32> {
    if args.type_ != uapi::drm_apu_query_type_DRM_APU_QUERY_DEVICE {
        return Err(EINVAL);
    }
    if args.data != 0 {
        write_struct(args.data, args.size, &device_info(device))?;
    }
    args.size = size_of::<uapi::drm_apu_query_device>() as u32;
    Ok(0)
}

fn device_info(device: &Device) -> uapi::drm_apu_query_device {
    let mut info = uapi::drm_apu_query_device {
        page_size: PAGE_SIZE as u32,
        max_segments: MAX_SEGMENTS as u32,
        max_jobs: MAX_JOBS,
        max_syncs: MAX_SYNCS,
        max_bind_ops: MAX_BIND_OPS,
        max_timeout_ms: MAX_TIMEOUT_MS,
        max_vms: Apu::LIMITS.vms as u32,
        max_queues: Apu::LIMITS.queues as u32,
        max_bo_size: Apu::LIMITS.bo_size,
        max_bo_bytes: Apu::LIMITS.bo_bytes,
        max_queued_jobs: Apu::LIMITS.queued_jobs as u32,
        max_mappings: Apu::LIMITS.mappings as u32,
        max_pending_binds: tiny::MAX_PENDING_BINDS as u32,
        max_file_jobs: Apu::LIMITS.file_jobs() as u32,
        ..Default::default()
    };
    if let (Some(online), Some(ack)) = (device.online(), device.link.greeting()) {
        info.state = uapi::drm_apu_device_state_DRM_APU_DEVICE_ONLINE;
        info.protocol_version = ack.version;
        info.core_count = online.cores;
        info.va_start = ack.va_start;
        info.va_end = ack.va_end;
        if online.windows > 1 {
            info.flags |= uapi::drm_apu_device_flags_DRM_APU_DEVICE_SHARED_SPACE;
        }
        if device.binds_async() {
            info.flags |= uapi::drm_apu_device_flags_DRM_APU_DEVICE_BIND_ASYNC;
        }
        info.features = ack.features;
        info.target = ack.target;
    }
    info
}

pub(crate) fn bo_create(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_bo_create,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.flags)?;
    (args.handle, args.size, args.mmap_offset) = tiny::File::bo_create(file, args.size)?;
    Ok(0)
}

pub(crate) fn bo_set_label(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_bo_set_label,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.pad)?;
    let label = match args.label {
        0 => None,
        address => Some(read_string(address, uapi::DRM_APU_BO_LABEL_SIZE as usize)?),
    };
    tiny::File::bo_set_label(file, args.handle, label)?;
    Ok(0)
}

pub(crate) fn vm_create(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_vm_create,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.flags)?;
    let (vm, va) = file.inner().vm_create()?;
    args.vm_id = vm;
    (args.va_start, args.va_end) = (va.start, va.end);
    Ok(0)
}

pub(crate) fn vm_destroy(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_vm_destroy,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.pad)?;
    file.inner().vm_destroy(args.vm_id)?;
    Ok(0)
}

pub(crate) fn vm_get_state(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_vm_get_state,
    file: &File,
) -> Result<u32> {
    let info = file.inner().vm_info(args.vm_id)?;
    args.state = uapi::drm_apu_vm_state_DRM_APU_VM_OK;
    args.mappings = info.mappings as u32;
    args.pending = info.pending as u32;
    if let Some(failure) = info.failure {
        args.state = uapi::drm_apu_vm_state_DRM_APU_VM_UNUSABLE;
        args.error = failure.error.to_errno().unsigned_abs();
        args.failed_op = failure.op;
        args.address = failure.address;
    }
    Ok(0)
}

pub(crate) fn vm_bind(
    device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_vm_bind,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.pad)?;
    must_be_zero(args.pad2)?;
    let syncs = bind_syncs(args)?;
    if args.op_count == 0 {
        return Err(EINVAL);
    }
    let ops = read_array(args.ops, args.op_count, args.op_stride, MAX_BIND_OPS)?;
    let ops = ops.iter().map(|op| bind_op(op, file));
    let (done, result) = match syncs {
        None => file.inner().vm_bind(args.vm_id, ops),
        Some(_) if !device.binds_async() => (0, Err(EOPNOTSUPP)),
        Some(syncs) => tiny::File::vm_bind_async(file, args.vm_id, ops, syncs),
    };
    args.failed_op = done;
    result?;
    Ok(0)
}

pub(crate) fn queue_create(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_queue_create,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.flags)?;
    let timeout_ms = match args.timeout_ms {
        0 => DEFAULT_TIMEOUT_MS,
        1..=MAX_TIMEOUT_MS => args.timeout_ms,
        _ => return Err(EINVAL),
    };
    let config = QueueConfig {
        priority: priority(args.priority)?,
        core_mask: args.core_mask,
        max_cores: args.max_cores.max(1),
        timeout: Delta::from_millis(timeout_ms.into()),
        limit: Delta::from_millis((4 * timeout_ms).min(MAX_TIMEOUT_MS).into()),
    };
    args.queue_id = file.inner().queue_create(args.vm_id, config)?;
    Ok(0)
}

fn priority(priority: u32) -> Result<Priority> {
    match priority {
        uapi::drm_apu_priority_DRM_APU_PRIORITY_LOW => Ok(Priority::Low),
        uapi::drm_apu_priority_DRM_APU_PRIORITY_NORMAL => Ok(Priority::Normal),
        uapi::drm_apu_priority_DRM_APU_PRIORITY_HIGH => privileged(Priority::High),
        uapi::drm_apu_priority_DRM_APU_PRIORITY_REALTIME => privileged(Priority::Realtime),
        _ => Err(EINVAL),
    }
}

fn privileged(priority: Priority) -> Result<Priority> {
    if !security::capable(security::CAP_SYS_NICE) {
        return Err(EPERM);
    }
    Ok(priority)
}

pub(crate) fn queue_destroy(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_queue_destroy,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.pad)?;
    file.inner().queue_destroy(args.queue_id)?;
    Ok(0)
}

pub(crate) fn queue_get_state(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_queue_get_state,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.pad)?;
    let info = file.inner().queue_info(args.queue_id)?;
    args.state = match info.state {
        QueueState::Ok => uapi::drm_apu_queue_state_DRM_APU_QUEUE_OK,
        QueueState::TimedOut => uapi::drm_apu_queue_state_DRM_APU_QUEUE_TIMED_OUT,
        QueueState::Faulted => uapi::drm_apu_queue_state_DRM_APU_QUEUE_FAULTED,
        QueueState::Rejected => uapi::drm_apu_queue_state_DRM_APU_QUEUE_REJECTED,
        QueueState::Innocent => uapi::drm_apu_queue_state_DRM_APU_QUEUE_INNOCENT,
        QueueState::DeviceLost => uapi::drm_apu_queue_state_DRM_APU_QUEUE_DEVICE_LOST,
    };
    args.status = info.report.status;
    args.detail = info.report.detail;
    args.op = info.report.op;
    args.address = info.report.address;
    args.jobs_done = info.jobs_done;
    args.start_ns = info.last.start_ns;
    args.end_ns = info.last.end_ns;
    args.device_ns = info.device_ns;
    args.cycles = info.last.cycles;
    Ok(0)
}

pub(crate) fn submit(
    _device: &Device,
    _: &(),
    args: &mut uapi::drm_apu_submit,
    file: &File,
) -> Result<u32> {
    must_be_zero(args.flags)?;
    if args.job_count == 0 {
        return Err(EINVAL);
    }
    let jobs = read_array(args.jobs, args.job_count, args.job_stride, MAX_JOBS)?;
    let mut requests = KVec::with_capacity(jobs.len(), GFP_KERNEL_ACCOUNT)?;
    for job in &jobs {
        requests.push(job_request(job)?, GFP_KERNEL_ACCOUNT)?;
    }
    tiny::File::submit(file, args.queue_id, requests)?;
    Ok(0)
}
