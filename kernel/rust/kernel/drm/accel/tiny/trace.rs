// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: what happens to jobs and to address spaces.
//!
//! The functions are part of the kernel, not of the modules that the framework is compiled into, so
//! that no tracepoint has to be exported.
//!
//! C header: [`include/trace/events/accel_tiny.h`](srctree/include/trace/events/accel_tiny.h)

use super::{
    JobId,
    Report, //
};
use crate::{
    bindings,
    device::Device,
    ffi::c_int,
    prelude::*,
    tracepoint::declare_trace, //
};
use core::ops::Range;

declare_trace! {
    /// # Safety
    ///
    /// `dev` must be valid, here and below.
    unsafe fn accel_tiny_submit(dev: *const bindings::device, client: u64, job: u64, vm: u32);
    /// # Safety
    ///
    /// As above.
    unsafe fn accel_tiny_run(dev: *const bindings::device, job: u64, core: u32);
    /// # Safety
    ///
    /// As above.
    unsafe fn accel_tiny_done(dev: *const bindings::device, job: u64, error: c_int);
    /// # Safety
    ///
    /// As above.
    unsafe fn accel_tiny_fault(
        dev: *const bindings::device,
        job: u64,
        status: u32,
        detail: u32,
        op: u32,
        address: u64,
    );
    /// # Safety
    ///
    /// As above.
    unsafe fn accel_tiny_bind(
        dev: *const bindings::device,
        vm: u32,
        va: u64,
        size: u64,
        map: bool,
        error: c_int,
    );
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

#[inline(never)]
pub(super) fn submit(dev: &Device, client: u64, job: JobId, vm: u32) {
    // SAFETY: The device is valid.
    unsafe { accel_tiny_submit(dev.as_raw(), client, job, vm) }
}

#[inline(never)]
pub(super) fn run(dev: &Device, job: JobId, core: u32) {
    // SAFETY: The device is valid.
    unsafe { accel_tiny_run(dev.as_raw(), job, core) }
}

#[inline(never)]
pub(super) fn done(dev: &Device, job: JobId, result: Result) {
    // SAFETY: The device is valid.
    unsafe { accel_tiny_done(dev.as_raw(), job, errno(result)) }
}

#[inline(never)]
pub(super) fn fault(dev: &Device, job: JobId, report: &Report) {
    let Report {
        status,
        detail,
        op,
        address,
    } = *report;
    // SAFETY: The device is valid.
    unsafe { accel_tiny_fault(dev.as_raw(), job, status, detail, op, address) }
}

#[inline(never)]
pub(super) fn bind(dev: &Device, vm: u32, va: &Range<u64>, map: bool, result: Result) {
    let size = va.end - va.start;
    // SAFETY: The device is valid.
    unsafe { accel_tiny_bind(dev.as_raw(), vm, va.start, size, map, errno(result)) }
}
