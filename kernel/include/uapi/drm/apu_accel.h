/* SPDX-License-Identifier: MIT */
/*
 * User space interface of the APU accelerator driver.
 *
 * Growth rules: a structure grows at its end only, the core zero-extends or truncates by the size
 * in the ioctl number; arrays carry a stride; a padding field or an undefined flag that is not zero
 * is refused with EINVAL; a new capability raises the driver's minor version, listed here:
 *
 * 1.0: first version.
 * 1.1: DRM_APU_PRIORITY_REALTIME; limits of memory and of jobs in &struct drm_apu_query_device.
 * 1.2: DRM_APU_VM_BIND_ASYNC, DRM_APU_VM_BIND_NOREPLACE, DRM_IOCTL_APU_VM_GET_STATE;
 *      DRM_APU_DEVICE_BIND_ASYNC and &drm_apu_query_device.max_pending_binds.
 * 1.3: &drm_apu_queue_get_state.start_ns, .end_ns and .device_ns.
 * 1.4: buffers of other drivers, by DRM_IOCTL_PRIME_FD_TO_HANDLE.
 * 1.5: DRM_IOCTL_APU_BO_SET_LABEL.
 * 1.6: &drm_apu_queue_get_state.cycles, &drm_apu_queue_create.max_cores.
 * 1.7: &drm_apu_query_device.max_file_jobs.
 */
#ifndef _UAPI_APU_ACCEL_H_
#define _UAPI_APU_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* Ioctl numbers, relative to DRM_COMMAND_BASE. Place new ones at the end. */
#define DRM_APU_QUERY			0x00
#define DRM_APU_BO_CREATE		0x01
#define DRM_APU_VM_CREATE		0x02
#define DRM_APU_VM_DESTROY		0x03
#define DRM_APU_VM_BIND			0x04
#define DRM_APU_QUEUE_CREATE		0x05
#define DRM_APU_QUEUE_DESTROY		0x06
#define DRM_APU_QUEUE_GET_STATE		0x07
#define DRM_APU_SUBMIT			0x08
#define DRM_APU_VM_GET_STATE		0x09
#define DRM_APU_BO_SET_LABEL		0x0a

/**
 * enum drm_apu_query_type - What DRM_IOCTL_APU_QUERY can be asked.
 */
enum drm_apu_query_type {
	/** @DRM_APU_QUERY_DEVICE: a &struct drm_apu_query_device. */
	DRM_APU_QUERY_DEVICE = 0,
};

/**
 * struct drm_apu_query - Ask about the device.
 */
struct drm_apu_query {
	/** @type: Input: one of &enum drm_apu_query_type. */
	__u32 type;

	/**
	 * @size: Input: bytes at @data; output: bytes that the kernel knows. With @data of 0 only
	 * the size is returned. The kernel writes the smaller of both and zeroes the rest of @data.
	 */
	__u32 size;

	/** @data: Input: address of the structure to fill. */
	__u64 data;
};

/**
 * enum drm_apu_device_state - Whether the device can take jobs.
 */
enum drm_apu_device_state {
	/** @DRM_APU_DEVICE_LOST: no firmware answers; jobs fail with ENODEV until one does. */
	DRM_APU_DEVICE_LOST = 0,
	/** @DRM_APU_DEVICE_ONLINE: ready. */
	DRM_APU_DEVICE_ONLINE = 1,
};

/**
 * enum drm_apu_device_flags - Flags of &struct drm_apu_query_device.
 */
enum drm_apu_device_flags {
	/**
	 * @DRM_APU_DEVICE_SHARED_SPACE: the device has one address space. Each VM gets a part of
	 * it that no other VM has; see &struct drm_apu_vm_create.
	 */
	DRM_APU_DEVICE_SHARED_SPACE = 1 << 0,
	/** @DRM_APU_DEVICE_BIND_ASYNC: VM_BIND takes DRM_APU_VM_BIND_ASYNC. */
	DRM_APU_DEVICE_BIND_ASYNC = 1 << 1,
};

