//! What a device does for us: the verbs of the uAPI, once, for every kind of device.
//!
//! Names are small numbers given by the backend and valid until the matching destroy; the owning
//! types ([`Buffer`](crate::Buffer), [`Vm`](crate::Vm), [`Queue`](crate::Queue)) call that once, on
//! drop. A destroy can't fail in a way that its caller could mend, so it returns nothing.

use std::ffi::CStr;
use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::time::Duration;

use crate::{Access, DeviceInfo, Job, QueueOptions, Result, Segment};

/// A buffer object as the backend knows it, mapped into this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bo {
    pub handle: u32,
    /// First byte, page aligned; `size` bytes are readable and writable until `bo_close`.
    pub address: NonNull<u8>,
    pub size: usize,
}

/// A queue and the timeline on which its jobs signal points 1, 2, 3 ...
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueId {
    pub queue: u32,
    pub timeline: u32,
}

/// One moment of a queue's timeline: the end of the job that was submitted with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub timeline: u32,
    pub value: u64,
}

/// How far a job is when its submission returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It has ended well.
    Ended,
    /// It may have begun, and may have failed.
    Queued,
}

/// When a change of a VM is done that isn't done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later<'a> {
    /// Before: the ends of all these.
    pub waits: &'a [Point],
    /// After that is signalled.
    pub signal: Point,
}

/// How a queue does; the numbers are those of `drm_apu_queue_get_state` and of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueReport {
    pub state: u32,
    pub status: u32,
    pub detail: u32,
    pub op: u32,
    pub address: u64,
    pub jobs_done: u64,
    /// Time of the device that all jobs took together, in nanoseconds; 0 if it doesn't tell.
    pub device_ns: u64,
}

/// Values of [`QueueReport::state`] (`enum drm_apu_queue_state`).
pub(crate) mod queue_state {
    pub(crate) const OK: u32 = 0;
    pub(crate) const TIMED_OUT: u32 = 1;
    pub(crate) const FAULTED: u32 = 2;
    pub(crate) const REJECTED: u32 = 3;
    pub(crate) const INNOCENT: u32 = 4;
    pub(crate) const DEVICE_LOST: u32 = 5;
}

pub(crate) trait Backend: fmt::Debug + Send + Sync {
    fn query(&self) -> Result<DeviceInfo>;

    fn bo_create(&self, size: usize) -> Result<Bo>;
    fn bo_set_label(&self, bo: &Bo, label: &CStr) -> Result<()>;
    fn bo_export(&self, bo: &Bo) -> Result<OwnedFd>;
    fn bo_close(&self, bo: &Bo);

    /// A VM's number and the device addresses that are its own.
    fn vm_create(&self) -> Result<(u32, Range<u64>)>;
    fn vm_destroy(&self, vm: u32);
    /// Maps all of `bo` at `range`, which is page aligned and free.
    fn vm_map(
        &self,
        vm: u32,
        bo: &Bo,
        range: Segment,
        access: Access,
        later: Option<Later<'_>>,
    ) -> Result<()>;
    fn vm_unmap(&self, vm: u32, range: Segment, later: Option<Later<'_>>) -> Result<()>;
    /// Fails with what made the VM unusable.
    fn vm_check(&self, vm: u32) -> Result<()>;

    fn timeline_create(&self) -> Result<u32>;
    fn timeline_destroy(&self, timeline: u32);

    fn queue_create(&self, vm: u32, options: &QueueOptions) -> Result<QueueId>;
    fn queue_destroy(&self, queue: QueueId);
    fn queue_report(&self, queue: QueueId) -> Result<QueueReport>;

    /// Queues `job` to begin after `waits` and to signal `point` of the queue's timeline at its end.
    ///
    /// # Safety
    /// As [`Queue::submit`](crate::Queue::submit).
    unsafe fn submit(
        &self,
        queue: QueueId,
        point: u64,
        job: &Job,
        waits: &[Point],
    ) -> Result<Submitted>;

    /// Waits until `point` is signalled; false when that took longer than `timeout`.
    fn wait(&self, point: Point, timeout: Duration) -> Result<bool>;
}
