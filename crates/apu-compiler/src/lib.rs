//! From the bytes of a `.tflite` model to the bytes of a `.apu` program.
//!
//! [`compile`] runs the stages in the order of the modules below. A model is untrusted: whatever
//! its bytes, the answer is a program or an [`Error`], and memory stays in proportion to the file.
//! Placement is decided by one table, [`constraints::CONSTRAINTS`], which also words the reason
//! when an operator can't run on the APU; [`inspect`] reports that without compiling.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
mod options;

mod schema;

pub mod graph;
mod import;

pub mod constraints;
mod legalise;
mod requantise;
mod window;

mod constants;
mod pack;
mod storage;

mod bands;
mod emit;
mod fuse;
mod plan;
mod prune;
mod ramps;

pub mod report;
pub mod supported;

mod byte_functions;
mod compile;
mod fold;

pub mod cache;

pub use compile::{Compiled, compile, compile_graph, inspect, inspect_graph};
pub use error::{Error, UnplacedOperator};
pub use import::{custom_operator, import};
pub use options::{Numerics, Optimise, Options};
