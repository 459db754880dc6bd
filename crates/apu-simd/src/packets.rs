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

/// Messages that are on their way, or held back for others to go with them.
pub struct Outbox {
    wire: Arc<dyn Wire>,
    held: Mutex<Vec<u8>>,
    any_held: AtomicBool,
}

impl Outbox {
    /// One without messages.
    pub fn new(wire: Arc<dyn Wire>) -> Self {
        Self {
            wire,
            held: Mutex::new(Vec::new()),
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
        if held.len() + message.len() > self.wire.packet() {
            self.send_held(&mut held)?;
        }
        held.extend_from_slice(message);
        self.any_held.store(true, Ordering::Release);
        if now {
            self.send_held(&mut held)
        } else {
            Ok(())
        }
    }

    fn send_held(&self, held: &mut Vec<u8>) -> Result<(), Error> {
        if held.is_empty() {
            return Ok(());
        }
        let sent = self.wire.send(held);
        held.clear();
        self.any_held.store(false, Ordering::Release);
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apu_firmware::frame::Frame;
    use apu_proto::message::SyncAck;

    /// Takes packets of 100 bytes at most.
    #[derive(Default)]
    struct Sent(Mutex<Vec<Vec<u8>>>);

    impl Wire for Sent {
        fn receive<'b>(&self, _: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
            Ok(None)
        }

        fn send(&self, packet: &[u8]) -> Result<(), Error> {
            self.0.lock().push(packet.to_vec());
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
        assert_eq!(*sent.0.lock(), [both]);
        outbox.flush().unwrap();
        assert_eq!(sent.0.lock().len(), 1);
    }

    #[test]
    fn a_full_packet_goes_at_once() {
        let (sent, outbox) = outbox();
        for cookie in 0..7 {
            outbox.hold(ack(cookie).as_bytes()).unwrap();
        }
        assert_eq!(sent.0.lock().len(), 1);
        assert_eq!(sent.0.lock()[0].len(), 96);
        outbox.flush().unwrap();
        assert_eq!(sent.0.lock()[1], ack(6).as_bytes());
    }
}
