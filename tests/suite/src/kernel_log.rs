//! The kernel's log, followed from where a test begins to care.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// How long the kernel may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the longest record.
const RECORD: usize = 8192;

/// Where a reader of the log is.
pub struct KernelLog(File);

impl KernelLog {
    /// All that the kernel still has.
    pub fn from_the_start() -> Self {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open("/dev/kmsg");
        Self(file.unwrap())
    }

    /// What is going to be said.
    pub fn from_now() -> Self {
        let mut log = Self::from_the_start();
        log.0.seek(SeekFrom::End(0)).unwrap();
        log
    }

    /// The next record, if there is one.
    fn record(&mut self) -> Option<String> {
        let mut bytes = [0; RECORD];
        loop {
            match self.0.read(&mut bytes) {
                Ok(length) => return Some(String::from_utf8_lossy(&bytes[..length]).into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // Records that were next have made room for others.
                Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
                Err(error) => panic!("reading the kernel's log: {error}"),
            }
        }
    }

    /// All that has been said since the last call.
    pub fn read(&mut self) -> String {
        std::iter::from_fn(|| self.record()).collect()
    }

    /// Waits until the kernel has said each of `lines`, one after the other.
    pub fn wait_for(&mut self, lines: &[&str]) {
        let begin = Instant::now();
        let mut said = String::new();
        for line in lines {
            while !self.record().is_some_and(|record| {
                said += &record;
                record.contains(line)
            }) {
                assert!(
                    begin.elapsed() < PATIENCE,
                    "the kernel didn't say {line:?} but\n{said}"
                );
                std::thread::yield_now();
            }
        }
    }
}
