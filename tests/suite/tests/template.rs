//! The template driver runs jobs: what its chapter of the book promises.
//!
//! Needs a node of the driver `template`, which a guest has with the device tree of that name.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apu_conformance::Node;
use apu_conformance::node::Words;
use apu_conformance::uapi::Argument;
use nix::errno::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use suite::skip::{Skip, or_skip};

/// Longer than anything that is not stuck takes.
const PATIENCE: Duration = Duration::from_secs(30);
const PAGE: u64 = 4096;
/// Elements of each vector: a page of them.
const COUNT: usize = 1024;
/// First device address past the page table.
const VA_END: u64 = 512 * PAGE;

macro_rules! structures {
    ($($number:literal: $name:ident ($size:literal) { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Clone, Copy, Debug, Default)]
        #[repr(C)]
        struct $name { $($field: $type),* }
        const _: () = assert!(size_of::<$name>() == $size);
        impl Argument for $name {
            const OPCODE: Opcode = opcode::read_write::<$name>(b'd', $number);
        }
    )*};
}

structures! {
    0x00: Version (64) {
        major: i32, minor: i32, patchlevel: i32, name_len: u64, name: u64, date_len: u64, date: u64,
        desc_len: u64, desc: u64,
    }
    0xc1: SyncobjHandle (16) { handle: u32, flags: u32, fd: i32, pad: u32 }
    0x40: Bo (24) { size: u64, mmap_offset: u64, handle: u32, pad: u32 }
    0x41: Queue (12) { timeout_ms: u32, vm_id: u32, queue_id: u32 }
    0x42: Bind (32) { vm_id: u32, bo_handle: u32, bo_offset: u64, va: u64, size: u64 }
    0x43: Submit (32) {
        queue_id: u32, count: u32, left: u32, right: u32, sum: u32, delay_us: u32, wait: u32,
        signal: u32,
    }
}

/// `DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE`.
const EXPORT_SYNC_FILE: u32 = 1 << 0;

/// `struct sync_file_info`.
#[derive(Default)]
#[repr(C)]
struct SyncFileInfo {
    name: [u8; 32],
    status: i32,
    flags: u32,
    fences: u32,
    pad: u32,
    address: u64,
}

/// One client: a buffer of three pages at the device address 0, and a queue.
struct Client {
    node: Node,
    queue: Queue,
    bo: Bo,
    words: Words,
}

impl Client {
    fn new(path: &Path, timeout_ms: u32) -> Self {
        let node = Node::open(path).expect("a node");
        let mut bo = Bo {
            size: 3 * PAGE,
            ..Bo::default()
        };
        node.call(&mut bo).expect("a buffer object");
        let mut queue = Queue {
            timeout_ms,
            ..Queue::default()
        };
        node.call(&mut queue).expect("a queue");
        let words = node.words(bo.mmap_offset, 3 * COUNT).expect("memory");
        for (index, word) in words.iter().enumerate() {
            word.store(index as i32, Relaxed);
        }
        let client = Self {
            node,
            queue,
            bo,
            words,
        };
        client.bind(0, 0, bo.size, bo.handle).expect("a mapping");
        client
    }

    fn bind(&self, va: u64, bo_offset: u64, size: u64, bo_handle: u32) -> Result<(), Errno> {
        self.node.call(&mut Bind {
            vm_id: self.queue.vm_id,
            bo_handle,
            bo_offset,
            va,
            size,
        })
    }

    /// Adds the first page to the second, into the third, once `change` had its way; returns the
    /// syncobj of the end.
    fn submit(&self, change: impl FnOnce(&mut Submit)) -> Result<u32, Errno> {
        let signal = self.node.syncobj(0).expect("a syncobj");
        let mut submit = Submit {
            queue_id: self.queue.queue_id,
            count: COUNT as u32,
            left: 0,
            right: PAGE as u32,
            sum: 2 * PAGE as u32,
            signal,
            ..Submit::default()
        };
        change(&mut submit);
        self.node.call(&mut submit)?;
        Ok(signal)
    }

