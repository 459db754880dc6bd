//! The firmware of an APU: it validates and runs programs, and answers the kernel driver.
//!
//! Two ways in. A host without a kernel embeds the interpreter: [`Program::validate`] once, then
//! [`run`] with the memory of each segment as often as it likes. A device answers messages:
//! [`Server`] keeps the protocol's state and hands out [`Job`]s, which any number of cores run on
//! what the platform implements of [`memory`].
//!
//! Programs and messages are untrusted: whatever they hold, the answer is an error that says what,
//! where, got and needed. Nothing here allocates, panics on input, or needs an operating system.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(test)]
extern crate std;

pub mod frame;
pub mod memory;

mod error;
mod interpreter;
mod job;
mod operator;
mod places;
mod queues;
mod server;
mod spread;
mod validate;
mod workers;

pub use error::{Error, OpError, TargetName};
pub use interpreter::{run, run_operators};
pub use job::Job;
pub use memory::View;
pub use operator::Operator;
pub use queues::{FailedQueues, Queue};
pub use server::{Action, Device, Server, Slots};
pub use validate::{FEATURES, Layout, Program, TARGET};
pub use workers::{Alone, Workers};
