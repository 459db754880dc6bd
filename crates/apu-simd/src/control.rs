//! The control node: the wire between this process and the kernel driver.
//!
//! `read` returns whole messages, `write` takes some, and `mmap` at the token of a MAP shows the
//! pages of that MAP.

use crate::Error;
use crate::wire::Wire;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// An open control node.
#[derive(Debug)]
pub struct Control {
    messages: OwnedFd,
    pages: OwnedFd,
}

impl Control {
    /// Opens the node; from now on this process is the hardware.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Busy`], [`Error::Denied`] or [`Error::Control`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let messages = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            let path = path.to_owned();
            match errno {
                Errno::NOENT | Errno::NODEV | Errno::NXIO => Error::Missing { path },
                Errno::BUSY => Error::Busy {
                    holder: holder(&path).unwrap_or_else(|| "another process".into()),
                    path,
                },
                Errno::ACCESS | Errno::PERM => Error::Denied { path },
                errno => Error::Control {
                    what: "the control node can't be opened",
                    errno,
                },
            }
        })?;
        let pages = rustix::io::dup(&messages).map_err(|errno| Error::Control {
            what: "the control node can't be shared",
            errno,
        })?;
        Ok(Self { messages, pages })
    }

    /// A control node made of two parts: `messages` keeps the bounds of messages, `pages` can be
    /// mapped. For tests without a kernel driver.
    pub fn from_parts(messages: OwnedFd, pages: OwnedFd) -> Self {
        Self { messages, pages }
    }

    /// What the pages of a MAP are mapped from.
    pub fn pages(&self) -> BorrowedFd<'_> {
        self.pages.as_fd()
    }
}

/// Bytes that the kernel takes at once.
const PACKET: usize = 4096;

impl Wire for Control {
    fn packet(&self) -> usize {
        PACKET
    }

    /// # Errors
    /// [`Error::Control`].
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        loop {
            match rustix::io::read(&self.messages, &mut *buffer) {
                Ok(0) | Err(Errno::NODEV | Errno::CONNRESET) => return Ok(None),
                Ok(length) => return Ok(buffer.get(..length)),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Error::Control {
                        what: "no message can be read",
                        errno,
                    });
                }
            }
        }
    }

    /// # Errors
    /// [`Error::Control`] with `EPROTO` if the kernel finds it malformed; [`Error::Torn`];
    /// [`Error::Gone`].
    fn send(&self, message: &[u8]) -> Result<(), Error> {
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.messages, message)) {
            Ok(taken) if taken == message.len() => Ok(()),
            Ok(taken) => Err(Error::Torn {
                taken,
                length: message.len(),
            }),
            Err(Errno::NODEV | Errno::PIPE | Errno::CONNRESET) => Err(Error::Gone),
            Err(errno) => Err(Error::Control {
                what: "the kernel refuses a message",
                errno,
            }),
        }
    }
}

/// The first other process that has `path` open, for people.
fn holder(path: &Path) -> Option<String> {
    let has_it = |process: &Path| {
        std::fs::read_dir(process.join("fd")).is_ok_and(|fds| {
            fds.flatten()
                .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|it| it == path))
        })
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let process = processes.map(|it| it.path()).find(|it| has_it(it))?;
    let name = std::fs::read_to_string(process.join("comm")).ok()?;
    let pid = process.file_name()?.to_string_lossy().into_owned();
    Some(format!("{} (process {pid})", name.trim_end()))
}