/**
 * struct drm_apu_query_device - What the device is, and the limits of this interface.
 */
struct drm_apu_query_device {
	/** @state: one of &enum drm_apu_device_state. All below but the limits is 0 when lost. */
	__u32 state;

	/** @protocol_version: version spoken with the firmware. */
	__u32 protocol_version;

	/** @core_count: cores that can run jobs. */
	__u32 core_count;

	/** @page_size: granularity of BO sizes and VM_BIND in bytes. */
	__u32 page_size;

	/** @va_start: first device address that can be bound. */
	__u64 va_start;

	/** @va_end: first device address past those that can be bound. */
	__u64 va_end;

	/** @features: program features of the firmware. */
	__u64 features;

	/** @target: layout of programs that the firmware runs, zero padded. */
	__u8 target[32];

	/** @max_segments: limit of &drm_apu_run.segment_count. */
	__u32 max_segments;

	/** @max_jobs: limit of &drm_apu_submit.job_count. */
	__u32 max_jobs;

	/** @max_syncs: limit of wait_count and signal_count of a job or a VM_BIND. */
	__u32 max_syncs;

	/** @max_bind_ops: limit of &drm_apu_vm_bind.op_count. */
	__u32 max_bind_ops;

	/** @max_timeout_ms: limit of &drm_apu_queue_create.timeout_ms. */
	__u32 max_timeout_ms;

	/** @max_vms: limit of VMs of one file. */
	__u32 max_vms;

	/** @max_queues: limit of queues of one file. */
	__u32 max_queues;

	/** @flags: of &enum drm_apu_device_flags. */
	__u32 flags;

	/** @max_bo_size: limit of &drm_apu_bo_create.size. */
	__u64 max_bo_size;

	/** @max_bo_bytes: limit of the sizes of all living BOs that one file made. */
	__u64 max_bo_bytes;

	/** @max_queued_jobs: limit of jobs of one queue that have not ended. */
	__u32 max_queued_jobs;

	/** @max_mappings: limit of mappings of one VM; parts of one that was split count each. */
	__u32 max_mappings;

	/** @max_pending_binds: limit of asynchronous operations of one VM that are not done yet. */
	__u32 max_pending_binds;

	/** @max_file_jobs: limit of jobs of all queues of one file that have not ended. */
	__u32 max_file_jobs;
};

/**
 * struct drm_apu_bo_create - Create a buffer object. It is zeroed.
 *
 * ENOSPC when the file's BOs together have more than &drm_apu_query_device.max_bo_bytes.
 */
struct drm_apu_bo_create {
	/** @size: Input: bytes, not 0; output: the size rounded up to whole pages. */
	__u64 size;

	/** @flags: Input: must be 0. */
	__u32 flags;

	/** @handle: Output: GEM handle; closed with DRM_IOCTL_GEM_CLOSE. */
	__u32 handle;

	/** @mmap_offset: Output: offset to mmap() the accel node at, MAP_SHARED. */
	__u64 mmap_offset;
};

/** DRM_APU_BO_LABEL_SIZE - Most bytes of a label, with the 0 at its end. */
#define DRM_APU_BO_LABEL_SIZE		256

/**
 * struct drm_apu_bo_set_label - Say what a buffer object is for, to people who look for faults.
 *
 * The label is the object's, not the handle's. It is shown with mappings of the object, in debugfs
 * and in core dumps.
 */
struct drm_apu_bo_set_label {
	/** @handle: Input: names the buffer object. */
	__u32 handle;

	/** @pad: Input: must be 0. */
	__u32 pad;

	/**
	 * @label: Input: address of a string that ends with a 0, or 0 to take the label away.
	 * E2BIG if it has more than DRM_APU_BO_LABEL_SIZE bytes.
	 */
	__u64 label;
};

/**
 * struct drm_apu_vm_create - Create an address space, private to this file.
 */
struct drm_apu_vm_create {
	/** @flags: Input: must be 0. */
	__u32 flags;

