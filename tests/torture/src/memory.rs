//! Calls in which the first allocation fails, then the second, until all of them were let pass.
//!
//! `/proc/thread-self/fail-nth` counts the allocations of this thread alone.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use apu_conformance::Bench;
use apu_conformance::uapi::{
    BIND_UNMAP, BoCreate, PrimeFdToHandle, QueueDestroy, VmCreate, VmDestroy,
};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

use crate::client::ready;
use crate::counts::{Counts, count};

/// Allocations of a call that are made to fail, at most.
const MOST: u32 = 500;

/// A call, undone if it succeeds.
type Call = fn(&Bench) -> Result<(), Errno>;

const CALLS: [(&str, Call); 9] = [
    ("QUERY", |t| t.node.device().map(drop)),
    ("BO_CREATE", |t| {
        let mut bo = BoCreate {
            size: 3 * t.page(),
            ..BoCreate::default()
        };
        t.node.call(&mut bo)?;
        t.node.close(bo.handle)
    }),
    ("VM_CREATE", |t| {
        let mut vm = VmCreate::default();
        t.node.call(&mut vm)?;
        t.node.call(&mut VmDestroy {
            vm_id: vm.vm_id,
            pad: 0,
        })
    }),
    ("VM_BIND map", |t| t.vm_bind(|_, op| op.va += t.bo.size)),
    ("VM_BIND remap", |t| {
        t.vm_bind(|_, op| (op.va, op.size) = (t.va.start + t.bo.size + t.page(), t.page()))
    }),
    ("VM_BIND unmap", |t| {
        t.vm_bind(|_, op| {
            (op.kind, op.bo_handle, op.va) = (BIND_UNMAP, 0, t.va.start + t.bo.size);
        })
    }),
    ("QUEUE_CREATE", |t| {
        let mut queue = t.queue();
        t.node.call(&mut queue)?;
        t.node.call(&mut QueueDestroy {
            queue_id: queue.queue_id,
            pad: 0,
        })
    }),
    ("SUBMIT", |t| {
        let job = t.submit(|s| (s.submit.job_count, s.jobs[0].wait_count) = (2, 1))?;
        t.node.forget(job)
    }),
    ("PRIME", |t| {
        let exported = t.node.export(t.bo.handle)?;
        let mut import = PrimeFdToHandle {
            fd: exported.as_raw_fd(),
            ..PrimeFdToHandle::default()
        };
        t.node.call(&mut import)
    }),
];

/// Makes calls until it is killed. The seed only says with which one it begins.
pub fn main(seed: u64, counts: &Counts) -> Result<()> {
    let failures = Failures::new()?;
    let mut round = seed as usize;
    loop {
        let bench = ready();
        for _ in 0..CALLS.len() {
            let (name, call) = CALLS[round % CALLS.len()];
            exhaust(name, call, &bench, &failures, counts);
            round += 1;
        }
        // Whatever failed, the client goes on, and what it computes is right.
        match bench.works(round as i32) {
            Ok(()) => count(&counts.exact),
            Err(_) => count(&counts.lost),
        }
    }
}

/// Makes `call` again and again, with one allocation more each time before one fails.
fn exhaust(name: &str, call: Call, bench: &Bench, failures: &Failures, counts: &Counts) {
    for nth in 1..MOST {
        let (called, injected) = failures.during(nth, || call(bench));
        if !injected {
            return;
        }
        count(&counts.failures);
        // Hardware that is lost is another story, and so is a queue that it took along.
        let lost = [
            Errno::ENODEV,
            Errno::ECANCELED,
            Errno::ETIMEDOUT,
            Errno::EINTR,
        ];
        match called {
            // shmem says ENOSPC when it gets no inode.
            Ok(()) | Err(Errno::ENOMEM | Errno::ENOSPC) => {}
            Err(errno) if lost.contains(&errno) => return,
            Err(errno) => {
                println!("wrong: {name} without its allocation {nth} fails with {errno:?}");
                count(&counts.wrong);
            }
        }
    }
}

/// The right to let allocations of this thread fail.
struct Failures(File);

impl Failures {
    fn new() -> Result<Self> {
        let path = "/proc/thread-self/fail-nth";
        let file = File::options().read(true).write(true).open(path);
        Ok(Self(file.with_context(|| {
            format!("{path}: is this the debug kernel?")
        })?))
    }

    /// Makes a call in which allocation `nth` fails. Returns whether there was one.
    fn during<R>(&self, nth: u32, call: impl FnOnce() -> R) -> (R, bool) {
        let order = nth.to_string();
        let ordered = self.0.write_at(order.as_bytes(), 0).is_ok();
        let result = call();
        let mut left = [0; 16];
        let length = self.0.read_at(&mut left, 0).unwrap_or(0);
        let _ = self.0.write_at(b"0", 0);
        let left = String::from_utf8_lossy(left.get(..length).unwrap_or_default());
        (
            result,
            ordered && left.trim_matches(['\0', '\n', ' ']) == "0",
        )
    }
}
