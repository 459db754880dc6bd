//! Packets: messages that travel together, since each turn of the wire costs more than a short job.

use crate::Error;
use crate::wire::Wire;
use apu_firmware::frame::split_first;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the largest packet that is taken.
const LARGEST: usize = 16 << 10;

/// Messages that have come and are not taken yet.
pub struct Inbox {
    packet: Box<[u8; LARGEST]>,
    left: Range<usize>,
}

impl Default for Inbox {
    /// An empty one.
    fn default() -> Self {
        Self {
            packet: Box::new([0; LARGEST]),
            left: 0..0,
        }
    }
}

impl Inbox {
    /// Whether there is a message without waiting.
    pub fn has_message(&self) -> bool {
        !self.left.is_empty()
    }

    /// The next message; waits for a packet if there is none. [`None`] when the driver is gone.
    ///
    /// # Errors
    /// Those of [`Wire::receive`].
    pub fn next(&mut self, wire: &dyn Wire) -> Result<Option<&[u8]>, Error> {
        if !self.has_message() {
            let Some(packet) = wire.receive(&mut *self.packet)? else {
                return Ok(None);
            };
            self.left = 0..packet.len();
        }
        let left = self.packet.get(self.left.clone()).unwrap_or_default();
        let (message, _) = split_first(left);
        self.left.start += message.len();
        Ok(Some(message))
    }

    /// Forgets what has not been taken.
    pub fn clear(&mut self) {
        self.left = 0..0;
    }
}

/// Packets of which the driver isn't told before more are full. The jobs in them are less than it may have
/// given a core, so that it gives that others meanwhile.
const POSTED: usize = 2;

/// Messages that are on their way, or held back for others to go with them.
pub struct Outbox {
    wire: Arc<dyn Wire>,
    held: Mutex<Held>,
    any_held: AtomicBool,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Packets that the driver hasn't been told of.
    posted: usize,
}

impl Outbox {
    /// One without messages.
    pub fn new(wire: Arc<dyn Wire>) -> Self {
        Self {
            wire,
            held: Mutex::default(),
            any_held: AtomicBool::new(false),
        }
    }

    /// The wire, for what is no message.
    pub fn wire(&self) -> &dyn Wire {
        &*self.wire
    }

    /// Sends a message, behind all that is held back.
    ///
    /// # Errors
    /// Those of [`Wire::send`].
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        self.add(message, true)
    }

    /// Holds a message back until the next one is sent, or [`flush`](Self::flush) is called.
    ///
    /// # Errors
    /// Those of [`Wire::send`], about messages that had to make room.
    pub fn hold(&self, message: &[u8]) -> Result<(), Error> {
        self.add(message, false)
    }

    /// Sends what is held back.
    ///
    /// # Errors
    /// Those of [`Wire::send`].
    pub fn flush(&self) -> Result<(), Error> {
        if !self.any_held.load(Ordering::Acquire) {
            return Ok(());
        }
        self.send_held(&mut self.held.lock())
    }

    fn add(&self, message: &[u8], now: bool) -> Result<(), Error> {
        let mut held = self.held.lock();
        if held.is_empty() && now {
            return self.wire.send(message);
        }
        if held.bytes.len() + message.len() > self.wire.packet() {
            if held.posted < POSTED {
                self.wire.post(&held.bytes)?;
                held.posted += 1;
                held.bytes.clear();
            } else {
                self.send_held(&mut held)?;
            }
        }
        held.bytes.extend_from_slice(message);
        self.any_held.store(true, Ordering::Release);
        if now {
            self.send_held(&mut held)
        } else {
            Ok(())
        }
    }

    fn send_held(&self, held: &mut Held) -> Result<(), Error> {
        if held.is_empty() {
            return Ok(());
        }
        let sent = if held.bytes.is_empty() {
            self.wire.ring()
        } else {
            self.wire.send(&held.bytes)
        };
        held.bytes.clear();
        held.posted = 0;
        self.any_held.store(false, Ordering::Release);
        sent
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.posted == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apu_firmware::frame::Frame;
    use apu_proto::message::SyncAck;

    /// Takes packets of 100 bytes at most, and notes when it is to tell the driver: an empty one.
    #[derive(Default)]
    struct Sent(Mutex<Vec<Vec<u8>>>);

    impl Sent {
        fn lengths(&self) -> Vec<usize> {
            self.0.lock().iter().map(Vec::len).collect()
        }
    }

    impl Wire for Sent {
        fn receive<'b>(&self, _: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
            Ok(None)
        }

        fn send(&self, packet: &[u8]) -> Result<(), Error> {
            self.post(packet)?;
            self.ring()
        }

        fn post(&self, packet: &[u8]) -> Result<(), Error> {
            self.0.lock().push(packet.to_vec());
            Ok(())
        }

        fn ring(&self) -> Result<(), Error> {
            self.0.lock().push(Vec::new());
            Ok(())
        }

        fn packet(&self) -> usize {
            100
        }
    }

    fn ack(cookie: u64) -> Frame {
        Frame::new(&SyncAck { cookie })
    }

    fn outbox() -> (Arc<Sent>, Outbox) {
        let sent = Arc::new(Sent::default());
        let outbox = Outbox::new(Arc::clone(&sent) as Arc<dyn Wire>);
        (sent, outbox)
    }

    #[test]
    fn what_is_held_goes_first() {
        let (sent, outbox) = outbox();
        outbox.hold(ack(1).as_bytes()).unwrap();
        assert!(sent.0.lock().is_empty());
        outbox.send(ack(2).as_bytes()).unwrap();
        let both = [ack(1).as_bytes(), ack(2).as_bytes()].concat();
        assert_eq!(*sent.0.lock(), [both, Vec::new()]);
        outbox.flush().unwrap();
        assert_eq!(sent.0.lock().len(), 2);
    }

    #[test]
    fn a_full_packet_goes_at_once_and_the_driver_is_told_of_some() {
        let (sent, outbox) = outbox();
        for cookie in 0..6 * 4 + 1 {
            outbox.hold(ack(cookie).as_bytes()).unwrap();
        }
        assert_eq!(sent.lengths(), [96, 96, 96, 0, 96]);
        outbox.flush().unwrap();
        assert_eq!(sent.lengths()[5..], [16, 0]);
    }

    #[test]
    fn the_driver_is_told_of_packets_behind_which_nothing_comes() {
        let (sent, outbox) = outbox();
        for cookie in 0..6 {
            outbox.hold(ack(cookie).as_bytes()).unwrap();
        }
        outbox.send(ack(6).as_bytes()).unwrap();
        assert_eq!(sent.lengths(), [96, 16, 0]);
        outbox.flush().unwrap();
        assert_eq!(sent.lengths().len(), 3);
    }
}
