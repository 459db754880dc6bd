//! The simulated APU as the driver sees it, with a socket pair and a file in memory for the kernel.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../apu-firmware/tests/support/mod.rs"]
mod support;

use apu_firmware::frame::{Body, Frame, body, open, split_first};
use apu_kernels::Isa;
use apu_proto::message::{
    Cancel, Done, Fault, Hello, HelloAck, MAP_READ_ONLY, MAX_SEGMENTS, Map, NO_OP, Run, Segment,
    Sync, SyncAck, Unmap, VERSION_MIN, VmCreate, VmDestroy, kind, reject, status,
};
use apu_simd::inject::{Faults, hostile_messages};
use apu_simd::tokens::Tokens;
use apu_simd::{Control, Error, Options, VA as VA_RANGE, serve};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{pread, pwrite, read, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use support::{Source, copy, operand, through_the_arena};

const PAGE: u64 = 4096;

/// The kernel's end of the control node.
struct Host {
    messages: OwnedFd,
    pages: OwnedFd,
    device: JoinHandle<Result<(), Error>>,
    /// What has come and nobody has asked for yet: kinds and bodies.
    heard: RefCell<VecDeque<(u16, Vec<u8>)>>,
}

impl Host {
    /// A device that has not been greeted yet.
    fn new(cores: u32, faults: Faults) -> Self {
        let kind = SocketType::SEQPACKET;
        let (messages, theirs) =
            socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        let pages = memfd_create("pages", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&pages, 64 << 20).unwrap();
        let control = Control::from_parts(theirs, rustix::io::dup(&pages).unwrap());
        let options = Options {
            cores,
            isa: Isa::plain(),
            faults,
        };
        let control = Arc::new(control);
        let platform = Tokens::new(Arc::clone(&control), VA_RANGE);
        let device = spawn(move || serve(control, platform, &options, || {}));
        Self {
            messages,
            pages,
            device,
            heard: RefCell::default(),
        }
    }

    /// A device with VM 1.
    fn greeted(cores: u32) -> Self {
        let host = Self::new(cores, Faults::default());
        host.greet();
        host.create(1);
        host
    }

    fn greet(&self) -> HelloAck {
        self.greet_with(VERSION_MIN)
    }

    fn greet_with(&self, version: u32) -> HelloAck {
        self.tell(&Hello {
            version_min: version,
            version_max: version,
        });
        self.hear()
    }

    fn tell<B: Body>(&self, message: &B) {
        write(&self.messages, Frame::new(message).as_bytes()).unwrap();
    }

    /// What comes next but for a line of the log.
    fn packet(&self) -> Vec<u8> {
        loop {
            let mut buffer = [0; 8192];
            let length = read(&self.messages, &mut buffer).unwrap();
            let packet = &buffer[..length];
            if !matches!(open(packet), Ok((kind::LOG, _))) {
                return packet.to_vec();
            }
        }
    }

    /// The next message but for lines of the log and heartbeats: its kind and its body.
    fn next(&self) -> (u16, Vec<u8>) {
        loop {
            if let Some(message) = self.heard.borrow_mut().pop_front() {
                return message;
            }
            let packet = self.packet();
            let mut packet = packet.as_slice();
            while !packet.is_empty() {
                let (message, rest) = split_first(packet);
                let (kind, bytes) = open(message).unwrap();
                if kind != kind::LOG && kind != kind::HEARTBEAT {
                    self.heard.borrow_mut().push_back((kind, bytes.to_vec()));
                }
                packet = rest;
            }
        }
    }

    fn hear<B: Body>(&self) -> B {
        let (kind, bytes) = self.next();
        assert_eq!(kind, B::KIND);
        body(&bytes).unwrap()
    }

    /// The next ends of jobs.
    fn ends(&self, count: usize) -> Vec<(u64, u32)> {
        let end = || self.hear::<Done>();
        (0..count)
            .map(|_| end())
            .map(|done| (done.job, done.status))
            .collect()
    }

    fn create(&self, vm: u32) {
        self.tell(&VmCreate {
            vm,
            pad: 0,
            root: 0,
        });
    }

    fn map(&self, vm: u32, flags: u32, va: u64, size: u64, token: u64) {
        self.tell(&Map {
            vm,
            flags,
            va,
            size,
            token,
        });
    }

    fn unmap(&self, va: u64, size: u64) {
        self.tell(&Unmap {
            vm: 1,
            pad: 0,
            va,
            size,
        });
    }

    fn sync(&self) {
        self.tell(&Sync { cookie: 77 });
        assert_eq!(self.hear::<SyncAck>().cookie, 77);
    }

    fn run(&self, run: &Run) -> Done {
        self.tell(run);
        self.hear()
    }

    /// Puts the code of a program and its input where [`layout`] has them.
    fn load(&self, place: u64, source: &Source, input: u8) {
        pwrite(&self.pages, &source.clone().code(), place).unwrap();
        pwrite(&self.pages, &[input; 64], place + INPUT).unwrap();
    }

    fn output(&self, place: u64) -> [u8; 64] {
        let mut output = [0; 64];
        pread(&self.pages, &mut output, place + OUTPUT).unwrap();
        output
    }

    /// Maps code, arena, input and output from `place` of the file to [`VA`] of a VM.
    fn map_all(&self, vm: u32, place: u64) {
        self.map(vm, MAP_READ_ONLY, VA + CODE, PAGE, place + CODE);
        self.map(vm, 0, VA + ARENA, PAGE, place + ARENA);
        self.map(vm, MAP_READ_ONLY, VA + INPUT, PAGE, place + INPUT);
        self.map(vm, 0, VA + OUTPUT, PAGE, place + OUTPUT);
    }

    /// Takes the device away; it ends well.
    fn end(self) {
        drop(self.messages);
        self.device.join().unwrap().unwrap();
    }
}

const VA: u64 = 0x10_0000;
const CODE: u64 = 0;
const ARENA: u64 = PAGE;
const INPUT: u64 = 2 * PAGE;
const OUTPUT: u64 = 3 * PAGE;

/// A run of [`through_the_arena`] at [`VA`].
fn a_run(job: u64, vm: u32) -> Run {
    let mut segments = [Segment::default(); MAX_SEGMENTS];
    for (slot, (va, size)) in segments.iter_mut().zip([
        (0, 0),
        (VA + ARENA, 128),
        (VA + INPUT, 64),
        (VA + OUTPUT, 64),
    ]) {
        *slot = Segment { va, size };
    }
    Run {
        job,
        vm,
        core: 0,
        priority: 0,
        program: Segment {
            va: VA + CODE,
            size: PAGE,
        },
        segment_count: 4,
        max_cores: 0,
        queue: 0,
        segments,
    }
}

#[test]
fn a_job_runs_over_the_pages_that_were_mapped() {
    let host = Host::greeted(1);
    host.load(0, &through_the_arena(), 7);
    host.map_all(1, 0);
    let done = host.run(&a_run(1, 1));
    assert_eq!((done.job, done.status, done.op), (1, status::OK, NO_OP));
    assert!(done.start_ns <= done.end_ns);
    assert_eq!(host.output(0), [7; 64]);
    host.end();
}

#[test]
fn each_vm_has_its_own_pages_at_the_same_address() {
    let host = Host::greeted(1);
    host.create(2);
    for (vm, place, input) in [(1, 0, 7), (2, 8 * PAGE, 9)] {
        host.load(place, &through_the_arena(), input);
        host.map_all(vm, place);
    }
    assert_eq!(host.run(&a_run(1, 1)).status, status::OK);
    assert_eq!(host.run(&a_run(2, 2)).status, status::OK);
    assert_eq!((host.output(0), host.output(8 * PAGE)), ([7; 64], [9; 64]));
    host.end();
}

#[test]
fn what_is_not_mapped_faults_with_its_address() {
    let host = Host::greeted(1);
    host.load(0, &through_the_arena(), 7);
    let done = host.run(&a_run(1, 1));
    assert_eq!(
        (done.status, done.address, done.op),
        (status::ADDRESS_FAULT, VA, NO_OP)
    );
    host.map(1, 0, VA, PAGE, 0);
    let done = host.run(&a_run(2, 1));
    assert_eq!(
        (done.status, done.address, done.op),
        (status::ADDRESS_FAULT, VA + ARENA, 0)
    );
    host.end();
}

#[test]
fn what_is_read_only_can_not_be_written() {
    let host = Host::greeted(1);
    host.load(0, &through_the_arena(), 7);
    host.map(1, MAP_READ_ONLY, VA, 4 * PAGE, 0);
    let done = host.run(&a_run(1, 1));
    assert_eq!(
        (done.status, done.address),
        (status::ADDRESS_FAULT, VA + ARENA)
    );
    host.end();
}

#[test]
fn after_unmap_and_sync_the_pages_are_out_of_reach() {
    let host = Host::greeted(1);
    host.load(0, &through_the_arena(), 7);
    host.map(1, 0, VA, 4 * PAGE, 0);
    assert_eq!(host.run(&a_run(1, 1)).status, status::OK);
    host.unmap(VA + OUTPUT, PAGE);
    host.sync();
    pwrite(&host.pages, &[0; 64], OUTPUT).unwrap();
    let done = host.run(&a_run(2, 1));
    assert_eq!(
        (done.status, done.address),
        (status::ADDRESS_FAULT, VA + OUTPUT)
    );
    assert_eq!(host.output(0), [0; 64]);
    // The rest of the mapping is still there.
    host.map(1, 0, VA + OUTPUT, PAGE, OUTPUT);
    assert_eq!(host.run(&a_run(3, 1)).status, status::OK);
    host.end();
}

#[test]
fn a_range_that_can_not_be_mapped_stays_unmapped() {
    let host = Host::greeted(1);
    host.load(0, &through_the_arena(), 7);
    host.map_all(1, 0);
    host.unmap(VA + OUTPUT, PAGE);
    // No such place in the file of pages.
    host.map(1, 0, VA + OUTPUT, PAGE, 1);
    let done = host.run(&a_run(1, 1));
    assert_eq!(
        (done.status, done.address),
        (status::ADDRESS_FAULT, VA + OUTPUT)
    );
    host.end();
}

#[test]
fn a_destroyed_vm_runs_nothing() {
    let host = Host::greeted(1);
    host.tell(&VmDestroy { vm: 1, pad: 0 });
    assert_eq!(host.run(&a_run(1, 1)).status, status::BAD_HANDLE);
    host.end();
}

#[test]
fn a_program_that_is_no_program_is_rejected() {
    let host = Host::greeted(1);
    host.map(1, 0, VA, 4 * PAGE, 0);
    let done = host.run(&a_run(1, 1));
    assert_eq!(
        (done.status, done.detail),
        (status::REJECTED, reject::HEADER)
    );
    host.end();
}

#[test]
fn cores_run_jobs_of_their_own_even_over_the_same_memory() {
    let host = Host::greeted(4);
    host.load(0, &through_the_arena(), 7);
    host.map_all(1, 0);
    for job in 1..=64 {
        host.tell(&Run {
            core: job as u16 % 4,
            ..a_run(job, 1)
        });
    }
    let mut jobs: Vec<u64> = (0..64)
        .map(|_| {
            let done: Done = host.hear();
            assert_eq!(done.status, status::OK);
            done.job
        })
        .collect();
    jobs.sort_unstable();
    assert!(jobs.into_iter().eq(1..=64));
    assert_eq!(host.output(0), [7; 64]);
    host.end();
}

/// A program that copies a megabyte for seconds, and a run of it: code, arena, no input or output.
fn a_long_run(host: &Host) -> Run {
    const SIZE: u32 = 1 << 20;
    let step = copy(operand(1, 0, SIZE), operand(1, SIZE, SIZE));
    let mut source = Source::new(0, u64::from(SIZE) * 2, &[], &[]);
    source.ops = vec![step; 60_000];
    let code = source.code();
    let code_size = (code.len() as u64).next_multiple_of(PAGE);
    assert_eq!(pwrite(&host.pages, &code, 0).unwrap(), code.len());
    host.map(1, MAP_READ_ONLY, VA, code_size, 0);
    let arena = VA + code_size;
    host.map(1, 0, arena, u64::from(SIZE) * 2, code_size);
    let mut run = a_run(1, 1);
    run.program.size = code_size;
    run.segment_count = 2;
    run.segments[1] = Segment {
        va: arena,
        size: u64::from(SIZE) * 2,
    };
    run
}

#[test]
fn a_running_job_can_be_cancelled() {
    let host = Host::greeted(1);
    host.tell(&a_long_run(&host));
    host.tell(&Cancel { job: 1 });
    let done: Done = host.hear();
    assert_eq!((done.job, done.status), (1, status::CANCELLED));
    host.end();
}

/// Has a core run a long job of queue 7 and wait with `others`, then gives the long one up.
fn behind_a_cancelled_one(others: &[Run]) -> Vec<(u64, u32)> {
    let host = Host::new(1, Faults::default());
    assert_eq!(host.greet().version, VERSION_MIN);
    host.create(1);
    host.tell(&Run {
        queue: 7,
        ..a_long_run(&host)
    });
    for other in others {
        host.tell(other);
    }
    host.tell(&Cancel { job: 1 });
    let ends = host.ends(1 + others.len());
    host.end();
    ends
}

/// What has no program, so that it is rejected if it is run at all.
fn a_bad_run(job: u64, queue: u32, priority: u16) -> Run {
    let mut run = a_run(job, 1);
    run.program = run.segments[1];
    Run {
        queue,
        priority,
        ..run
    }
}

#[test]
fn the_most_urgent_job_that_waits_runs_next() {
    let others = [
        a_bad_run(2, 2, 0),
        a_bad_run(3, 3, 1),
        a_bad_run(4, 4, 3),
        a_bad_run(5, 5, 1),
    ];
    let ends = behind_a_cancelled_one(&others);
    let order: Vec<u64> = ends.into_iter().map(|(job, _)| job).collect();
    assert_eq!(order, [1, 4, 3, 5, 2]);
}

#[test]
fn jobs_behind_one_of_their_queue_that_failed_are_not_run() {
    let others = [a_bad_run(2, 7, 0), a_bad_run(3, 8, 0), a_bad_run(4, 7, 0)];
    assert_eq!(
        behind_a_cancelled_one(&others),
        [
            (1, status::CANCELLED),
            (2, status::CANCELLED),
            (3, status::REJECTED),
            (4, status::CANCELLED)
        ]
    );
}

#[test]
fn a_running_job_that_loses_its_pages_faults_and_the_unmap_does_not_wait_for_its_end() {
    let host = Host::greeted(1);
    let run = a_long_run(&host);
    host.tell(&run);
    host.unmap(run.segments[1].va, PAGE);
    host.tell(&Sync { cookie: 5 });
    // SYNC_ACK and DONE come in either order.
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (kind, bytes) = host.next();
        if kind == kind::DONE {
            let done: Done = body(&bytes).unwrap();
            assert_eq!(
                (done.status, done.address),
                (status::ADDRESS_FAULT, run.segments[1].va)
            );
        }
        seen.push(kind);
    }
    seen.sort_unstable();
    assert_eq!(seen, [kind::SYNC_ACK, kind::DONE]);
    host.end();
}

