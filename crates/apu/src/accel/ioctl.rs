//! One door to the kernel.

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

use crate::{Error, Result};

/// A structure that an ioctl takes.
///
/// # Safety
/// `OPCODE` must be the number of an ioctl that takes a pointer to a `Self` and reads and writes
/// nothing but it and what the addresses in it name.
pub(super) unsafe trait Argument {
    const OPCODE: Opcode;
    /// The uAPI's name of it, for errors.
    const CALL: &'static str;
}

/// Makes a call, again as long as a signal interrupts it. (libdrm also repeats after EAGAIN; here
/// that is SUBMIT's answer to a full queue, and spinning would not empty it.)
///
/// # Safety
/// The addresses in `argument` must be valid for what the call reads and writes there.
pub(super) unsafe fn call<A: Argument>(fd: &OwnedFd, argument: &mut A) -> Result<(), Errno> {
    loop {
        // SAFETY: `Argument` vouches for the number, the caller for the addresses.
        match unsafe { ioctl(fd, Call(&mut *argument)) } {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// The typed error of a call that failed.
pub(super) fn refused<A: Argument>(errno: Errno) -> Error {
    match errno {
        Errno::NODEV => Error::DeviceLost,
        Errno::AGAIN => Error::QueueFull,
        _ => Error::Call {
            call: A::CALL,
            source: io::Error::from(errno),
        },
    }
}

struct Call<'a, A>(&'a mut A);

// SAFETY: `Argument` promises that the number fits the structure, which is borrowed during the call.
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
