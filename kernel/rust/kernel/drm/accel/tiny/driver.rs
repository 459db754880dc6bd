// SPDX-License-Identifier: GPL-2.0

//! What a leaf driver implements.

use super::{
    Bo,
    BoRange,
    Device,
    File,
    JobId,
    Priority, //
};
use crate::{
    device::Bound,
    drm,
    fmt,
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};
use core::ops::Range;

/// What the device may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The device may only read.
    Read,
    /// The device may read and write.
    ReadWrite,
}

/// Limits of one device; a request beyond one fails with [`ENOSPC`] or [`EINVAL`].
pub struct Limits {
    /// Bytes of a buffer object.
    pub bo_size: u64,
    /// Bytes of all buffer objects that one file made, as long as they live.
    pub bo_bytes: u64,
    /// VMs of one file.
    pub vms: usize,
    /// Queues of one file.
    pub queues: usize,
    /// Mappings of one VM; parts of one that was split count each.
    pub mappings: usize,
    /// Jobs of one queue that have not been freed yet.
    pub queued_jobs: usize,
    /// Jobs that a core may have at once. Of more than one the device runs the most urgent one
    /// next, and it gets as many urgent ones on top.
    pub core_jobs: u32,
}

impl Limits {
    /// Jobs of all queues of one file that have not been freed yet: as many as four full ones have.
    pub const fn file_jobs(&self) -> usize {
        4 * self.queued_jobs
    }
}

/// Where and as what a job runs.
pub struct Placement<D: Driver> {
    /// Names the job in [`Device::complete`].
    pub job: JobId,
    /// The VM that it runs on.
    pub vm: D::VmId,
    /// The core, below [`Online::cores`](super::Online::cores).
    pub core: u32,
    /// Cores that may work on it together, that one among them, if the device can do so.
    pub max_cores: u32,
    /// Names its queue: no living one has the same number. A device that has several jobs at once
    /// does best to run none behind one of its queue that failed.
    pub queue: u32,
    /// How urgent it is among those that the core has.
    pub priority: Priority,
}

/// What to map where. It is all of a mapping, unless that was split before the VM is told to a
/// device which has come back.
pub struct Part<'a, D: Driver> {
    /// The device addresses.
    pub va: Range<u64>,
    /// What is mapped there.
    pub mapping: &'a D::Mapping,
    /// Bytes of it that lie before the part.
    pub offset: u64,
}

/// A leaf driver. The implementor is the state of one device and lives in its [`Device`].
///
/// Methods on memory run in process context and may sleep. [`map`](Self::map),
/// [`unmap`](Self::unmap) and [`flush`](Self::flush) are in the fence signalling path if the driver
/// offers [`File::vm_bind_async`], and must not allocate then: what they need is in the
/// [`Room`](Self::Room). [`run_job`](Self::run_job), [`cancel_job`](Self::cancel_job) and
/// [`reset`](Self::reset) always are: what they need belongs into [`Job`](Self::Job) when that is
/// made.
///
/// [`ENODEV`] from a method says that the device is lost. For memory that is no failure: the
/// framework keeps every mapping and tells a device that comes back about all of them.
pub trait Driver:
    drm::Driver<Data = Device<Self>, File = File<Self>, Object = Bo<Self>>
    + Send
    + Sync
    + Sized
    + 'static
{
    /// The device's side of an address space, e.g. its page tables.
    type Vm: Send;
    /// By which the device knows the address space of a job, e.g. a number, or where the page
    /// tables begin.
    type VmId: Copy + Send + Unpin;
    /// What makes a range of a buffer object reachable, e.g. its DMA addresses. It is dropped after
    /// [`flush`](Self::flush) when no part of it is mapped any more.
    type Mapping: Send + Sync;
    /// What changes of mappings take, e.g. memory of page tables; empty by default.
    type Room: Default + Send + Sync;
    /// A job's payload with all the memory that running and cancelling it takes.
    type Job: Send;

    /// Limits of this driver.
    const LIMITS: Limits;

    /// Creates an empty address space; no other living one has the number `id`.
    fn vm_create(&self, parent: &Self::ParentDevice<Bound>, id: u32) -> Result<Self::Vm>;

    /// How a job names its address space.
    fn vm_id(vm: &Self::Vm) -> Self::VmId;

    /// Destroys an address space with all that is mapped in it; no job runs on it any more. When
    /// this returns the device must not reach any of it; [`ETIMEDOUT`] makes the framework cut the
    /// device off.
    fn vm_destroy(&self, _vm: &mut Self::Vm) -> Result {
        Ok(())
    }

    /// Prepares a range of a buffer object for being mapped.
    fn share(
        &self,
        parent: &Self::ParentDevice<Bound>,
        range: BoRange<Self>,
    ) -> Result<Self::Mapping>;

    /// Adds to `room` what a change will take: an unmap of any addresses, then a map of those in
    /// `map`, if it is some, and a flush.
    fn reserve(&self, _room: &mut Self::Room, _map: Option<&Range<u64>>) -> Result {
        Ok(())
    }

    /// Maps all or a part of a mapping, where nothing is mapped. [`ETIMEDOUT`] makes the framework
    /// cut the device off, here and from [`unmap`](Self::unmap).
    fn map(&self, vm: &mut Self::Vm, part: Part<'_, Self>, room: &mut Self::Room) -> Result;

    /// Unmaps all in `va`: mappings, parts of mappings whose rest stays mapped, and holes.
    fn unmap(&self, vm: &mut Self::Vm, va: Range<u64>, room: &mut Self::Room) -> Result;

    /// Waits, boundedly, until the device no longer reaches what was unmapped. [`EINTR`] when the
    /// caller was killed; [`ETIMEDOUT`] makes the framework cut the device off.
    fn flush(&self, vm: &mut Self::Vm, room: &mut Self::Room) -> Result;

    /// Starts a job. Its end is told by [`Device::complete`]. The device needn't know of it before
    /// [`kick`](Self::kick).
    fn run_job(&self, job: &mut Self::Job, placement: Placement<Self>) -> Result;

    /// Called after one or several jobs were started.
    fn kick(&self) {}

    /// Whether the device has said nothing for too long, though it has had a job since `since`. It
    /// is lost then.
    fn is_silent(&self, _since: Instant<Monotonic>) -> bool {
        false
    }

    /// Asks for the early end of a job that was started; it still ends by [`Device::complete`].
    fn cancel_job(&self, job: &mut Self::Job, id: JobId);

    /// Lets a device sleep that has no jobs, until [`resume`](Self::resume). It must answer all
    /// else meanwhile. [`ETIMEDOUT`] makes the framework cut it off; with any other failure but
    /// [`ENODEV`] it stays awake for now.
    fn suspend(&self) -> Result {
        Ok(())
    }

    /// Wakes a device up that sleeps. Also called for one that doesn't, as it has come back
    /// meanwhile.
    fn resume(&self) {}

    /// Cuts the device off: from now on it must reach no memory, and what it says is ignored.
    fn reset(&self);

    /// Adds to a core dump, or to what debugfs shows, what this driver knows of the past. It may
    /// sleep.
    fn dump(&self, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }
}
