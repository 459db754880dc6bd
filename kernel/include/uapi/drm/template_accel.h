/* SPDX-License-Identifier: MIT */
/*
 * Interface of the template accelerator, which adds vectors of 32-bit integers.
 *
 * Memory is a BO of the DRM core; waiting for a job is the core's
 * DRM_IOCTL_SYNCOBJ_WAIT.
 */
#ifndef _UAPI_TEMPLATE_ACCEL_H_
#define _UAPI_TEMPLATE_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* Numbers of the ioctls, from DRM_COMMAND_BASE on. */
#define DRM_TEMPLATE_BO			0x00
#define DRM_TEMPLATE_QUEUE		0x01
#define DRM_TEMPLATE_BIND		0x02
#define DRM_TEMPLATE_SUBMIT		0x03

/**
 * struct drm_template_bo - Create a buffer object. It is zeroed.
 */
struct drm_template_bo {
	/** @size: Input: bytes, not 0; output: the size rounded up to whole pages. */
	__u64 size;

	/** @mmap_offset: Output: offset to mmap() the accel node at, MAP_SHARED. */
	__u64 mmap_offset;

	/** @handle: Output: GEM handle; closed with DRM_IOCTL_GEM_CLOSE. */
	__u32 handle;

	/** @pad: Input: must be 0. */
	__u32 pad;
};

/**
 * struct drm_template_queue - Create an address space, and a queue of jobs on it.
 */
struct drm_template_queue {
	/** @timeout_ms: Input: longest time a job may run, 1 to 10000. */
	__u32 timeout_ms;

	/** @vm_id: Output: names the address space. */
	__u32 vm_id;

	/** @queue_id: Output: names the queue. */
	__u32 queue_id;

	/** @pad: Input: must be 0. */
	__u32 pad;
};

/**
 * struct drm_template_bind - Map a buffer object, or unmap what is there.
 */
struct drm_template_bind {
	/** @vm_id: Input: names the address space. */
	__u32 vm_id;

	/** @bo_handle: Input: BO to map; 0 to unmap. */
	__u32 bo_handle;

	/** @bo_offset: Input: first byte within the BO, page aligned. */
	__u64 bo_offset;

	/** @va: Input: device address, page aligned. */
	__u64 va;

	/** @size: Input: bytes, page aligned, not 0. */
	__u64 size;
};

/**
 * struct drm_template_submit - Queue a job: sum[i] = left[i] + right[i].
 *
 * A job that fails is an error of the fence in @signal: EFAULT if it reached outside of its address
 * space, ETIMEDOUT if it ran too long.
 */
struct drm_template_submit {
	/** @queue_id: Input: names the queue. */
	__u32 queue_id;

	/** @count: Input: elements to add. */
	__u32 count;

	/** @left: Input: device address, as are @right and @sum. */
	__u32 left;

	/** @right: Input: see @left. */
	__u32 right;

	/** @sum: Input: see @left. */
	__u32 sum;

	/** @delay_us: Input: how long the device waits before it begins. */
	__u32 delay_us;

	/** @wait: Input: binary syncobj to wait for, which has a fence; or 0. */
	__u32 wait;

	/** @signal: Input: binary syncobj to signal when the job has ended. */
	__u32 signal;
};

enum {
	DRM_IOCTL_TEMPLATE_BO =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_TEMPLATE_BO, struct drm_template_bo),
	DRM_IOCTL_TEMPLATE_QUEUE =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_TEMPLATE_QUEUE, struct drm_template_queue),
	DRM_IOCTL_TEMPLATE_BIND =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_TEMPLATE_BIND, struct drm_template_bind),
	DRM_IOCTL_TEMPLATE_SUBMIT =
		DRM_IOWR(DRM_COMMAND_BASE + DRM_TEMPLATE_SUBMIT, struct drm_template_submit),
};

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_TEMPLATE_ACCEL_H_ */