	/** @vm_id: Output: names the VM, never 0. */
	__u32 vm_id;

	/** @va_start: Output: first device address that can be bound in this VM. */
	__u64 va_start;

	/** @va_end: Output: first device address past those that can be bound. */
	__u64 va_end;
};

/**
 * struct drm_apu_vm_destroy - Destroy a VM. EBUSY while a queue of this file uses it.
 *
 * Asynchronous operations that are not done yet end with ECANCELED.
 */
struct drm_apu_vm_destroy {
	/** @vm_id: Input: names the VM. */
	__u32 vm_id;

	/** @pad: Input: must be 0. */
	__u32 pad;
};

/**
 * enum drm_apu_vm_bind_op_type - What one operation of VM_BIND does.
 */
enum drm_apu_vm_bind_op_type {
	/**
	 * @DRM_APU_VM_BIND_OP_MAP: map a BO; what the range held before is unmapped. ENOSPC with
	 * &drm_apu_query_device.max_mappings.
	 */
	DRM_APU_VM_BIND_OP_MAP = 0,
	/**
	 * @DRM_APU_VM_BIND_OP_UNMAP: unmap all in the range; nothing there is no error. ENOSPC for
	 * a hole in a mapping, which makes two of one, with &drm_apu_query_device.max_mappings.
	 */
	DRM_APU_VM_BIND_OP_UNMAP = 1,
};

/** DRM_APU_VM_BIND_READONLY - the device may only read through the mapping. */
#define DRM_APU_VM_BIND_READONLY	(1 << 0)

/** DRM_APU_VM_BIND_NOREPLACE - fail with EEXIST, changing nothing, if the range isn't empty. */
#define DRM_APU_VM_BIND_NOREPLACE	(1 << 1)

/**
 * struct drm_apu_vm_bind_op - One operation of VM_BIND.
 */
struct drm_apu_vm_bind_op {
	/** @type: Input: one of &enum drm_apu_vm_bind_op_type. */
	__u32 type;

	/** @flags: Input: DRM_APU_VM_BIND_READONLY, _NOREPLACE, or both; 0 for an unmap. */
	__u32 flags;

	/** @bo_handle: Input: BO to map; 0 for an unmap. */
	__u32 bo_handle;

	/** @pad: Input: must be 0. */
	__u32 pad;

	/** @bo_offset: Input: first byte within the BO, page aligned; 0 for an unmap. */
	__u64 bo_offset;

	/** @va: Input: device address, page aligned. */
	__u64 va;

	/** @size: Input: bytes, page aligned, not 0. */
	__u64 size;
};

/**
 * DRM_APU_VM_BIND_ASYNC - wait for fences, and signal some when the operations are done.
 *
 * EOPNOTSUPP without DRM_APU_DEVICE_BIND_ASYNC.
 */
#define DRM_APU_VM_BIND_ASYNC		(1 << 0)

/**
 * struct drm_apu_vm_bind - Change the mappings of a VM.
 *
 * Without DRM_APU_VM_BIND_ASYNC that is at once and before the call returns; asynchronous
 * operations that still wait are not waited for. Operations are done in order. When one fails,
 * those before it stay done and @failed_op names it.
 *
 * With DRM_APU_VM_BIND_ASYNC either all operations are queued or none, and @failed_op names the one
 * that couldn't be. They are done in order, when all waits have signalled and what was queued for
 * this VM before is done. Then the signals are signalled: the device sees what was mapped and no
 * longer reaches what was unmapped. Waits are for the end of something, not for its success. An
 * operation that fails then makes the VM unusable until it is destroyed: those after it are not
 * done, the signals have its error, and DRM_IOCTL_APU_VM_GET_STATE tells it. Of what can be wrong
 * only EEXIST and ENOSPC depend on what is mapped, all else is refused by the call.
 *
 * ECANCELED when the VM is unusable; EAGAIN with &drm_apu_query_device.max_pending_binds.
 */
