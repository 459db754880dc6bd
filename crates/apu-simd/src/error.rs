//! What can go wrong with the simulated APU itself.

use rustix::io::Errno;
use std::path::PathBuf;

/// Why the simulated APU can't start or go on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is no control node.
    #[error("there is no control node at {}", path.display())]
    #[diagnostic(help(
        "it belongs to the driver's simulated device: build a kernel with the APU driver and its sim transport, \
         or let `cargo xtask uml run` boot one; another path is given with --control"
    ))]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process is the hardware already.
    #[error("{} is in use by {holder}", path.display())]
    #[diagnostic(help("one process at a time can be the hardware: end that one first"))]
    Busy {
        /// The control node.
        path: PathBuf,
        /// Who has it open.
        holder: String,
    },
    /// Only root can be hardware.
    #[error("{} may not be opened", path.display())]
    #[diagnostic(help("run apu-simd as root: the control node reaches the memory of all clients"))]
    Denied {
        /// The control node.
        path: PathBuf,
    },
    /// Any other failure of the control node.
    #[error("{what}: {errno}")]
    Control {
        /// What was being done.
        what: &'static str,
        /// The system's error.
        errno: Errno,
    },
    /// The driver is gone.
    #[error("the driver is gone")]
    Gone,
    /// The socket for the host's kernel or virtual machine can't be used.
    #[error("{} can't be served: {reason}", path.display())]
    #[diagnostic(help(
        "the folder of the socket must exist and be writable, and the socket not be in use"
    ))]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The reason that vhost-user gives.
        reason: String,
    },
    /// A queue of the virtio device is not as it must be.
    #[error("the virtio queue {queue}: {reason}")]
    Queue {
        /// "input" or "output", as the driver sees it.
        queue: &'static str,
        /// What is wrong with it.
        reason: virtio_queue::Error,
    },
    /// A message that doesn't fit the buffer that the driver has for it.
    #[error("a message of {length} bytes, and {room} bytes of room for it")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// Bytes of the buffer after its header.
        room: usize,
    },
    /// What lies at a core's boot address is no firmware that it can run.
    #[error("the image at {address:#x}: {reason}")]
    Image {
        /// The boot address.
        address: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message was written in part.
    #[error("the control node took {taken} of a message's {length} bytes")]
    Torn {
        /// Bytes taken.
        taken: usize,
        /// Bytes of the message.
        length: usize,
    },
    /// A thread for a core can't be started.
    #[error("thread {number} can't be started: {reason}")]
    Thread {
        /// Which of them.
        number: u32,
        /// The system's error.
        reason: std::io::Error,
    },
}
