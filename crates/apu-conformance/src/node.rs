//! An open accel node.

use std::ffi::c_void;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use rustix::fs::OFlags;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::uapi::{
    Argument, GemClose, PrimeFdToHandle, PrimeHandleToFd, Query, QueryDevice, SyncFileInfo,
    SyncobjCreate, SyncobjDestroy, SyncobjToFd, SyncobjWait, TimelineWait,
};
use crate::unproven::{Kept, Unproven};

/// A file on an accel node: a client of its own.
pub struct Node {
    file: OwnedFd,
    path: PathBuf,
}

impl Node {
    /// Opens the node at `path` once more.
    ///
    /// # Errors
    /// [`Unproven::Broken`] with the errno.
    pub fn open(path: &Path) -> Kept<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|error| {
            Unproven::broken(format!("cannot open {}: {error}", path.display()))
        })?;
        Ok(Self {
            file: file.into(),
            path: path.into(),
        })
    }

    /// Another client of the same device.
    ///
    /// # Errors
    /// [`Unproven::Broken`] with the errno.
    pub fn another(&self) -> Kept<Self> {
        Self::open(&self.path)
    }

    /// Where the node is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.file
    }

    /// Makes a call. Addresses in arguments are only read by the kernel, which checks them; the one
    /// exception has a function of its own, [`Node::query`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn call<A: Argument>(&self, argument: &mut A) -> Result<(), Errno> {
        // SAFETY: the number carries the argument's size; what is read beyond it, the kernel copies
        // with checks, and what a job writes lies in buffer objects.
        unsafe { ioctl(&self.file, Call(argument)) }
            .map_err(errno)
            .map(drop)
    }

    /// Makes a call that returns a file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn make_file<A: Argument>(&self, argument: &mut A) -> Result<OwnedFd, Errno> {
        // SAFETY: as in `call`.
        let fd = unsafe { ioctl(&self.file, Call(argument)) }.map_err(errno)?;
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// A buffer object as a dma-buf.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn export(&self, handle: u32) -> Result<OwnedFd, Errno> {
        let mut export = PrimeHandleToFd {
            handle,
            flags: OFlags::CLOEXEC.bits() | OFlags::RDWR.bits(),
            fd: -1,
        };
        self.call(&mut export)?;
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(export.fd) })
    }

    /// A dma-buf as a buffer object; the one that it is already, if it is one of this file's.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn import(&self, dma_buf: &OwnedFd) -> Result<u32, Errno> {
        let mut import = PrimeFdToHandle {
            fd: dma_buf.as_raw_fd(),
            ..PrimeFdToHandle::default()
        };
        self.call(&mut import)?;
        Ok(import.handle)
    }

    /// What became of the fence in a binary syncobj: 0 it is there, 1 it has signalled, negative with
    /// that error.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn fence_status(&self, syncobj: u32) -> Result<i32, Errno> {
        status_of(&self.sync_file(syncobj)?)
    }

    /// The fence in a binary syncobj, which outlives the device as a file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn sync_file(&self, syncobj: u32) -> Result<OwnedFd, Errno> {
        const EXPORT_SYNC_FILE: u32 = 1;
        let mut export = SyncobjToFd {
            handle: syncobj,
            flags: EXPORT_SYNC_FILE,
            fd: -1,
            pad: 0,
        };
        self.call(&mut export)?;
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(export.fd) })
    }

    /// QUERY, answered into `data`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn query(&self, kind: u32, data: &mut [u8]) -> Result<u32, Errno> {
        let size = u32::try_from(data.len()).map_err(|_| Errno::E2BIG)?;
        let data = data.as_mut_ptr().expose_provenance() as u64;
        let mut query = Query { kind, size, data };
        self.call(&mut query)?;
        Ok(query.size)
    }

    /// What the device is, and the limits of its interface.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn device(&self) -> Result<QueryDevice, Errno> {
        let mut device = QueryDevice::default();
        let mut query = Query {
            size: size_of::<QueryDevice>() as u32,
            data: std::ptr::from_mut(&mut device).expose_provenance() as u64,
            ..Query::default()
        };
        self.call(&mut query)?;
        Ok(device)
    }

    /// Maps `size` bytes at `offset` of the node, and unmaps them again.
    ///
    /// # Errors
    /// What the kernel says to the first.
    pub fn map(&self, offset: u64, size: u64, flags: MapFlags) -> Result<(), Errno> {
        let size = usize::try_from(size).map_err(|_| Errno::ENOMEM)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe { mmap(null_mut(), size, protection, flags, &self.file, offset) }
            .map_err(errno)?;
        // SAFETY: the mapping is from the line above, and nobody has seen it.
        unsafe { munmap(at, size) }.map_err(errno)
    }

    /// Maps `count` words at `offset` of the node.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn words(&self, offset: u64, count: usize) -> Result<Words, Errno> {
        Words::of(&self.file, offset, count)
    }

    /// Gives up a buffer object's handle.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn close(&self, handle: u32) -> Result<(), Errno> {
        self.call(&mut GemClose { handle, pad: 0 })
    }

    /// A new syncobj; signalled if `flags` is 1.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn syncobj(&self, flags: u32) -> Result<u32, Errno> {
        let mut create = SyncobjCreate {
            flags,
            ..SyncobjCreate::default()
        };
        self.call(&mut create)?;
        Ok(create.handle)
    }

    /// Gives up a syncobj.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn forget(&self, syncobj: u32) -> Result<(), Errno> {
        self.call(&mut SyncobjDestroy {
            handle: syncobj,
            pad: 0,
        })
    }

    /// Waits for a binary syncobj; `ETIME` after `timeout`.
    ///
    /// # Errors
    /// What the kernel says; `EINVAL` for a syncobj that has no fence.
    pub fn wait(&self, syncobj: u32, timeout: Duration) -> Result<(), Errno> {
        self.wait_until(syncobj, Deadline::after(timeout)?)
    }

    /// Waits for a binary syncobj; `ETIME` after the deadline.
    ///
    /// # Errors
    /// What the kernel says; `EINVAL` for a syncobj that has no fence.
    pub fn wait_until(&self, syncobj: u32, deadline: Deadline) -> Result<(), Errno> {
        self.call(&mut SyncobjWait {
            handles: std::ptr::from_ref(&syncobj).expose_provenance() as u64,
            timeout_nsec: deadline.0,
            count_handles: 1,
            ..SyncobjWait::default()
        })
    }

    /// Waits for a point of a timeline, likewise.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait_point(&self, syncobj: u32, point: u64, timeout: Duration) -> Result<(), Errno> {
        self.call(&mut TimelineWait {
            handles: std::ptr::from_ref(&syncobj).expose_provenance() as u64,
            points: std::ptr::from_ref(&point).expose_provenance() as u64,
            timeout_nsec: Deadline::after(timeout)?.0,
            count_handles: 1,
            ..TimelineWait::default()
        })
    }
}

