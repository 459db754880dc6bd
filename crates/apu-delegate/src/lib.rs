//! The APU as an external delegate of TensorFlow Lite and LiteRT: `libapu_delegate.so`.
//!
//! Every part of a model that the compiler can place runs on an APU, the rest stays with the
//! runtime, and what stays is told with the constraint that it broke.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
mod settings;

mod attributes;
mod import;

mod kernel;
mod placement;
mod report;

mod delegate;

#[allow(unsafe_code, reason = "the two functions that C calls")]
mod exports {
    tflite_delegate::export_delegate!(crate::delegate::Apu);
}
