//! Records that need not be: what the next one can do by itself, and copies of what can be made in its
//! place.

mod copies;
mod pads;

use crate::{graph::Graph, storage::Storage};

/// Leaves out what can be left out.
pub(crate) fn fuse(graph: &Graph, storage: &mut Storage) {
    pads::fuse(storage);
    copies::fuse(graph, storage);
}