    /// Waits for the end of a job and returns its error.
    fn end(&self, syncobj: u32) -> Result<(), Errno> {
        self.node.wait(syncobj, PATIENCE).expect("the job ends");
        result(&self.fence(syncobj))
    }

    /// The fence in a syncobj, as a sync file.
    fn fence(&self, syncobj: u32) -> OwnedFd {
        let mut export = SyncobjHandle {
            handle: syncobj,
            flags: EXPORT_SYNC_FILE,
            ..SyncobjHandle::default()
        };
        self.node.call(&mut export).expect("a sync file");
        // SAFETY: the call has just made this descriptor for us.
        unsafe { OwnedFd::from_raw_fd(export.fd) }
    }

    fn sum(&self) -> Vec<i32> {
        let sum = &self.words[2 * COUNT..];
        sum.iter().map(|word| word.load(Relaxed)).collect()
    }
}

/// How what the fence stands for has ended; `EAGAIN` when it hasn't.
fn result(fence: &OwnedFd) -> Result<(), Errno> {
    const INFO: Opcode = opcode::read_write::<SyncFileInfo>(b'>', 4);
    let mut info = SyncFileInfo::default();
    // SAFETY: the number carries the structure's size; without room for fences none is written.
    unsafe { ioctl(fence, Updater::<INFO, SyncFileInfo>::new(&mut info)) }.expect("its info");
    match info.status {
        0 => Err(Errno::EAGAIN),
        1 => Ok(()),
        error => Err(Errno::from_raw(-error)),
    }
}

/// What the first page plus the second is.
fn expected() -> Vec<i32> {
    (0..COUNT as i32)
        .map(|index| 2 * index + COUNT as i32)
        .collect()
}

/// The node of the driver `template`.
fn node() -> Result<PathBuf, Skip> {
    let nodes = fs::read_dir("/dev/accel").into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let mut name = [0; 8];
        let mut version = Version {
            name_len: name.len() as u64,
            name: name.as_mut_ptr().expose_provenance() as u64,
            ..Version::default()
        };
        Node::open(path).is_ok_and(|node| node.call(&mut version).is_ok()) && &name == b"template"
    };
    let ours = nodes.map(|entry| entry.path()).find(is_ours);
    ours.ok_or(Skip("there is no node of the driver `template`".into()))
}

/// One test at a time: there is one device, and one test takes it away.
fn alone() -> MutexGuard<'static, ()> {
    static DEVICE: Mutex<()> = Mutex::new(());
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_device(test: &str, body: impl FnOnce(&Path)) {
    let _alone = alone();
    or_skip(test, || {
        body(&node()?);
        Ok(())
    });
}

#[test]
fn vectors_are_added() {
    on_device("vectors_are_added", |path| {
        let client = Client::new(path, 5000);
        assert_eq!(client.end(client.submit(|_| ()).unwrap()), Ok(()));
        assert_eq!(client.sum(), expected());
    });
}

#[test]
fn a_job_waits_for_another() {
    on_device("a_job_waits_for_another", |path| {
        let client = Client::new(path, 5000);
        let first = client.submit(|job| job.delay_us = 50_000).unwrap();
        let mut other = client.queue;
        client.node.call(&mut other).unwrap();
        let bo = client.bo.handle;
        let bind = |va, bo_offset| Bind {
            vm_id: other.vm_id,
            bo_handle: bo,
            bo_offset,
            va,
            size: PAGE,
        };
        // The sum of the first job is what the second adds to itself, in another address space.
        client.node.call(&mut bind(0, 2 * PAGE)).unwrap();
        client.node.call(&mut bind(PAGE, 0)).unwrap();
        let doubled = client.submit(|job| {
            (job.queue_id, job.wait) = (other.queue_id, first);
            (job.left, job.right, job.sum) = (0, 0, PAGE as u32);
        });
        assert_eq!(client.end(doubled.unwrap()), Ok(()));
        let first_page = client
            .words
            .iter()
            .take(COUNT)
            .map(|word| word.load(Relaxed));
        assert!(first_page.eq(expected().into_iter().map(|sum| 2 * sum)));
    });
}