#[test]
fn a_second_hello_ends_what_runs() {
    let host = Host::greeted(1);
    host.tell(&a_long_run(&host));
    host.tell(&Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MIN,
    });
    assert_eq!(host.hear::<Done>().status, status::CANCELLED);
    assert_eq!(host.hear::<HelloAck>().version, VERSION_MIN);
    host.create(1);
    host.sync();
    host.end();
}

#[test]
fn the_device_ends_when_the_kernel_goes_away_in_mid_job() {
    let host = Host::greeted(1);
    host.tell(&a_long_run(&host));
    host.end();
}

#[test]
fn a_malformed_message_is_answered_and_hello_mends_it() {
    let host = Host::greeted(1);
    write(&host.messages, b"APU1 is not enough").unwrap();
    assert_eq!(host.hear::<Fault>().status, status::REJECTED);
    assert_eq!(host.greet().version, VERSION_MIN);
    host.end();
}

#[test]
fn garbage_comes_only_when_asked_for() {
    let faults = Faults {
        garbage: Some(1),
        ..Faults::default()
    };
    let host = Host::new(1, faults);
    host.greet();
    host.create(1);
    assert_eq!(host.run(&a_run(1, 1)).job, 1);
    host.tell(&a_run(2, 1));
    for (what, message) in hostile_messages() {
        assert_eq!(host.packet(), message, "{what}");
    }
    assert_eq!(host.hear::<Done>().job, 2);
    host.end();
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let error = Control::open("/nowhere/apu-sim0".as_ref()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/apu-sim0"));
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(help.contains("cargo xtask uml run"));
}
