//! An accel node: its clients, and the simulated hardware behind it.

pub mod client;
pub mod core_dump;
pub mod daemon;
pub mod power;
pub mod trace;
