//! Backend: an accel node of the kernel driver.

mod ioctl;
mod uapi;

use std::ffi::CStr;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::backend::{Backend, Bo, Later, Point, QueueId, QueueReport, Submitted};
use crate::program::text;
use crate::{Access, DeviceInfo, DeviceState, Error, Job, Priority, QueueOptions, Result, Segment};
use ioctl::{Argument, refused};

/// Name and major version of the driver that we know.
const DRIVER: (&str, i32) = ("apu", 1);

#[derive(Debug)]
pub(crate) struct Accel {
    node: OwnedFd,
    driver: String,
}

impl Accel {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Open {
            path: path.into(),
            source,
        };
        let node: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?
            .into();
        let (name, version) = version(&node).map_err(|errno| match errno {
            Errno::NOTTY => not_an_apu(path, "not a DRM device".into()),
            errno => failed(errno.into()),
        })?;
        if (name.as_str(), version.major) != DRIVER {
            return Err(not_an_apu(path, format!("driver {name} {}", version.major)));
        }
        Ok(Self {
            node,
            driver: format!("{name} {}.{}", version.major, version.minor),
        })
    }

    /// The cores that are to work on one job together.
    fn max_cores(&self, threads: usize) -> Result<u32> {
        if threads <= 1 {
            return Ok(0);
        }
        let limit = self.query()?.core_count;
        u32::try_from(threads)
            .ok()
            .filter(|threads| *threads <= limit)
            .ok_or(Error::TooManyThreads {
                got: threads,
                limit,
            })
    }

    /// Makes a call whose argument has no addresses in it.
    fn call<A: Argument>(&self, mut argument: A) -> Result<A> {
        // SAFETY: the callers of this function pass structures without addresses.
        unsafe { ioctl::call(&self.node, &mut argument) }.map_err(refused::<A>)?;
        Ok(argument)
    }

    /// Undoes something; a failure is a fault of ours or the kernel's that nobody could mend.
    fn undo<A: Argument>(&self, argument: A) {
        if let Err(error) = self.call(argument) {
            tracing::warn!(call = A::CALL, %error, "clean-up failed");
        }
    }

    fn bind(&self, vm_id: u32, op: uapi::VmBindOp, later: Option<Later<'_>>) -> Result<()> {
        let mut bind = uapi::VmBind {
            vm_id,
            op_count: 1,
            op_stride: size_of_u32::<uapi::VmBindOp>(),
            ops: address(&op),
            ..Default::default()
        };
        let waits = later.map_or(&[][..], |later| later.waits);
        let waits: Vec<_> = waits.iter().map(sync).collect();
        let signal = later.map(|later| sync(&later.signal));
        if let Some(signal) = &signal {
            bind.flags = uapi::BIND_ASYNC;
            bind.waits = waits.as_ptr().expose_provenance() as u64;
            bind.wait_count = count(waits.len())?;
            (bind.signals, bind.signal_count) = (address(signal), 1);
            bind.sync_stride = size_of_u32::<uapi::Sync>();
        }
        // SAFETY: every address names as many records as its count says, alive during the call and
        // only read.
        unsafe { ioctl::call(&self.node, &mut bind) }.map_err(refused::<uapi::VmBind>)
    }

    fn map_into_process(&self, offset: u64, size: usize) -> Result<NonNull<u8>> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice disturbs nothing.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                size,
                protection,
                MapFlags::SHARED,
                &self.node,
                offset,
            )
        }
        .map_err(|errno| Error::Call {
            call: "mmap",
            source: errno.into(),
        })?;
        NonNull::new(address.cast()).ok_or(Error::Call {
            call: "mmap",
            source: Errno::FAULT.into(),
        })
    }
}

impl Backend for Accel {
    fn query(&self) -> Result<DeviceInfo> {
        let mut device = uapi::QueryDevice::default();
        let mut query = uapi::Query {
            kind: uapi::QUERY_DEVICE,
            size: size_of_u32::<uapi::QueryDevice>(),
            data: std::ptr::from_mut(&mut device).expose_provenance() as u64,
        };
        // SAFETY: `data` names `size` writable bytes, alive during the call.
        unsafe { ioctl::call(&self.node, &mut query) }.map_err(refused::<uapi::Query>)?;
        Ok(DeviceInfo {
            driver: self.driver.clone(),
            state: if device.state == uapi::DEVICE_ONLINE {
                DeviceState::Online
            } else {
                DeviceState::Lost
            },
            protocol_version: device.protocol_version,
            core_count: device.core_count,
            page_size: device.page_size,
            addresses: device.va_start..device.va_end.max(device.va_start),
            features: device.features,
            target: text(&device.target).into(),
            isa: None,
            max_segments: device.max_segments,
        })
    }

