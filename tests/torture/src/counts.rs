//! What happened, counted by all processes in one page of memory.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// The numbers. All zero is a fresh start.
#[derive(Default)]
#[repr(C)]
pub struct Numbers {
    /// Calls of fuzzers.
    pub fuzzed: AtomicU64,
    /// Those that the kernel accepted.
    pub accepted: AtomicU64,
    /// Clients that were killed.
    pub killed: AtomicU64,
    /// Hardware that died in mid-job.
    pub deaths: AtomicU64,
    /// Hardware that went away in another way: killed between jobs, hanging, lying.
    pub losses: AtomicU64,
    /// Times that the driver was taken from its device and given back.
    pub rebinds: AtomicU64,
    /// Allocations that failed on purpose.
    pub failures: AtomicU64,
    /// Results that were checked.
    pub exact: AtomicU64,
    /// Jobs that were lost with the hardware.
    pub lost: AtomicU64,
    /// Results that were wrong, and answers that no rule allows.
    pub wrong: AtomicU64,
}

/// [`Numbers`] in memory that all processes share.
pub struct Counts(&'static Numbers);

impl Counts {
    /// Maps the numbers in `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(path)
            .with_context(|| path.display().to_string())?;
        let size = size_of::<Numbers>();
        file.set_len(size as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe { mmap(null_mut(), size, protection, MapFlags::SHARED, &file, 0) }?;
        // SAFETY: as many bytes are mapped there for good, aligned to a page; any value of them is right,
        // and they are only changed atomically.
        Ok(Self(unsafe { &*at.cast() }))
    }
}

impl Numbers {
    /// Waits until clients have got so many calls or jobs further, but only until `until`. Whatever
    /// strikes them waits for this before it does, or a slow machine would see nobody get anywhere.
    pub fn wait_for_progress(&self, steps: u64, until: Instant) {
        let so_far = || self.fuzzed.load(Relaxed) + self.exact.load(Relaxed);
        let goal = so_far() + steps;
        while so_far() < goal && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl std::ops::Deref for Counts {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        self.0
    }
}

/// One more.
pub fn count(number: &AtomicU64) {
    number.fetch_add(1, Relaxed);
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("fuzzed calls", &self.fuzzed),
            ("  of them accepted", &self.accepted),
            ("clients killed", &self.killed),
            ("hardware dead in mid-job", &self.deaths),
            ("hardware lost otherwise", &self.losses),
            ("driver unbound and bound", &self.rebinds),
            ("allocations that failed", &self.failures),
            ("results that were exact", &self.exact),
            ("jobs lost with hardware", &self.lost),
            ("wrong", &self.wrong),
        ];
        for (name, number) in rows {
            writeln!(f, "{name:<26} {:>9}", number.load(Relaxed))?;
        }
        Ok(())
    }
}
