/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What drivers on the tiny framework do with jobs and address spaces.
 *
 * A job has a number that no other one of the device has; so has a VM as long as it lives.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM accel_tiny

#if !defined(_TRACE_ACCEL_TINY_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_ACCEL_TINY_H

#include <linux/device.h>
#include <linux/tracepoint.h>

/* A client queues a job. */
TRACE_EVENT(accel_tiny_submit,
	    TP_PROTO(const struct device *dev, u64 client, u64 job, u32 vm),
	    TP_ARGS(dev, client, job, vm),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u64, client)
			     __field(u64, job)
			     __field(u32, vm)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->client = client;
			   __entry->job = job;
			   __entry->vm = vm;),
	    TP_printk("dev=%s client=%llu job=%llu vm=%u",
		      __get_str(dev), __entry->client, __entry->job, __entry->vm)
);

/* The device gets a job. */
TRACE_EVENT(accel_tiny_run,
	    TP_PROTO(const struct device *dev, u64 job, u32 core),
	    TP_ARGS(dev, job, core),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u64, job)
			     __field(u32, core)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job;
			   __entry->core = core;),
	    TP_printk("dev=%s job=%llu core=%u",
		      __get_str(dev), __entry->job, __entry->core)
);

/* The fence of a job that the device got is signalled. */
TRACE_EVENT(accel_tiny_done,
	    TP_PROTO(const struct device *dev, u64 job, int error),
	    TP_ARGS(dev, job, error),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u64, job)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job;
			   __entry->error = error;),
	    TP_printk("dev=%s job=%llu error=%d",
		      __get_str(dev), __entry->job, __entry->error)
);

/* The device says why a job failed; what the codes mean is up to the driver. */
TRACE_EVENT(accel_tiny_fault,
	    TP_PROTO(const struct device *dev, u64 job, u32 status, u32 detail, u32 op,
		     u64 address),
	    TP_ARGS(dev, job, status, detail, op, address),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u64, job)
			     __field(u32, status)
			     __field(u32, detail)
			     __field(u32, op)
			     __field(u64, address)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->job = job;
			   __entry->status = status;
			   __entry->detail = detail;
			   __entry->op = op;
			   __entry->address = address;),
	    TP_printk("dev=%s job=%llu status=%u detail=%u op=%u address=0x%llx",
		      __get_str(dev), __entry->job, __entry->status, __entry->detail, __entry->op,
		      __entry->address)
);

/* A range of a VM was mapped or unmapped, or could not be. */
TRACE_EVENT(accel_tiny_bind,
	    TP_PROTO(const struct device *dev, u32 vm, u64 va, u64 size, bool map, int error),
	    TP_ARGS(dev, vm, va, size, map, error),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u32, vm)
			     __field(u64, va)
			     __field(u64, size)
			     __field(bool, map)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->vm = vm;
			   __entry->va = va;
			   __entry->size = size;
			   __entry->map = map;
			   __entry->error = error;),
	    TP_printk("dev=%s vm=%u %s va=0x%llx size=0x%llx error=%d",
		      __get_str(dev), __entry->vm, __entry->map ? "map" : "unmap", __entry->va,
		      __entry->size, __entry->error)
);

#endif /* _TRACE_ACCEL_TINY_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