struct drm_apu_vm_bind {
	/** @vm_id: Input: names the VM. */
	__u32 vm_id;

	/** @flags: Input: DRM_APU_VM_BIND_ASYNC or 0; with 0 no waits, no signals. */
	__u32 flags;

	/** @op_count: Input: number of operations, not 0. */
	__u32 op_count;

	/** @op_stride: Input: bytes from one to the next, at least those of the first version. */
	__u32 op_stride;

	/** @ops: Input: address of &struct drm_apu_vm_bind_op. */
	__u64 ops;

	/** @failed_op: Output: index of the operation that failed, else @op_count. */
	__u32 failed_op;

	/** @pad: Input: must be 0. */
	__u32 pad;

	/** @waits: Input: address of &struct drm_apu_sync, each of which has a fence already. */
	__u64 waits;

	/** @signals: Input: address of &struct drm_apu_sync. */
	__u64 signals;

	/** @wait_count: Input: number at @waits. */
	__u32 wait_count;

	/** @signal_count: Input: number at @signals. */
	__u32 signal_count;

	/** @sync_stride: Input: bytes from one &struct drm_apu_sync to the next. */
	__u32 sync_stride;

	/** @pad2: Input: must be 0. */
	__u32 pad2;
};

/**
 * enum drm_apu_vm_state - How a VM does.
 */
enum drm_apu_vm_state {
	/** @DRM_APU_VM_OK: takes changes, and jobs. */
	DRM_APU_VM_OK = 0,
	/**
	 * @DRM_APU_VM_UNUSABLE: an asynchronous operation failed. Later ones and jobs, also those
	 * that are queued already, get ECANCELED. The VM is to be destroyed.
	 */
	DRM_APU_VM_UNUSABLE = 1,
};

/**
 * struct drm_apu_vm_get_state - Ask how a VM does, and what made it unusable.
 */
struct drm_apu_vm_get_state {
	/** @vm_id: Input: names the VM. */
	__u32 vm_id;

	/** @state: Output: one of &enum drm_apu_vm_state. */
	__u32 state;

	/** @error: Output: errno of the operation that failed, positive; else 0. */
	__u32 error;

	/** @failed_op: Output: index of that operation in its VM_BIND. */
	__u32 failed_op;

	/** @address: Output: first device address of that operation. */
	__u64 address;

	/** @mappings: Output: mappings in the VM; parts of one that was split count each. */
	__u32 mappings;

	/** @pending: Output: asynchronous operations that are not done yet. */
	__u32 pending;
};

/**
 * enum drm_apu_priority - Priorities of queues.
 */
enum drm_apu_priority {
	/** @DRM_APU_PRIORITY_LOW: after all others. */
	DRM_APU_PRIORITY_LOW = 0,
	/** @DRM_APU_PRIORITY_NORMAL: the usual one. */
	DRM_APU_PRIORITY_NORMAL = 1,
	/** @DRM_APU_PRIORITY_HIGH: before the two above; needs CAP_SYS_NICE. */
	DRM_APU_PRIORITY_HIGH = 2,
	/** @DRM_APU_PRIORITY_REALTIME: before all others; needs CAP_SYS_NICE. */
	DRM_APU_PRIORITY_REALTIME = 3,
};

/**
 * struct drm_apu_queue_create - Create a queue of jobs on a VM.
 *
 * Jobs of one queue start and end in order.
 */
struct drm_apu_queue_create {
	/** @vm_id: Input: names the VM. */
	__u32 vm_id;

	/** @priority: Input: one of &enum drm_apu_priority. */
	__u32 priority;

	/** @core_mask: Input: cores that may run its jobs; 0 for all. */
	__u64 core_mask;

	/**
	 * @timeout_ms: Input: longest time a job may run without getting on;
	 * 0 for the default of 5000. A job gets on while the device says so, but
	 * it ends after four times as long, or after
	 * &drm_apu_query_device.max_timeout_ms if that is less.
	 */
	__u32 timeout_ms;

	/** @flags: Input: must be 0. */
	__u32 flags;

