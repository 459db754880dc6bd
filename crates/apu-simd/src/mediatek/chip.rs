//! The emulated chip's node: its record, its interrupt, and memory behind its IOMMU.

use crate::{Control, Error};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::path::Path;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// Bytes of an event: kind, number, value, padding.
const EVENT: usize = 16;
/// The kind of a register that was written.
const WRITE: u32 = 2;
/// Device addresses have 32 bits.
const ADDRESSES: usize = 1 << 32;

/// A register that the driver has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Offset in the control block.
    pub register: u32,
    /// What was written.
    pub value: u32,
}

/// An open node; this process is the core.
#[derive(Debug)]
pub struct Chip(OwnedFd);

impl Chip {
    /// Opens the node.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Denied`] or [`Error::Control`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let node = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => Error::Missing { path: path.into() },
            Errno::ACCESS | Errno::PERM => Error::Denied { path: path.into() },
            errno => failed("the chip's node can't be opened", errno),
        })?;
        Ok(Self(node))
    }

    /// Everything that has been written to registers so far. From now on [`next`](Self::next) waits.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn past(&self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        loop {
            match self.read() {
                Ok(event) => events.extend(event),
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(failed("the chip's record can't be read", errno)),
            }
        }
        rustix::fs::fcntl_setfl(&self.0, OFlags::RDWR)
            .map_err(|errno| failed("the chip's node can't be waited for", errno))?;
        Ok(events)
    }

    /// Waits for the next register to be written.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn next(&self) -> Result<Event, Error> {
        loop {
            match self.read() {
                Ok(Some(event)) => return Ok(event),
                Ok(None) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("the chip's record can't be read", errno)),
            }
        }
    }

    /// An event, if it is of a register that was written.
    fn read(&self) -> Result<Option<Event>, Errno> {
        let mut bytes = [0; EVENT];
        if rustix::io::read(&self.0, &mut bytes)? != EVENT {
            return Err(Errno::IO);
        }
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        Ok((word(0) == WRITE).then(|| Event {
            register: word(4),
            value: word(8),
        }))
    }

    /// Raises interrupts to the driver.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn interrupt(&self, bits: u32) -> Result<(), Error> {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.0, &bits.to_le_bytes()));
        written
            .map(drop)
            .map_err(|errno| failed("no interrupt can be raised", errno))
    }

    /// All memory by device address. Whoever reads where the IOMMU has nothing is killed.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn memory(&self) -> Result<GuestMemoryMmap, Error> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let at = std::ptr::null_mut();
        // SAFETY: new memory at an address of the system's choice, which nobody refers to.
        let base = unsafe { mmap(at, ADDRESSES, access, MapFlags::SHARED, &self.0, 0) }
            .map_err(|errno| failed("memory can't be mapped", errno))?;
        let (access, flags) = (access.bits() as i32, MapFlags::SHARED.bits() as i32);
        // SAFETY: this is the mapping that was just made, and nobody unmaps it.
        let region = unsafe { MmapRegion::build_raw(base.cast(), ADDRESSES, access, flags) };
        let region = region
            .ok()
            .and_then(|it| GuestRegionMmap::new(it, GuestAddress(0)));
        let memory = region.and_then(|it| GuestMemoryMmap::from_regions(vec![it]).ok());
        memory.ok_or_else(|| failed("memory can't be mapped", Errno::INVAL))
    }

    /// The node as what pages of buffers are mapped from, by device address.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn pages(&self) -> Result<Control, Error> {
        let copy =
            || rustix::io::dup(&self.0).map_err(|errno| failed("the node can't be shared", errno));
        Ok(Control::from_parts(copy()?, copy()?))
    }
}

fn failed(what: &'static str, errno: Errno) -> Error {
    Error::Control { what, errno }
}
