//! An open accel node.

use std::ffi::c_void;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::uapi::{Argument, Query, QueryDevice, SyncobjCreate, SyncobjWait};
use crate::device;
use crate::skip::Skip;

/// A file on the accel node under test.
pub struct Node(OwnedFd);

impl Node {
    /// Opens the node under test once more.
    ///
    /// # Errors
    /// [`Skip`] when the device under test is not a node.
    pub fn open() -> Result<Self, Skip> {
        let name = device::name();
        if !name.starts_with('/') {
            return Err(Skip(format!("{} names no accel node", device::VARIABLE)));
        }
        Ok(Self::at(name.as_ref()))
    }

    /// Opens a node once more.
    pub fn at(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path);
        Self(
            file.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
                .into(),
        )
    }

    /// The descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Makes a call. Addresses in arguments are only read by the kernel, which checks them; the one
    /// exception has a function of its own, [`Node::query`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn call<A: Argument>(&self, argument: &mut A) -> Result<(), Errno> {
        // SAFETY: the number carries the argument's size; what is read beyond it, the kernel copies
        // with checks, and what a job writes lies in buffer objects.
        unsafe { ioctl(&self.0, Call(argument)) }
    }

    /// QUERY, answered into `data`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn query(&self, kind: u32, data: &mut [u8]) -> Result<u32, Errno> {
        let size = u32::try_from(data.len()).expect("answers are small");
        let data = data.as_mut_ptr().expose_provenance() as u64;
        let mut query = Query { kind, size, data };
        self.call(&mut query)?;
        Ok(query.size)
    }

    /// What the device is, and the limits of its interface.
    pub fn device(&self) -> QueryDevice {
        let mut device = QueryDevice::default();
        let mut query = Query {
            size: size_of::<QueryDevice>() as u32,
            data: std::ptr::from_mut(&mut device).expose_provenance() as u64,
            ..Query::default()
        };
        self.call(&mut query).expect("QUERY of the device");
        device
    }

    /// Maps `size` bytes at `offset` of the node, and unmaps them again.
    ///
    /// # Errors
    /// What the kernel says to the first.
    pub fn map(&self, offset: u64, size: u64, flags: MapFlags) -> Result<(), Errno> {
        let size = usize::try_from(size).expect("a size in memory");
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe { mmap(null_mut(), size, protection, flags, &self.0, offset) }?;
        // SAFETY: the mapping is from the line above, and nobody has seen it.
        unsafe { munmap(at, size) }
    }

    /// Maps `count` words at `offset` of the node.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn words(&self, offset: u64, count: usize) -> Result<Words, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let size = count * size_of::<AtomicI32>();
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe {
            mmap(
                null_mut(),
                size,
                protection,
                MapFlags::SHARED,
                &self.0,
                offset,
            )
        }?;
        Ok(Words { at, count })
    }

    /// A new binary syncobj.
    pub fn syncobj(&self) -> u32 {
        let mut create = SyncobjCreate::default();
        self.call(&mut create).expect("a syncobj");
        create.handle
    }

    /// Waits for a binary syncobj; `ETIME` after `timeout`.
    ///
    /// # Errors
    /// What the kernel says; `EINVAL` for a syncobj that has no fence.
    pub fn wait(&self, syncobj: u32, timeout: Duration) -> Result<(), Errno> {
        // Not rustix's clock, which panics in User Mode Linux for want of a vDSO `getcpu`.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has that clock");
        let until = Duration::from(now) + timeout;
        self.call(&mut SyncobjWait {
            handles: std::ptr::from_ref(&syncobj).expose_provenance() as u64,
            timeout_nsec: i64::try_from(until.as_nanos()).expect("within 292 years"),
            count_handles: 1,
            ..SyncobjWait::default()
        })
    }
}

/// Memory that a device may change at any time.
pub struct Words {
    at: *mut c_void,
    count: usize,
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

struct Call<'a, A>(&'a mut A);

// SAFETY: the number carries the size of the structure, which is borrowed during the call.
unsafe impl<A: Argument> Ioctl for Call<'_, A> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        A::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}
