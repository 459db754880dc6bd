//! What a delegate has to be able to do.

use core::ffi::CStr;

use crate::{Graph, Partition, Tensors};

/// Whatever went wrong; it reaches the runtime with all its sources.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A partition and the kernel that takes its place.
pub type Placed<K> = (Partition, K);

/// Decides which parts of a graph run elsewhere, and builds what runs them.
pub trait Delegate: Sized + Send + Sync + 'static {
    /// What the runtime's own listings and profiles call its nodes.
    const NAME: &CStr;
    /// Runs one partition.
    type Kernel: Kernel;

    /// Makes one from options as the runtime passes them on.
    ///
    /// # Errors
    /// The options are wrong, or what they ask for isn't there.
    fn new(options: &[(&str, &str)]) -> Result<Self, Error>;

    /// Chooses nodes of a graph, has [`Graph::partition`] group them, and builds a kernel for each
    /// group. The groups returned are all of one call of `partition`.
    ///
    /// # Errors
    /// The graph shall not run at all. To leave it to the runtime is no error: return no groups.
    fn place(&self, graph: &Graph) -> Result<Vec<Placed<Self::Kernel>>, Error>;
}

/// Runs one partition of a graph.
pub trait Kernel: Send + 'static {
    /// The shapes of the partition's inputs are settled, for the first time or anew. Outputs whose
    /// shape the runtime leaves open are to be given one.
    ///
    /// # Errors
    /// The partition can't run with these shapes.
    fn prepare(&mut self, tensors: &mut Tensors) -> Result<(), Error>;

    /// Reads the partition's inputs and writes its outputs.
    ///
    /// # Errors
    /// This inference failed; the next may do better.
    fn invoke(&mut self, tensors: &mut Tensors) -> Result<(), Error>;
}
