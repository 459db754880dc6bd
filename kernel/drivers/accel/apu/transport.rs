// SPDX-License-Identifier: GPL-2.0

//! What carries messages to the firmware.

use crate::envelope::Envelope;
use kernel::{
    list::{
        List,
        ListArc, //
    },
    prelude::*, //
};

/// A way to a device.
///
/// Each time a device appears it gets a new connection number; what is meant for an earlier one
/// must not reach it. Several messages may travel together, once the device has answered the first
/// one. Messages of one connection stay in order.
pub(crate) trait Transport: Send + Sync {
    /// Hands a message over, or fails with [`ENODEV`] when `connection` is over. Neither allocates
    /// nor waits for the device: it is called in the fence signalling path. With `more` the device
    /// needn't know of it before [`kick`](Self::kick).
    fn post(&self, connection: u64, envelope: ListArc<Envelope>, more: bool) -> Result;

    /// Tells the device of messages that were posted with `more`.
    fn kick(&self);

    /// Ends the connection: the device gets nothing more and its messages are refused.
    fn cut(&self);
}

/// Takes the first messages off `waiting`: as many as make a packet of `room` bytes.
pub(crate) fn next_packet(waiting: &mut List<Envelope>, room: usize) -> List<Envelope> {
    let mut packet = List::new();
    let mut left = room;
    while let Some(length) = waiting.iter().next().map(|first| first.bytes().len()) {
        if length > left {
            break;
        }
        left -= length;
        if let Some(first) = waiting.pop_front() {
            packet.push_back(first);
        }
    }
    packet
}
