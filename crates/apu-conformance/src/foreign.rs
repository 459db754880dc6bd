//! Buffers of other drivers: udmabuf, which makes them of memory files, and vgem, which can also say
//! that somebody uses them.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::pread;

use crate::node::{Node, Words};
use crate::uapi::{CreateDumb, MapDumb, UdmabufCreate, VgemFenceAttach, VgemFenceSignal};
use crate::unproven::{Kept, Succeeds, Unproven, holds};

/// A memory file, and the buffer that udmabuf made of it.
pub struct Udmabuf {
    memory: OwnedFd,
    /// The buffer.
    pub dma_buf: OwnedFd,
}

impl Udmabuf {
    /// `size` bytes.
    ///
    /// # Errors
    /// [`Unproven::Lacking`] without the driver.
    pub fn new(size: u64) -> Kept<Self> {
        let memory = memfd_create("conformance", MemfdFlags::ALLOW_SEALING).map_err(no_file)?;
        ftruncate(&memory, size).map_err(no_file)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK).map_err(no_file)?;
        let device = "/dev/udmabuf";
        let node = Node::open(device.as_ref()).map_err(|_| {
            Unproven::lacking(format!(
                "the machine has no {device} to make a foreign buffer"
            ))
        })?;
        let mut create = UdmabufCreate {
            memfd: memory.as_raw_fd() as u32,
            size,
            ..UdmabufCreate::default()
        };
        let dma_buf = node.make_file(&mut create).succeeds("UDMABUF_CREATE")?;
        Ok(Self { memory, dma_buf })
    }

    /// The word at byte `offset`.
    ///
    /// # Errors
    /// It can't be read.
    pub fn word(&self, offset: u64) -> Kept<i32> {
        let mut word = [0; 4];
        let read = pread(&self.memory, &mut word, offset).map_err(no_file)?;
        holds(read == word.len(), || format!("{read} bytes of a word"))?;
        Ok(i32::from_ne_bytes(word))
    }
}

fn no_file(errno: rustix::io::Errno) -> Unproven {
    Unproven::lacking(format!("no memory file: {errno}"))
}

/// A client of vgem, a driver of buffers and fences without a device.
pub struct Vgem(Node);

/// What a fence says that somebody does with a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading it.
    Read,
    /// Writing it.
    Write,
}

impl Vgem {
    /// Opens its node.
    ///
    /// # Errors
    /// [`Unproven::Lacking`] without the driver.
    pub fn open() -> Kept<Self> {
        let lacking = || Unproven::lacking("the machine has no vgem to make a foreign buffer");
        let nodes = fs::read_dir("/sys/class/drm").map_err(|_| lacking())?;
        let vgem = nodes.flatten().map(|node| node.path()).find(|node| {
            let parent = fs::read_link(node.join("device"));
            parent.is_ok_and(|parent| parent.ends_with("vgem"))
                && node.to_string_lossy().contains("/card")
        });
        let name = vgem.as_deref().and_then(|path| path.file_name());
        let path = std::path::Path::new("/dev/dri").join(name.ok_or_else(lacking)?);
        Node::open(&path).map(Self)
    }

    /// A buffer of `size` bytes, by handle.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn create(&self, size: u64) -> Kept<u32> {
        let mut create = CreateDumb {
            width: size as u32,
            height: 1,
            bpp: 8,
            ..CreateDumb::default()
        };
        self.0.call(&mut create).succeeds("vgem's CREATE_DUMB")?;
        Ok(create.handle)
    }

    /// A buffer as a dma-buf.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn export(&self, handle: u32) -> Kept<OwnedFd> {
        self.0.export(handle).succeeds("vgem's PRIME_HANDLE_TO_FD")
    }

    /// A dma-buf as a buffer.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn import(&self, dma_buf: &OwnedFd) -> Kept<u32> {
        self.0.import(dma_buf).succeeds("vgem's PRIME_FD_TO_HANDLE")
    }

    /// The first `count` words of a buffer.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn words(&self, handle: u32, count: usize) -> Kept<Words> {
        let mut map = MapDumb {
            handle,
            ..MapDumb::default()
        };
        self.0.call(&mut map).succeeds("vgem's MAP_DUMB")?;
        self.0.words(map.offset, count).succeeds("mmap of vgem")
    }

    /// Has a buffer be used until [`Vgem::end`] is called with what this returns, which must be within
    /// ten seconds.
    ///
    /// # Errors
    /// The driver refuses: somebody else uses the buffer.
    pub fn begin(&self, handle: u32, access: Access) -> Result<u32, Errno> {
        let mut attach = VgemFenceAttach {
            handle,
            flags: u32::from(access == Access::Write),
            ..VgemFenceAttach::default()
        };
        self.0.call(&mut attach)?;
        Ok(attach.out_fence)
    }

    /// Ends a use of a buffer.
    ///
    /// # Errors
    /// It took too long.
    pub fn end(&self, fence: u32) -> Kept {
        let mut signal = VgemFenceSignal { fence, flags: 0 };
        self.0.call(&mut signal).succeeds("vgem's FENCE_SIGNAL")
    }
}

/// Whether somebody still does with a buffer what isn't to go together with `access`.
///
/// # Errors
/// It can't be polled.
pub fn is_busy_for(dma_buf: &OwnedFd, access: Access) -> Kept<bool> {
    let free = match access {
        Access::Read => PollFlags::IN,
        Access::Write => PollFlags::OUT,
    };
    let at_once = Timespec::default();
    let ready = poll(&mut [PollFd::new(dma_buf, free)], Some(&at_once));
    let ready = ready.map_err(|errno| Errno::from_raw(errno.raw_os_error()));
    Ok(ready.succeeds("poll of a dma-buf")? == 0)
}
