//! The vector room of x86-64: loads, stores and the rescaling of several channels at once.
//!
//! Functions here are safe within code that has their instructions enabled; memory is reached
//! through references only.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod ramp;