    fn bo_create(&self, size: usize) -> Result<Bo> {
        let created = self.call(uapi::BoCreate {
            size: size as u64,
            ..Default::default()
        })?;
        let close = || {
            self.undo(uapi::GemClose {
                handle: created.handle,
                pad: 0,
            })
        };
        let Ok(size) = usize::try_from(created.size) else {
            close();
            return Err(Error::Call {
                call: uapi::BoCreate::CALL,
                source: Errno::OVERFLOW.into(),
            });
        };
        let address = self
            .map_into_process(created.mmap_offset, size)
            .inspect_err(|_| close())?;
        Ok(Bo {
            handle: created.handle,
            address,
            size,
        })
    }

    fn bo_set_label(&self, bo: &Bo, label: &CStr) -> Result<()> {
        let mut label = uapi::BoSetLabel {
            handle: bo.handle,
            pad: 0,
            label: label.as_ptr().expose_provenance() as u64,
        };
        // SAFETY: `label` names a string with its 0, alive during the call and only read.
        unsafe { ioctl::call(&self.node, &mut label) }.map_err(refused::<uapi::BoSetLabel>)
    }

    fn bo_export(&self, bo: &Bo) -> Result<OwnedFd> {
        let flags = (OFlags::CLOEXEC | OFlags::RDWR).bits();
        let exported = self.call(uapi::PrimeHandle {
            handle: bo.handle,
            flags,
            fd: -1,
        })?;
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(exported.fd) })
    }

    fn bo_close(&self, bo: &Bo) {
        // SAFETY: `bo` came from `bo_create`, and its owner, who calls this once, holds no borrow.
        if let Err(error) = unsafe { munmap(bo.address.as_ptr().cast(), bo.size) } {
            tracing::warn!(%error, "munmap of a buffer failed");
        }
        self.undo(uapi::GemClose {
            handle: bo.handle,
            pad: 0,
        });
    }

    fn vm_create(&self) -> Result<(u32, Range<u64>)> {
        let vm = self.call(uapi::VmCreate::default())?;
        Ok((vm.vm_id, vm.va_start..vm.va_end.max(vm.va_start)))
    }

    fn vm_destroy(&self, vm: u32) {
        self.undo(uapi::VmDestroy { vm_id: vm, pad: 0 });
    }

    fn vm_map(
        &self,
        vm: u32,
        bo: &Bo,
        range: Segment,
        access: Access,
        later: Option<Later<'_>>,
    ) -> Result<()> {
        let flags = if access == Access::ReadOnly {
            uapi::BIND_READONLY
        } else {
            0
        };
        let op = uapi::VmBindOp {
            kind: uapi::BIND_MAP,
            flags,
            bo_handle: bo.handle,
            va: range.va,
            size: range.size,
            ..Default::default()
        };
        self.bind(vm, op, later)
    }

    fn vm_unmap(&self, vm: u32, range: Segment, later: Option<Later<'_>>) -> Result<()> {
        let op = uapi::VmBindOp {
            kind: uapi::BIND_UNMAP,
            va: range.va,
            size: range.size,
            ..Default::default()
        };
        self.bind(vm, op, later)
    }

    fn vm_check(&self, vm: u32) -> Result<()> {
        let state = self.call(uapi::VmGetState {
            vm_id: vm,
            ..Default::default()
        })?;
        match i32::try_from(state.error) {
            Ok(0) => Ok(()),
            errno => Err(Error::Call {
                call: uapi::VmBind::CALL,
                source: std::io::Error::from_raw_os_error(errno.unwrap_or(i32::MAX)),
            }),
        }
    }

    fn timeline_create(&self) -> Result<u32> {
        Ok(self.call(uapi::SyncobjCreate::default())?.handle)
    }

    fn timeline_destroy(&self, timeline: u32) {
        self.undo(uapi::SyncobjDestroy {
            handle: timeline,
            pad: 0,
        });
    }

    fn queue_create(&self, vm: u32, options: &QueueOptions) -> Result<QueueId> {
        let max_cores = self.max_cores(options.threads)?;
        let timeline = self.timeline_create()?;
        let create = uapi::QueueCreate {
            vm_id: vm,
            priority: match options.priority {
                Priority::Low => 0,
                Priority::Normal => 1,
                Priority::High => 2,
                Priority::Realtime => 3,
            },
            core_mask: options.core_mask,
            timeout_ms: u32::try_from(options.timeout.as_millis())
                .unwrap_or(u32::MAX)
                .max(1),
            max_cores,
            ..Default::default()
        };
        let created = self
            .call(create)
            .inspect_err(|_| self.timeline_destroy(timeline))?;
        Ok(QueueId {
            queue: created.queue_id,
            timeline,
        })
    }

    fn queue_destroy(&self, queue: QueueId) {
        self.undo(uapi::QueueDestroy {
            queue_id: queue.queue,
            pad: 0,
        });
        self.timeline_destroy(queue.timeline);
    }

    fn queue_report(&self, queue: QueueId) -> Result<QueueReport> {
        let state = self.call(uapi::QueueGetState {
            queue_id: queue.queue,
            ..Default::default()
        })?;
        Ok(QueueReport {
            state: state.state,
            status: state.status,
            detail: state.detail,
            op: state.op,
            address: state.address,
            jobs_done: state.jobs_done,
            device_ns: state.device_ns,
        })
    }

    unsafe fn submit(
        &self,
        queue: QueueId,
        point: u64,
        job: &Job,
        waits: &[Point],
    ) -> Result<Submitted> {
        let waits: Vec<_> = waits.iter().map(sync).collect();
        let signal = sync(&Point {
            timeline: queue.timeline,
            value: point,
        });
        let jobs = uapi::Job {
            waits: waits.as_ptr().expose_provenance() as u64,
            signals: address(&signal),
            wait_count: count(waits.len())?,
            signal_count: 1,
            sync_stride: size_of_u32::<uapi::Sync>(),
            flags: 0,
            run: uapi::Run {
                program_va: job.program.va,
                program_size: job.program.size,
                segments: job.segments.as_ptr().expose_provenance() as u64,
                segment_count: count(job.segments.len())?,
                segment_stride: size_of_u32::<Segment>(),
            },
        };
        let mut submit = uapi::Submit {
            queue_id: queue.queue,
            flags: 0,
            job_count: 1,
            job_stride: size_of_u32::<uapi::Job>(),
            jobs: address(&jobs),
        };
        // SAFETY: every address names as many records as its count says, alive during the call and
        // only read. What the job does to the buffers is in our caller's contract.
        unsafe { ioctl::call(&self.node, &mut submit) }.map_err(refused::<uapi::Submit>)?;
        Ok(Submitted::Queued)
    }

    fn wait(&self, point: Point, timeout: Duration) -> Result<bool> {
        let mut wait = uapi::TimelineWait {
            handles: address(&point.timeline),
            points: address(&point.value),
            timeout_nsec: deadline(timeout),
            count_handles: 1,
            ..Default::default()
        };
        // SAFETY: `handles` and `points` name one number each, alive during the call and only read.
        match unsafe { ioctl::call(&self.node, &mut wait) } {
            Ok(()) => Ok(true),
            Err(Errno::TIME) => Ok(false),
            Err(errno) => Err(refused::<uapi::TimelineWait>(errno)),
        }
    }
}

