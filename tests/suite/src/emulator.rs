//! The emulated chip around a MediaTek core, seen from a test: its record, and the core's remoteproc.
//!
//! `kernel/drivers/remoteproc/mtk_apu_emulator` is the other side.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::skip::Skip;

/// The emulator's node.
pub const NODE: &str = "/dev/apu-emulator";
/// Bytes of an event: kind, number, value, padding.
const EVENT: usize = 16;

/// Something that the kernel did to the emulated chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A register, by its offset, was read.
    Read(u32),
    /// A register, by its offset, was written.
    Write(u32, u32),
    /// A clock was switched.
    Clock(u32, bool),
    /// The power domain was switched.
    Power(bool),
}

impl Event {
    fn parse(bytes: &[u8; EVENT]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        match word(0) {
            1 => Self::Read(word(4)),
            2 => Self::Write(word(4), word(8)),
            3 => Self::Clock(word(4), word(8) != 0),
            4 => Self::Power(word(8) != 0),
            kind => panic!("an event of kind {kind}"),
        }
    }
}

/// What the kernel did, as far as nobody has asked yet.
pub struct Record(File);

impl Record {
    /// The record from now on.
    ///
    /// # Errors
    /// [`Skip`] where there is no emulator.
    pub fn open() -> Result<Self, Skip> {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(NODE)
            .map_err(|error| Skip(format!("{NODE}: {error}")))?;
        let mut record = Self(file);
        record.take();
        Ok(record)
    }

    /// What has happened since the last call.
    pub fn take(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut bytes = [0; EVENT];
        loop {
            match self.0.read(&mut bytes) {
                Ok(EVENT) => events.push(Event::parse(&bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return events,
                other => panic!("reading the record: {other:?}"),
            }
        }
    }
}

/// The remote processor as user space sees it.
pub struct Processor(PathBuf);

impl Processor {
    /// The only one there is.
    pub fn find() -> Self {
        Self("/sys/class/remoteproc/remoteproc0".into())
    }

    /// Boots it. Returns the kernel's error number if that fails.
    pub fn start(&self) -> Result<(), i32> {
        self.write("state", "start")
    }

    /// Stops it.
    pub fn stop(&self) -> Result<(), i32> {
        self.write("state", "stop")
    }

    /// Names the file to boot from, below the kernel's firmware folder.
    pub fn set_firmware(&self, name: &str) {
        self.write("firmware", name).unwrap();
    }

    /// "offline", "running" and so on.
    pub fn state(&self) -> String {
        fs::read_to_string(self.0.join("state"))
            .unwrap()
            .trim()
            .into()
    }

    fn write(&self, attribute: &str, value: &str) -> Result<(), i32> {
        fs::write(self.0.join(attribute), value).map_err(|error| error.raw_os_error().unwrap_or(0))
    }
}

/// Whether the device of the tree's node `name` has a driver.
pub fn has_driver(name: &str) -> bool {
    Path::new("/sys/bus/platform/devices")
        .join(name)
        .join("driver")
        .exists()
}
