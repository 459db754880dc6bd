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
    /// A message was written in part.
    #[error("the control node took {taken} of a message's {length} bytes")]
    Torn {
        /// Bytes taken.
        taken: usize,
        /// Bytes of the message.
        length: usize,
    },
    /// A thread for a core can't be started.
    #[error("core {core} can't be started: {reason}")]
    Thread {
        /// Index of the core.
        core: u32,
        /// The system's error.
        reason: std::io::Error,
    },
}