/// Name and version of the driver behind a node.
fn version(node: &OwnedFd) -> Result<(String, uapi::Version), Errno> {
    let mut name = [0_u8; 32];
    let mut version = uapi::Version {
        name_len: name.len(),
        name: name.as_mut_ptr().expose_provenance(),
        ..Default::default()
    };
    // SAFETY: `name` names `name_len` writable bytes, alive during the call; the other texts have
    // length 0.
    unsafe { ioctl::call(node, &mut version) }?;
    Ok((text(&name).to_owned(), version))
}

fn not_an_apu(path: &Path, found: String) -> Error {
    Error::NotAnApu {
        path: path.into(),
        found,
    }
}

/// A point for the kernel to wait for or to signal.
fn sync(point: &Point) -> uapi::Sync {
    uapi::Sync {
        handle: point.timeline,
        flags: uapi::SYNC_TIMELINE,
        point: point.value,
    }
}

/// The address of something for the kernel to read.
fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

/// Structures of the uAPI have well below 4 GiB.
const fn size_of_u32<T>() -> u32 {
    size_of::<T>() as u32
}

fn count(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::Call {
        call: uapi::Submit::CALL,
        source: Errno::TOOBIG.into(),
    })
}

/// `timeout` from now on CLOCK_MONOTONIC, in nanoseconds. Not rustix's clock: with some of its
/// features that wants a `getcpu` in the vDSO and panics in User Mode Linux, which has none.
fn deadline(timeout: Duration) -> i64 {
    // The clock is there on every Linux; without it all waits would time out at once.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    i64::try_from(now.saturating_add(timeout).as_nanos()).unwrap_or(i64::MAX)
}