	/** @queue_id: Output: names the queue, never 0. */
	__u32 queue_id;

	/**
	 * @max_cores: Input: cores that may work on one job together, at most
	 * &drm_apu_query_device.core_count; 0 for one. A device may use fewer.
	 */
	__u32 max_cores;
};

/**
 * struct drm_apu_queue_destroy - Destroy a queue. Jobs that did not end do so with ECANCELED.
 */
struct drm_apu_queue_destroy {
	/** @queue_id: Input: names the queue. */
	__u32 queue_id;

	/** @pad: Input: must be 0. */
	__u32 pad;
};

/**
 * enum drm_apu_queue_state - How a queue does. All but OK are final: later submits get ECANCELED
 * and the queue is to be destroyed. Jobs that were submitted before end with ECANCELED and don't
 * run.
 */
enum drm_apu_queue_state {
	/** @DRM_APU_QUEUE_OK: takes jobs. */
	DRM_APU_QUEUE_OK = 0,
	/** @DRM_APU_QUEUE_TIMED_OUT: a job of this queue ran longer than its timeout. */
	DRM_APU_QUEUE_TIMED_OUT = 1,
	/** @DRM_APU_QUEUE_FAULTED: a job of this queue reached outside its VM's mappings. */
	DRM_APU_QUEUE_FAULTED = 2,
	/** @DRM_APU_QUEUE_REJECTED: the firmware refused a job or its program. */
	DRM_APU_QUEUE_REJECTED = 3,
	/** @DRM_APU_QUEUE_INNOCENT: another queue's fault led to a reset under its job. */
	DRM_APU_QUEUE_INNOCENT = 4,
	/** @DRM_APU_QUEUE_DEVICE_LOST: the device went away under its job. */
	DRM_APU_QUEUE_DEVICE_LOST = 5,
};

/** DRM_APU_NO_OP - &drm_apu_queue_get_state.op when no operator is to blame. */
#define DRM_APU_NO_OP			0xffffffffu

/**
 * struct drm_apu_queue_get_state - Ask how a queue does, and what stopped it.
 */
struct drm_apu_queue_get_state {
	/** @queue_id: Input: names the queue. */
	__u32 queue_id;

	/** @state: Output: one of &enum drm_apu_queue_state. */
	__u32 state;

	/** @status: Output: the firmware's status code of the job that failed. */
	__u32 status;

	/** @detail: Output: the firmware's detail code. */
	__u32 detail;

	/** @op: Output: index of the program's operator that failed, or DRM_APU_NO_OP. */
	__u32 op;

	/** @pad: Input: must be 0. */
	__u32 pad;

	/** @address: Output: device address of a fault, else 0. */
	__u64 address;

	/** @jobs_done: Output: jobs of this queue that ended well. */
	__u64 jobs_done;

	/** @start_ns: Output: when the last job that ended began, by the device's clock. */
	__u64 start_ns;

	/** @end_ns: Output: when it ended, by the same clock. */
	__u64 end_ns;

	/** @device_ns: Output: time of the device that all jobs of this queue took together. */
	__u64 device_ns;

	/**
	 * @cycles: Output: cycles that the last job that ended took, by a counter of the device
	 * whose rate is the device's own, or 0 if it has none.
	 */
	__u64 cycles;
};

/** DRM_APU_SYNC_TIMELINE - &drm_apu_sync.point counts; else the syncobj is binary. */
#define DRM_APU_SYNC_TIMELINE		(1 << 0)

/**
 * struct drm_apu_sync - A syncobj to wait for or to signal.
 */
struct drm_apu_sync {
	/** @handle: Input: names the syncobj. */
	__u32 handle;

	/** @flags: Input: DRM_APU_SYNC_TIMELINE or 0. */
	__u32 flags;

	/** @point: Input: timeline point, not 0; must be 0 for a binary syncobj. */
	__u64 point;
};

/**
 * struct drm_apu_segment - A range of device addresses that a program sees as one segment.
 */