#[test]
fn each_client_sees_its_own_memory() {
    on_device("each_client_sees_its_own_memory", |path| {
        let (one, other) = (Client::new(path, 5000), Client::new(path, 5000));
        other.words.iter().for_each(|word| word.store(1, Relaxed));
        let ends = [one.submit(|_| ()).unwrap(), other.submit(|_| ()).unwrap()];
        assert_eq!((one.end(ends[0]), other.end(ends[1])), (Ok(()), Ok(())));
        assert_eq!(one.sum(), expected());
        assert_eq!(other.sum(), vec![2; COUNT]);
    });
}

#[test]
fn what_is_unbound_is_out_of_reach() {
    on_device("what_is_unbound_is_out_of_reach", |path| {
        let client = Client::new(path, 5000);
        client.bind(PAGE, 0, PAGE, 0).unwrap();
        assert_eq!(
            client.end(client.submit(|_| ()).unwrap()),
            Err(Errno::EFAULT)
        );
        assert_eq!(client.submit(|_| ()), Err(Errno::ECANCELED));
        // Another queue goes on, also with what is bound again.
        let other = Client::new(path, 5000);
        other.bind(PAGE, 0, PAGE, 0).unwrap();
        other.bind(PAGE, PAGE, PAGE, other.bo.handle).unwrap();
        assert_eq!(other.end(other.submit(|_| ()).unwrap()), Ok(()));
        assert_eq!(other.sum(), expected());
    });
}

#[test]
fn outside_of_the_page_table_is_nothing() {
    on_device("outside_of_the_page_table_is_nothing", |path| {
        let client = Client::new(path, 5000);
        let handle = client.bo.handle;
        assert_eq!(client.bind(VA_END, 0, PAGE, handle), Err(Errno::EINVAL));
        let end = client.submit(|job| job.left = VA_END as u32).unwrap();
        assert_eq!(client.end(end), Err(Errno::EFAULT));
    });
}

#[test]
fn a_job_that_takes_too_long_is_stopped() {
    on_device("a_job_that_takes_too_long_is_stopped", |path| {
        let client = Client::new(path, 100);
        let end = client.submit(|job| job.delay_us = 60_000_000).unwrap();
        assert_eq!(client.end(end), Err(Errno::ETIMEDOUT));
        let other = Client::new(path, 5000);
        assert_eq!(other.end(other.submit(|_| ()).unwrap()), Ok(()));
    });
}

#[test]
fn who_goes_makes_room() {
    on_device("who_goes_makes_room", |path| {
        let client = Client::new(path, 10_000);
        client.submit(|job| job.delay_us = 60_000_000).unwrap();
        drop(client);
        let other = Client::new(path, 5000);
        assert_eq!(other.end(other.submit(|_| ()).unwrap()), Ok(()));
    });
}

#[test]
fn a_device_may_go_and_come_back() {
    on_device("a_device_may_go_and_come_back", |path| {
        let client = Client::new(path, 10_000);
        let fence = client.fence(client.submit(|job| job.delay_us = 60_000_000).unwrap());
        assert_eq!(result(&fence), Err(Errno::EAGAIN));
        let driver = PathBuf::from("/sys/bus/platform/drivers/template");
        let device = "d0000000.accelerator";
        fs::write(driver.join("unbind"), device).expect("root unbinds the driver");
        assert_eq!(result(&fence), Err(Errno::ENODEV));
        assert_eq!(client.bind(0, 0, PAGE, 0), Err(Errno::ENODEV));
        drop(client);
        fs::write(driver.join("bind"), device).expect("root binds the driver");
        let again = Client::new(&node().unwrap(), 5000);
        assert_eq!(again.end(again.submit(|_| ()).unwrap()), Ok(()));
        assert_eq!(again.sum(), expected());
    });
}
