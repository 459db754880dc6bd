// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints of the tiny framework, which is in the kernel crate.
 */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/accel_tiny.h>
