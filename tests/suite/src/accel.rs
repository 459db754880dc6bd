//! An accel node without libapu: raw calls, so that each field can be wrong on its own.

pub mod bench;
pub mod client;
pub mod daemon;
pub mod node;
pub mod uapi;

pub use bench::Bench;
pub use node::Node;
