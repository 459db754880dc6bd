//! TensorFlow Lite's external delegate interface, without TensorFlow Lite: a delegate written
//! against this crate is a shared object that needs and shows no symbol of the runtime, and that
//! every runtime since tflite-runtime 2.14 loads, LiteRT 1 and 2 among them.
//!
//! Implement [`Delegate`] and [`Kernel`] and name the delegate in [`export_delegate!`]. No panic
//! leaves the shared object, and every failure reaches the runtime with its reason.

pub mod params;
pub mod sys;

mod arrays;
mod delegate;
mod entry;
mod graph;
mod node;
mod panics;
mod plugin;
mod report;
mod tensor;

pub use delegate::{Delegate, Error, Kernel, Placed};
pub use graph::{Graph, NodeId, Partition};
pub use node::Node;
pub use plugin::{create, destroy};
pub use tensor::{Element, Tensor, TensorId, Tensors};
