//! Framing: bytes to typed messages and back.

use apu_proto::message::{
    Cancel, Done, Fault, Header, Heartbeat, Hello, HelloAck, Log, MAGIC, MAX_MESSAGE, MAX_SEGMENTS,
    Map, RUN_HEAD, Resume, Run, Segment, Suspend, Sync, SyncAck, Unmap, VmCreate, VmDestroy, kind,
    status,
};
use core::mem::size_of;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Why a message can't be taken. The host is at fault; only a reset mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not even a header, or less than the kind's body.
    #[error("message of kind {kind:#x} has {got} bytes, needs {needed}")]
    Short {
        /// Kind of the message, 0 when the header itself is cut off.
        kind: u16,
        /// Bytes that came.
        got: usize,
        /// Bytes that the kind has at least.
        needed: usize,
    },
    /// The first word isn't [`MAGIC`].
    #[error("message begins with {got:#010x}, needs {MAGIC:#010x}")]
    Magic {
        /// The first word.
        got: u32,
    },
    /// The header says another length than the transport.
    #[error("message of kind {kind:#x} says {said} bytes, {got} came")]
    Length {
        /// Kind of the message.
        kind: u16,
        /// [`Header::length`].
        said: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A kind that no version up to ours defines.
    #[error("message kind {kind:#x} is unknown")]
    Kind {
        /// The kind.
        kind: u16,
    },
    /// A message before a version was agreed on.
    #[error("message kind {kind:#x} came before HELLO")]
    NotGreeted {
        /// Kind of the message.
        kind: u16,
    },
    /// A job for a device that sleeps.
    #[error("a RUN came between SUSPEND and RESUME")]
    Suspended,
    /// A field has a value that the protocol doesn't allow.
    #[error("message kind {kind:#x}: {field} is {got:#x}")]
    Field {
        /// Kind of the message.
        kind: u16,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        got: u64,
    },
    /// A VM or job that doesn't exist, or exists already.
    #[error("message kind {kind:#x} names {field} {got}, which is {state}")]
    Handle {
        /// Kind of the message.
        kind: u16,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// "unknown" or "in use".
        state: &'static str,
    },
    /// More VMs or jobs than HELLO_ACK offered.
    #[error("message kind {kind:#x}: all {limit} {what} are taken")]
    Full {
        /// Kind of the message.
        kind: u16,
        /// What has run out.
        what: &'static str,
        /// How many there are.
        limit: usize,
    },
}

impl MessageError {
    /// The message that tells the host.
    pub fn fault(&self) -> Fault {
        let (status, kind) = match *self {
            Self::Magic { .. } => (status::REJECTED, 0),
            Self::Short { kind, .. }
            | Self::Length { kind, .. }
            | Self::Kind { kind }
            | Self::NotGreeted { kind }
            | Self::Field { kind, .. } => (status::REJECTED, kind),
            Self::Suspended => (status::REJECTED, kind::RUN),
            Self::Handle { kind, .. } | Self::Full { kind, .. } => (status::BAD_HANDLE, kind),
        };
        Fault {
            status,
            kind: kind.into(),
        }
    }
}

/// A message body and the kind that announces it.
pub trait Body: Copy + FromBytes + IntoBytes + Immutable + KnownLayout {
    /// Its [`Header::kind`].
    const KIND: u16;
}

macro_rules! bodies {
    ($($body:ty = $kind:ident),+ $(,)?) => {
        $(impl Body for $body {
            const KIND: u16 = kind::$kind;
        })+
    };
}

bodies! {
    Hello = HELLO,
    VmCreate = VM_CREATE,
    VmDestroy = VM_DESTROY,
    Map = MAP,
    Unmap = UNMAP,
    Sync = SYNC,
    Run = RUN,
    Cancel = CANCEL,
    Suspend = SUSPEND,
    Resume = RESUME,
    HelloAck = HELLO_ACK,
    SyncAck = SYNC_ACK,
    Done = DONE,
    Fault = FAULT,
    Log = LOG,
    Heartbeat = HEARTBEAT,
}

/// One message ready to send.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    bytes: [u8; MAX_MESSAGE],
    length: usize,
}

