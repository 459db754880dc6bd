//! What every back end of the APU driver must do, rule by rule.
//!
//! A [`Rule`] is a sentence, the place in the uAPI header where it is written, and a check that sees
//! whether the device behind a node keeps it. [`rules`] has all of them; who runs them decides what to
//! print. Checks go through raw calls ([`Node`]) and not through libapu, so that each field of a call
//! can be wrong on its own, and use nothing that only one back end has. A check that needs what this
//! device or its driver lacks says so ([`Unproven::Lacking`]) and proves nothing.
//!
//! Each check has a file of its own on the node, so whatever it leaves behind goes with that.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bench;
pub mod foreign;
pub mod node;
pub mod program;
pub mod uapi;

mod rule;
mod rules;
mod unproven;

pub use bench::Bench;
pub use node::{Node, status_of};
pub use rule::{Area, Rule};
pub use rules::rules;
pub use unproven::{Kept, Unproven};
