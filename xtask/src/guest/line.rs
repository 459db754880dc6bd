//! The guest's end of the serial line to the host.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use crate::uml::wire::{Frame, Job};

/// The line; one reader, any number of [`Sender`]s.
pub struct Line {
    tty: File,
    sender: Sender,
}

/// Sends whole frames from any thread.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<File>>);

impl Line {
    /// Opens the line and makes it carry bytes as they are.
    pub fn open() -> Result<Self> {
        let path = "/dev/ttyS0";
        let tty = File::options()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("opening {path}"))?;
        let mut mode = tcgetattr(&tty)?;
        mode.make_raw();
        tcsetattr(&tty, OptionalActions::Now, &mode)?;
        let sender = Sender(Arc::new(Mutex::new(tty.try_clone()?)));
        Ok(Self { tty, sender })
    }

    /// Takes what to do from the host.
    pub fn job(&mut self) -> Result<Job> {
        self.sender.send(&Frame::Ready)?;
        let mut job = Vec::new();
        loop {
            match self.sender.take(&mut self.tty)? {
                Frame::Job(bytes) if bytes.is_empty() => break,
                Frame::Job(bytes) => job.extend(bytes),
                other => bail!("the host began with {other:?}"),
            }
        }
        serde_json::from_slice(&job).context("reading the job")
    }

    /// A second reader of the same line, for the thread that takes over.
    pub fn reader(&self) -> io::Result<File> {
        self.tty.try_clone()
    }

    /// Something to send with.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits until the host has everything.
    pub fn drain(&self) -> Result<()> {
        tcdrain(&self.tty).context("draining the line")
    }
}

impl Sender {
    /// Reads the host's next frame and asks for another.
    pub fn take(&self, from: &mut File) -> io::Result<Frame> {
        let frame = Frame::read(from)?;
        self.send(&Frame::Taken)?;
        Ok(frame)
    }

    /// Sends one frame.
    pub fn send(&self, frame: &Frame) -> io::Result<()> {
        frame.write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
