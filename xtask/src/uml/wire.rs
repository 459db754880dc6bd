//! What xtask and the guest's first process say to each other over one serial line.
//!
//! A frame is a tag, a little-endian length and that many bytes. The guest says when it is ready,
//! the host sends one [`Job`], then standard input; the guest sends standard output and standard
//! error, then one [`Outcome`].
//!
//! User Mode Linux loses bytes of a serial line when it has to hold back the host on two
//! processors. So the host never has more than [`INPUT_CHUNK`] bytes on the way, which fit the line's
//! buffer: the guest answers each frame with [`Frame::Taken`].

use std::ffi::OsString;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest payload from the host.
pub const INPUT_CHUNK: usize = 2 << 10;
/// Longest payload from the guest, but for its last frame.
pub const OUTPUT_CHUNK: usize = 32 << 10;
/// Longest payload that is accepted.
const MAX_PAYLOAD: usize = 16 << 20;

/// What the guest is to run, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working folder.
    pub cwd: OsString,
    /// The daemon to start first, with its arguments, and to wait for until it is online.
    pub daemon: Option<Vec<OsString>>,
    /// Size of the terminal that the program gets; pipes if there is none.
    pub terminal: Option<Terminal>,
    /// Whether the kernel can check itself for leaks and locks, and is to do so at the end.
    pub debug_kernel: bool,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Terminal {
    /// Height.
    pub rows: u16,
    /// Width.
    pub columns: u16,
}

/// How a job ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The program's exit status, 128 and the signal's number if one ended it.
    pub status: u8,
    /// What the guest found wrong with itself.
    pub complaints: Vec<String>,
}

/// One message.
#[derive(Debug)]
pub enum Frame {
    /// First from the guest: the line carries bytes as they are from now on.
    Ready,
    /// First from the host: bytes of a [`Job`] as JSON; none at its end.
    Job(Vec<u8>),
    /// Bytes of standard input; none at its end.
    Stdin(Vec<u8>),
    /// The host's last frame has been read; it may send the next one.
    Taken,
    /// Bytes of standard output, or of the terminal.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// The job could not be run: a fault of the vehicle, not of the program.
    Failed(String),
    /// Last from the guest.
    Outcome(Outcome),
}

impl Frame {
    /// Writes one frame.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Ready => send(to, b'R', &[]),
            Self::Taken => send(to, b'T', &[]),
            Self::Job(bytes) => send(to, b'J', bytes),
            Self::Stdin(bytes) => send(to, b'I', bytes),
            Self::Stdout(bytes) => send(to, b'O', bytes),
            Self::Stderr(bytes) => send(to, b'E', bytes),
            Self::Failed(why) => send(to, b'F', why.as_bytes()),
            Self::Outcome(outcome) => send(to, b'X', &serde_json::to_vec(outcome)?),
        }
    }

    /// Reads one frame; [`io::ErrorKind::UnexpectedEof`] when the other side is gone.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(invalid(format!(
                "a frame of {length} bytes; at most {MAX_PAYLOAD} are sent"
            )));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(match tag {
            b'R' => Self::Ready,
            b'T' => Self::Taken,
            b'J' => Self::Job(payload),
            b'I' => Self::Stdin(payload),
            b'O' => Self::Stdout(payload),
            b'E' => Self::Stderr(payload),
            b'F' => Self::Failed(String::from_utf8_lossy(&payload).into_owned()),
            b'X' => Self::Outcome(parse(&payload)?),
            _ => return Err(invalid(format!("no frame has the tag {tag:#04x}"))),
        })
    }
}

fn send(to: &mut impl Write, tag: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(|_| invalid("a frame of 4 GiB".into()))?;
    let mut frame = Vec::with_capacity(5 + payload.len());
    frame.push(tag);
    frame.extend(length.to_le_bytes());
    frame.extend(payload);
    to.write_all(&frame)?;
    to.flush()
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(Into::into)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_back_as_it_was_sent() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut line = Vec::new();
        Frame::Stdout(bytes.clone()).write(&mut line).unwrap();
        match Frame::read(&mut line.as_slice()).unwrap() {
            Frame::Stdout(got) => assert_eq!(got, bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn noise_on_the_line_is_an_error_and_no_allocation() {
        let noise = [b'O', 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            Frame::read(&mut noise.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            Frame::read(&mut [b'?', 0, 0, 0, 0].as_slice())
                .unwrap_err()
                .kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_line_that_ends_within_a_frame_is_an_end() {
        assert_eq!(
            Frame::read(&mut [b'O', 9].as_slice()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
