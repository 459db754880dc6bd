// SPDX-License-Identifier: GPL-2.0

//! What carries messages to the firmware.

use crate::envelope::Envelope;
use kernel::{
    list::ListArc,
    prelude::*, //
};

/// A way to a device.
///
/// Each time a device appears it gets a new connection number; what is meant for an earlier one
/// must not reach it. Messages of one connection stay in order.
pub(crate) trait Transport: Send + Sync {
    /// Hands a message over, or fails with [`ENODEV`] when `connection` is over. Neither allocates
    /// nor waits for the device: it is called in the fence signalling path.
    fn post(&self, connection: u64, envelope: ListArc<Envelope>) -> Result;

    /// Ends the connection: the device gets nothing more and its messages are refused.
    fn cut(&self);
}
