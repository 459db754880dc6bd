//! The remote side of rpmsg over virtio: what a core's firmware does with the two queues.
//!
//! A buffer holds a header of 16 bytes, little-endian, and a payload. The driver offers empty buffers
//! in its input queue and full ones in its output queue. An endpoint becomes a channel of the driver
//! by an announcement to the driver's name service.
//!
//! Everything works on a [`Queue`] and whatever [`GuestMemory`] it lies in, so that it serves any
//! core whose memory this process can reach.

use crate::Error;
use std::io::{Read, Write};
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemory;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes as _, IntoBytes as _};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Index of the queue whose buffers this side fills.
pub const INPUT: u16 = 0;
/// Index of the queue whose buffers the driver fills.
pub const OUTPUT: u16 = 1;
/// Entries of a queue, at most.
pub const QUEUE_SIZE: usize = 256;
/// Bytes of a buffer.
pub const BUFFER: usize = 512;
/// Bit of the virtio feature that the driver has a name service.
pub const FEATURE_NAME_SERVICE: u32 = 0;
/// The driver's address for announcements.
const NAME_SERVICE: u32 = 53;

/// Starts every buffer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Address that it comes from.
    pub source: U32,
    /// Address that it is for.
    pub destination: U32,
    /// Zero.
    pub reserved: U32,
    /// Bytes of payload.
    pub length: U16,
    /// Zero.
    pub flags: U16,
}

/// The payload of an announcement.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Announcement {
    name: [u8; 32],
    address: U32,
    /// 0 for a channel that comes.
    flags: U32,
}

const HEADER: usize = size_of::<Header>();
/// Bytes of payload that fit a buffer.
pub const PAYLOAD: usize = BUFFER - HEADER;
const _: () = assert!(HEADER == 16 && size_of::<Announcement>() == 40);

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The driver has it, once it looks.
    Yes,
    /// The driver has no buffer for it now.
    Full,
}

/// An endpoint of this side.
#[derive(Debug)]
pub struct Endpoint {
    address: u32,
    /// Who sent the last message; answers go there.
    peer: u32,
}

impl Endpoint {
    /// An endpoint with an address, which nobody knows of yet.
    pub fn new(address: u32) -> Self {
        Self {
            address,
            peer: NAME_SERVICE,
        }
    }

    /// Makes this endpoint the driver's channel `name`, of which 31 bytes count.
    ///
    /// # Errors
    /// As [`Endpoint::send`].
    pub fn announce<M: GuestMemory>(
        &self,
        name: &str,
        input: &mut Queue,
        memory: &M,
    ) -> Result<Sent, Error> {
        let mut announcement = Announcement {
            name: [0; 32],
            address: self.address.into(),
            flags: 0.into(),
        };
        for (to, from) in announcement.name.iter_mut().take(31).zip(name.bytes()) {
            *to = from;
        }
        let payload = announcement.as_bytes();
        let header = self.header(NAME_SERVICE, payload.len());
        put(input, memory, &[header.as_bytes(), payload])
    }

    /// Sends a message to whoever sent the last one.
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Queue`].
    pub fn send<M: GuestMemory>(
        &self,
        payload: &[u8],
        input: &mut Queue,
        memory: &M,
    ) -> Result<Sent, Error> {
        if payload.len() > PAYLOAD {
            return Err(Error::TooLong {
                length: payload.len(),
                room: PAYLOAD,
            });
        }
        let header = self.header(self.peer, payload.len());
        put(input, memory, &[header.as_bytes(), payload])
    }

    /// Takes the next message for this endpoint, if there is one; gives its buffer back. Others are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Queue`].
    pub fn receive<'b, M: GuestMemory>(
        &mut self,
        output: &mut Queue,
        memory: &M,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Error> {
        let mut bytes = [0; BUFFER];
        while let Some(taken) = take(output, memory, &mut bytes)? {
            let Some((header, payload)) = parse(taken) else {
                tracing::warn!(
                    length = taken.len(),
                    "a buffer without a message is dropped"
                );
                continue;
            };
            if header.destination != self.address {
                tracing::warn!(?header, "a message for somebody else is dropped");
                continue;
            }
            let Some(copy) = buffer.get_mut(..payload.len()) else {
                tracing::warn!(length = payload.len(), "too long a message is dropped");
                continue;
            };
            copy.copy_from_slice(payload);
            self.peer = header.source.get();
            let length = payload.len();
            return Ok(buffer.get(..length));
        }
        Ok(None)
    }

    /// The header of a message from this endpoint.
    pub fn header(&self, destination: u32, length: usize) -> Header {
        Header {
            source: self.address.into(),
            destination: destination.into(),
            reserved: 0.into(),
            length: U16::new(u16::try_from(length).unwrap_or(u16::MAX)),
            flags: 0.into(),
        }
    }

    /// Where answers go.
    pub fn peer(&self) -> u32 {
        self.peer
    }
}

