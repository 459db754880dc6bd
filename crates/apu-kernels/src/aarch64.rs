//! The vector room of aarch64: loads, stores, products and the rescaling of several channels at once.
//!
//! Functions here are safe within code that has their instructions enabled; memory is reached
//! through references only.

pub(crate) mod bytes;
pub(crate) mod products;
pub(crate) mod scale;