struct drm_apu_segment {
	/** @va: Input: first device address. */
	__u64 va;

	/** @size: Input: bytes. */
	__u64 size;
};

/**
 * struct drm_apu_run - What to run: the driver's own part of a job.
 */
struct drm_apu_run {
	/** @program_va: Input: device address of the program's code. */
	__u64 program_va;

	/** @program_size: Input: bytes of it, not 0. */
	__u64 program_size;

	/** @segments: Input: address of &struct drm_apu_segment. */
	__u64 segments;

	/** @segment_count: Input: number of segments. */
	__u32 segment_count;

	/** @segment_stride: Input: bytes from one to the next. */
	__u32 segment_stride;
};

/**
 * struct drm_apu_job - One job of a SUBMIT: what to wait for, what to run, what to signal.
 */
struct drm_apu_job {
	/** @waits: Input: address of &struct drm_apu_sync, each of which has a fence already. */
	__u64 waits;

	/** @signals: Input: address of &struct drm_apu_sync, signalled when the job ends. */
	__u64 signals;

	/** @wait_count: Input: number at @waits. */
	__u32 wait_count;

	/** @signal_count: Input: number at @signals. */
	__u32 signal_count;

	/** @sync_stride: Input: bytes from one &struct drm_apu_sync to the next. */
	__u32 sync_stride;

	/** @flags: Input: must be 0. */
	__u32 flags;

	/** @run: Input: what to run. */
	struct drm_apu_run run;
};

/**
 * struct drm_apu_submit - Queue jobs. Either all are queued or none.
 *
 * ECANCELED when the queue has been stopped, see &enum drm_apu_queue_state; EAGAIN when
 * &drm_apu_query_device.max_queued_jobs of the queue have not ended yet, or
 * &drm_apu_query_device.max_file_jobs of the file.
 *
 * Where the VM maps buffers of other drivers, jobs also wait for those who use them, and those for
 * the jobs, by the reservations of the buffers. All else is for &drm_apu_job.waits to say.
 */
struct drm_apu_submit {
	/** @queue_id: Input: names the queue. */
	__u32 queue_id;

	/** @flags: Input: must be 0. */
	__u32 flags;

	/** @job_count: Input: number of jobs, not 0. */
	__u32 job_count;

	/** @job_stride: Input: bytes from one to the next. */
	__u32 job_stride;

	/** @jobs: Input: address of &struct drm_apu_job. */
	__u64 jobs;
};

/*
 * Ioctl requests, each with the structure of its name. An enumeration and not macros, so that tools
 * which read headers see the values.
 */
enum {
	DRM_IOCTL_APU_QUERY =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_QUERY, struct drm_apu_query),
	DRM_IOCTL_APU_BO_CREATE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_BO_CREATE, struct drm_apu_bo_create),
	DRM_IOCTL_APU_VM_CREATE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_VM_CREATE, struct drm_apu_vm_create),
	DRM_IOCTL_APU_VM_DESTROY =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_VM_DESTROY, struct drm_apu_vm_destroy),
	DRM_IOCTL_APU_VM_BIND =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_VM_BIND, struct drm_apu_vm_bind),
	DRM_IOCTL_APU_QUEUE_CREATE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_QUEUE_CREATE, struct drm_apu_queue_create),
	DRM_IOCTL_APU_QUEUE_DESTROY =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_QUEUE_DESTROY, struct drm_apu_queue_destroy),
	DRM_IOCTL_APU_QUEUE_GET_STATE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_QUEUE_GET_STATE,
			 struct drm_apu_queue_get_state),
	DRM_IOCTL_APU_SUBMIT =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_SUBMIT, struct drm_apu_submit),
	DRM_IOCTL_APU_VM_GET_STATE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_VM_GET_STATE, struct drm_apu_vm_get_state),
	DRM_IOCTL_APU_BO_SET_LABEL =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_APU_BO_SET_LABEL, struct drm_apu_bo_set_label),
};

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_APU_ACCEL_H_ */
