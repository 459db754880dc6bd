//! Backend: the firmware in this process, run by the threads that submit.
//!
//! It keeps the tables that a kernel would keep (buffers, VMs, queues) and no more: a job has ended
//! when its submit returns, so a fence is signalled from its beginning and a wait costs nothing.

mod allocation;
mod queue;
mod reached;
mod space;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CStr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apu_kernels::Isa;
use apu_proto::message::{MAX_SEGMENTS, VERSION_MAX};
use apu_workers::Pool;
use rustix::io::Errno;

use crate::backend::{Backend, Bo, Later, Point, QueueId, QueueReport, Submitted};
use crate::program::text;
use crate::{Access, Device, DeviceInfo, DeviceState, Error, Job, QueueOptions, Result, Segment};
use allocation::{Allocation, PAGE};
use queue::Queue;
use space::Space;

/// Device addresses of a VM: none below 64 KiB, so that a small number is never one by accident.
const ADDRESSES: std::ops::Range<u64> = 1 << 16..1 << 40;

#[derive(Debug)]
pub(crate) struct InProcess {
    isa: Isa,
    buffers: Table<Allocation>,
    vms: Table<Space>,
    queues: Table<Queue>,
}

impl InProcess {
    pub(crate) fn new() -> Self {
        Self {
            isa: Isa::detect(),
            buffers: Table::default(),
            vms: Table::default(),
            queues: Table::default(),
        }
    }
}

impl Backend for InProcess {
    fn query(&self) -> Result<DeviceInfo> {
        Ok(DeviceInfo {
            driver: format!("{} {}", Device::IN_PROCESS, env!("CARGO_PKG_VERSION")),
            state: DeviceState::Online,
            protocol_version: VERSION_MAX,
            core_count: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            page_size: PAGE as u32,
            addresses: ADDRESSES,
            features: apu_firmware::FEATURES,
            target: text(&apu_firmware::TARGET.0).into(),
            isa: Some(self.isa.name().into()),
            max_segments: MAX_SEGMENTS as u32,
        })
    }

    fn bo_create(&self, size: usize) -> Result<Bo> {
        let allocation = Allocation::new(size).map_err(|errno| refused("BO_CREATE", errno))?;
        let (address, size) = (allocation.address(), allocation.size());
        Ok(Bo {
            handle: self.buffers.insert(allocation),
            address,
            size,
        })
    }

    fn bo_set_label(&self, _: &Bo, _: &CStr) -> Result<()> {
        Ok(())
    }

    fn bo_export(&self, _: &Bo) -> Result<OwnedFd> {
        Err(refused("PRIME_HANDLE_TO_FD", Errno::OPNOTSUPP))
    }

    fn bo_close(&self, bo: &Bo) {
        self.buffers.remove(bo.handle);
    }

    fn vm_create(&self) -> Result<(u32, Range<u64>)> {
        Ok((self.vms.insert(Space::default()), ADDRESSES))
    }

    fn vm_destroy(&self, vm: u32) {
        self.vms.remove(vm);
    }

    /// What it could wait for has ended.
    fn vm_map(
        &self,
        vm: u32,
        bo: &Bo,
        range: Segment,
        access: Access,
        _: Option<Later<'_>>,
    ) -> Result<()> {
        let memory = self.buffers.get("VM_BIND", bo.handle)?;
        self.vms.get("VM_BIND", vm)?.map(range, memory, access);
        Ok(())
    }

    fn vm_unmap(&self, vm: u32, range: Segment, _: Option<Later<'_>>) -> Result<()> {
        self.vms.get("VM_BIND", vm)?.unmap(range);
        Ok(())
    }

    fn vm_check(&self, _: u32) -> Result<()> {
        Ok(())
    }

    /// Nobody waits for points, see [`Backend::wait`].
    fn timeline_create(&self) -> Result<u32> {
        Ok(0)
    }

    fn timeline_destroy(&self, _: u32) {}

    fn queue_create(&self, vm: u32, options: &QueueOptions) -> Result<QueueId> {
        let space = self.vms.get("QUEUE_CREATE", vm)?;
        let workers = Pool::new(options.threads).map_err(|source| Error::Call {
            call: "QUEUE_CREATE",
            source,
        })?;
        let queue = Queue::new(space, options.timeout, workers);
        let queue = self.queues.insert(queue);
        Ok(QueueId {
            queue,
            timeline: queue,
        })
    }

    fn queue_destroy(&self, queue: QueueId) {
        self.queues.remove(queue.queue);
    }

    fn queue_report(&self, queue: QueueId) -> Result<QueueReport> {
        Ok(self.queues.get("QUEUE_GET_STATE", queue.queue)?.report())
    }

    unsafe fn submit(&self, queue: QueueId, _: u64, job: &Job, _: &[Point]) -> Result<Submitted> {
        let queue = self.queues.get("SUBMIT", queue.queue)?;
        // SAFETY: the caller keeps others off the job's memory until the fence is signalled, and so
        // at least until this returns.
        unsafe { queue.run(self.isa, job) }.map_err(|errno| refused("SUBMIT", errno))
    }

    fn wait(&self, _: Point, _: Duration) -> Result<bool> {
        Ok(true)
    }
}

fn refused(call: &'static str, errno: Errno) -> Error {
    Error::Call {
        call,
        source: errno.into(),
    }
}

/// Things with handles. A thing that is in use lives on after its removal.
#[derive(Debug)]
struct Table<T> {
    entries: Mutex<Entries<T>>,
}

#[derive(Debug)]
struct Entries<T> {
    last: u32,
    by_handle: BTreeMap<u32, Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::new(Entries {
                last: 0,
                by_handle: BTreeMap::new(),
            }),
        }
    }
}

impl<T> Table<T> {
    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles count up from 1 and, after four thousand million of them, skip those in use.
    fn insert(&self, thing: T) -> u32 {
        let mut entries = self.lock();
        loop {
            entries.last = entries.last.wrapping_add(1).max(1);
            let handle = entries.last;
            if let Entry::Vacant(place) = entries.by_handle.entry(handle) {
                place.insert(Arc::new(thing));
                return handle;
            }
        }
    }

    fn get(&self, call: &'static str, handle: u32) -> Result<Arc<T>> {
        self.lock()
            .by_handle
            .get(&handle)
            .cloned()
            .ok_or_else(|| refused(call, Errno::NOENT))
    }

    fn remove(&self, handle: u32) {
        self.lock().by_handle.remove(&handle);
    }
}
