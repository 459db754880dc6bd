//! What carries messages between the driver and this process.

use crate::Error;
use apu_proto::message::MAX_MESSAGE;

/// A way to the driver. It keeps packets, which are one or several messages, whole and in order.
pub trait Wire: Send + Sync + 'static {
    /// Waits for a packet; [`None`] when the driver is gone.
    ///
    /// # Errors
    /// The wire is broken.
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error>;

    /// Sends one packet.
    ///
    /// # Errors
    /// [`Error::Gone`] when nobody takes it any more; whatever the wire or the driver has against it.
    fn send(&self, message: &[u8]) -> Result<(), Error>;

    /// Sends one packet of which the driver needn't be told before the next [`send`](Self::send) or
    /// [`ring`](Self::ring).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn post(&self, message: &[u8]) -> Result<(), Error> {
        self.send(message)
    }

    /// Tells the driver of packets that were posted.
    ///
    /// # Errors
    /// [`Error::Gone`].
    fn ring(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Bytes of the largest packet that can be sent.
    fn packet(&self) -> usize {
        MAX_MESSAGE
    }

    /// Returns when the driver has dealt with all that was sent.
    ///
    /// # Errors
    /// [`Error::Gone`].
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Sends what is malformed below the level of messages, and returns what that was.
    fn garble(&self) -> Vec<&'static str> {
        Vec::new()
    }
}