/// Header and payload of a buffer, if it holds what its header says.
fn parse(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (header, rest) = Header::read_from_prefix(bytes).ok()?;
    Some((header, rest.get(..header.length.get().into())?))
}

/// Puts parts into the driver's next empty buffer, whatever they are.
///
/// # Errors
/// [`Error::TooLong`]; [`Error::Queue`].
pub fn put<M: GuestMemory>(input: &mut Queue, memory: &M, parts: &[&[u8]]) -> Result<Sent, Error> {
    let broken = |reason| Error::Queue {
        queue: "input",
        reason,
    };
    let Some(chain) = input.pop_descriptor_chain(memory) else {
        return Ok(Sent::Full);
    };
    let head = chain.head_index();
    let mut writer = chain.writer(memory).map_err(broken)?;
    let (length, room) = (
        parts.iter().map(|part| part.len()).sum(),
        writer.available_bytes(),
    );
    let fits = length <= room;
    if fits {
        for part in parts {
            // It fits, and memory that the queue has checked takes it.
            let _ = writer.write_all(part);
        }
    }
    let written = u32::try_from(writer.bytes_written()).unwrap_or(0);
    drop(writer);
    input.add_used(memory, head, written).map_err(broken)?;
    if !fits {
        return Err(Error::TooLong { length, room });
    }
    Ok(Sent::Yes)
}

/// Asks the driver to tell of buffers that it puts into a queue. Whether there is one already.
///
/// # Errors
/// [`Error::Queue`], which says `name`.
pub fn listen<M: GuestMemory>(
    queue: &mut Queue,
    name: &'static str,
    memory: &M,
) -> Result<bool, Error> {
    let listening = queue.enable_notification(memory);
    listening.map_err(|reason| Error::Queue {
        queue: name,
        reason,
    })
}

/// Asks the driver not to tell of buffers.
///
/// # Errors
/// [`Error::Queue`], which says `name`.
pub fn ignore<M: GuestMemory>(
    queue: &mut Queue,
    name: &'static str,
    memory: &M,
) -> Result<(), Error> {
    let ignoring = queue.disable_notification(memory);
    ignoring.map_err(|reason| Error::Queue {
        queue: name,
        reason,
    })
}

/// Copies the driver's next full buffer, as far as there is room, and gives it back.
fn take<'b, M: GuestMemory>(
    output: &mut Queue,
    memory: &M,
    bytes: &'b mut [u8; BUFFER],
) -> Result<Option<&'b [u8]>, Error> {
    let broken = |reason| Error::Queue {
        queue: "output",
        reason,
    };
    let Some(chain) = output.pop_descriptor_chain(memory) else {
        return Ok(None);
    };
    let head = chain.head_index();
    let mut reader = chain.reader(memory).map_err(broken)?;
    let length = reader.available_bytes().min(BUFFER);
    let (part, _) = bytes.split_at_mut(length);
    let read = reader.read_exact(part);
    drop(reader);
    output.add_used(memory, head, 0).map_err(broken)?;
    Ok(Some(if read.is_ok() { part } else { &[] }))
}
