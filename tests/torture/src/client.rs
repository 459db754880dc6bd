//! What all clients do: find the node, which may have another name every time, and keep trying.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use apu_conformance::{Bench, Kept, Node, Unproven};

/// The newest node of the machine. One whose driver was unbound stays until its last file is closed.
pub fn node() -> Kept<Node> {
    let nodes = fs::read_dir("/dev/accel").into_iter().flatten().flatten();
    let mut nodes: Vec<PathBuf> = nodes.map(|entry| entry.path()).collect();
    // accel10 comes after accel9.
    nodes.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let newest = nodes.pop();
    Node::open(&newest.ok_or_else(|| Unproven::lacking("there is no node"))?)
}

/// A client that is ready to run jobs, as soon as there is hardware.
pub fn ready() -> Bench {
    loop {
        match node().and_then(Bench::new) {
            Ok(bench) => return bench,
            // Hardware comes back when it comes back; this only spares the processor.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