impl Frame {
    /// Puts the header before `body`.
    pub fn new<B: Body>(body: &B) -> Self {
        const { assert!(size_of::<Header>() + size_of::<B>() <= MAX_MESSAGE) };
        let length = size_of::<Header>() + size_of::<B>();
        let header = Header {
            magic: MAGIC,
            kind: B::KIND,
            // MAX_MESSAGE bounds it, see above.
            length: length as u16,
        };
        let mut bytes = [0; MAX_MESSAGE];
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        bytes[size_of::<Header>()..length].copy_from_slice(body.as_bytes());
        Self { bytes, length }
    }

    /// The message as it travels.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Splits the first message off a packet of one or several. What is no message takes all of it.
pub fn split_first(packet: &[u8]) -> (&[u8], &[u8]) {
    let length =
        Header::read_from_prefix(packet).map_or(0, |(header, _)| usize::from(header.length));
    if length < size_of::<Header>() {
        return (packet, &[]);
    }
    packet.split_at_checked(length).unwrap_or((packet, &[]))
}

/// Checks the header of a whole message; returns the kind and the bytes of the body.
///
/// # Errors
/// [`MessageError::Short`], [`MessageError::Magic`] or [`MessageError::Length`].
pub fn open(message: &[u8]) -> Result<(u16, &[u8]), MessageError> {
    let (header, body) = Header::read_from_prefix(message).map_err(|_| MessageError::Short {
        kind: 0,
        got: message.len(),
        needed: size_of::<Header>(),
    })?;
    if header.magic != MAGIC {
        return Err(MessageError::Magic { got: header.magic });
    }
    if usize::from(header.length) != message.len() {
        return Err(MessageError::Length {
            kind: header.kind,
            said: header.length.into(),
            got: message.len(),
        });
    }
    Ok((header.kind, body))
}

/// Reads a body; what a newer version put behind it is ignored.
///
/// # Errors
/// [`MessageError::Short`].
pub fn body<B: Body>(bytes: &[u8]) -> Result<B, MessageError> {
    match B::read_from_prefix(bytes) {
        Ok((body, _newer)) => Ok(body),
        Err(_) => Err(MessageError::Short {
            kind: B::KIND,
            got: size_of::<Header>() + bytes.len(),
            needed: size_of::<Header>() + size_of::<B>(),
        }),
    }
}

/// Reads a [`Run`], which may end behind its last segment in use.
fn run(bytes: &[u8]) -> Result<Run, MessageError> {
    let needs = |needed: usize| MessageError::Short {
        kind: kind::RUN,
        got: size_of::<Header>() + bytes.len(),
        needed: size_of::<Header>() + needed,
    };
    let mut run = Run::new_zeroed();
    let known = bytes.get(..size_of::<Run>()).unwrap_or(bytes);
    run.as_mut_bytes()[..known.len()].copy_from_slice(known);
    if known.len() < RUN_HEAD {
        return Err(needs(RUN_HEAD));
    }
    let segments = usize::from(run.segment_count).min(MAX_SEGMENTS);
    let needed = RUN_HEAD + segments * size_of::<Segment>();
    if known.len() < needed {
        return Err(needs(needed));
    }
    Ok(run)
}

/// What the host can ask for.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put it on")]
pub enum Request {
    Hello(Hello),
    VmCreate(VmCreate),
    VmDestroy(VmDestroy),
    Map(Map),
    Unmap(Unmap),
    Sync(Sync),
    Run(Run),
    Cancel(Cancel),
    Suspend(Suspend),
    Resume(Resume),
}

impl Request {
    /// Its [`Header::kind`].
    pub fn kind(&self) -> u16 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::VmCreate(_) => kind::VM_CREATE,
            Self::VmDestroy(_) => kind::VM_DESTROY,
            Self::Map(_) => kind::MAP,
            Self::Unmap(_) => kind::UNMAP,
            Self::Sync(_) => kind::SYNC,
            Self::Run(_) => kind::RUN,
            Self::Cancel(_) => kind::CANCEL,
            Self::Suspend(_) => kind::SUSPEND,
            Self::Resume(_) => kind::RESUME,
        }
    }

    /// Reads a message of the host.
    ///
    /// # Errors
    /// Those of [`open`] and [`body`], and [`MessageError::Kind`].
    pub fn read(message: &[u8]) -> Result<Self, MessageError> {
        let (kind, bytes) = open(message)?;
        Ok(match kind {
            kind::HELLO => Self::Hello(body(bytes)?),
            kind::VM_CREATE => Self::VmCreate(body(bytes)?),
            kind::VM_DESTROY => Self::VmDestroy(body(bytes)?),
            kind::MAP => Self::Map(body(bytes)?),
            kind::UNMAP => Self::Unmap(body(bytes)?),
            kind::SYNC => Self::Sync(body(bytes)?),
            kind::RUN => Self::Run(run(bytes)?),
            kind::CANCEL => Self::Cancel(body(bytes)?),
            kind::SUSPEND => Self::Suspend(body(bytes)?),
            kind::RESUME => Self::Resume(body(bytes)?),
            _ => return Err(MessageError::Kind { kind }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back() {
        let frame = Frame::new(&Hello {
            version_min: 1,
            version_max: 3,
        });
        assert_eq!(frame.as_bytes().len(), 16);
        let Request::Hello(hello) = Request::read(frame.as_bytes()).unwrap() else {
            panic!("another kind");
        };
        assert_eq!((hello.version_min, hello.version_max), (1, 3));
    }

    #[test]
    fn bytes_of_a_newer_version_are_ignored() {
        let mut message = Frame::new(&Sync { cookie: 7 }).as_bytes().to_vec();
        message.extend([1, 2, 3, 4]);
        message[6] += 4;
        let Request::Sync(sync) = Request::read(&message).unwrap() else {
            panic!("another kind");
        };
        assert_eq!(sync.cookie, 7);
    }

    #[test]
    fn a_packet_is_one_message_after_the_other() {
        let sync = |cookie| Frame::new(&Sync { cookie });
        let (first, second) = (sync(1), sync(2));
        let packet = [first.as_bytes(), second.as_bytes()].concat();
        let (message, rest) = split_first(&packet);
        assert_eq!(message, first.as_bytes());
        assert_eq!(split_first(rest), (second.as_bytes(), &[][..]));
        assert_eq!(split_first(&[]), (&[][..], &[][..]));
        // What says that it is longer than the packet, or shorter than a header, is left to who reads it.
        assert_eq!(split_first(&packet[..20]), (&packet[..16], &packet[16..20]));
        assert_eq!(split_first(&packet[..12]), (&packet[..12], &[][..]));
        let mut none = packet.clone();
        none[6..8].fill(0);
        assert_eq!(split_first(&none), (&none[..], &[][..]));
    }

    #[test]
    fn a_run_may_end_behind_its_last_segment() {
        let mut run = Run::new_zeroed();
        (run.job, run.segment_count) = (7, 2);
        run.segments[1].size = 9;
        let whole = Frame::new(&run);
        let cut = |segments: usize| {
            let length = size_of::<Header>() + RUN_HEAD + segments * size_of::<Segment>();
            let mut message = whole.as_bytes()[..length].to_vec();
            message[6..8].copy_from_slice(&(length as u16).to_le_bytes());
            Request::read(&message)
        };
        let Ok(Request::Run(read)) = cut(2) else {
            panic!("not taken");
        };
        assert_eq!(read, run);
        assert!(matches!(
            cut(1),
            Err(MessageError::Short { needed: 80, .. })
        ));
    }

    #[test]
    fn malformed_messages_are_named() {
        let good = Frame::new(&Sync { cookie: 7 });
        let patch = |at: usize, byte: u8| {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = byte;
            Request::read(&bytes).unwrap_err()
        };
        assert!(matches!(patch(0, b'B'), MessageError::Magic { .. }));
        assert_eq!(patch(5, 0x7f), MessageError::Kind { kind: 0x7f06 });
        assert_eq!(
            patch(6, 17),
            MessageError::Length {
                kind: kind::SYNC,
                said: 17,
                got: 16
            }
        );
        // A Sync-sized Run.
        assert_eq!(
            patch(4, 7),
            MessageError::Short {
                kind: kind::RUN,
                got: 16,
                needed: 48
            }
        );
        assert_eq!(
            Request::read(&[1, 2, 3]).unwrap_err(),
            MessageError::Short {
                kind: 0,
                got: 3,
                needed: 8
            }
        );
        assert_eq!(patch(5, 0x7f).fault().kind, 0x7f06);
    }
}
