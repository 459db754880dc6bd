//! The suite: cases defined once, run on any device.
//!
//! The device is [`device::name`]: in-process, or the node named by `APU_TEST_DEVICE`. The test
//! targets read as the table of contents: `golden` (every operator, against stored vectors),
//! `sweep` (the same on cases drawn anew), `models` (whole models, against LiteRT run live),
//! `digits` (accuracy), `mutated` (damaged models and programs), `threads` (several on one inference), and, on an accel node only,
//! `recovery` (the device goes away) and `modules` (its driver does). What a driver's interface
//! promises is checked by `apu conformance`.
//!
//! This crate is only ever linked into tests, so that a broken expectation panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod accel;
pub mod archive;
pub mod command;
pub mod compare;
pub mod device;
pub mod emulator;
pub mod golden;
pub mod hostile;
pub mod inference;
pub mod kernel_log;
pub mod litert;
pub mod modules;
pub mod mutate;
pub mod shared;
pub mod skip;
pub mod tflite;