/// What became of the fence in a [`sync_file`](Node::sync_file), as [`Node::fence_status`] says it.
///
/// # Errors
/// What the kernel says.
pub fn status_of(sync_file: &OwnedFd) -> Result<i32, Errno> {
    let mut info = SyncFileInfo::default();
    // SAFETY: the number carries the argument's size, and it has room for no fences.
    unsafe { ioctl(sync_file.as_fd(), Call(&mut info)) }.map_err(errno)?;
    Ok(info.status)
}

/// When to wait no longer: a time of CLOCK_MONOTONIC. Where finding out the time is a system call, one
/// deadline for many waits saves those.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(i64);

impl Deadline {
    /// The one that is `timeout` from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn after(timeout: Duration) -> Result<Self, Errno> {
        // Not rustix's clock, which panics in User Mode Linux for want of a vDSO `getcpu`.
        let until = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?) + timeout;
        Ok(Self(i64::try_from(until.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// Memory that a device may change at any time.
pub struct Words {
    at: *mut c_void,
    count: usize,
}

impl Words {
    /// Maps `count` words at `offset` of a node or of a dma-buf.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of(file: &OwnedFd, offset: u64, count: usize) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let size = count * size_of::<AtomicI32>();
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe { mmap(null_mut(), size, protection, MapFlags::SHARED, file, offset) }
            .map_err(errno)?;
        Ok(Self { at, count })
    }
}

impl Deref for Words {
    type Target = [AtomicI32];

    fn deref(&self) -> &[AtomicI32] {
        // SAFETY: The mapping is as long as `self` lives, aligned to pages, and of `count` words,
        // which may have any value.
        unsafe { std::slice::from_raw_parts(self.at.cast(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and who borrowed from it has gone.
        let _ = unsafe { munmap(self.at, self.count * size_of::<AtomicI32>()) };
    }
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

struct Call<'a, A>(&'a mut A);

// SAFETY: the number carries the size of the structure, which is borrowed during the call.
unsafe impl<A: Argument> Ioctl for Call<'_, A> {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        A::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<IoctlOutput> {
        Ok(output)
    }
}
