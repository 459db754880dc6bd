//! Threads that work on one operator of the firmware together.
//!
//! An operator takes microseconds, so handing a part of it over must take less than one: threads that
//! have nothing to do look for more during some time before they sleep, and nobody waits for one that
//! sleeps, or that the system runs elsewhere: whoever comes first takes the next part.

mod board;
mod pool;

pub use pool::Pool;
