//! What the server answers to which message, and how a job runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use apu_firmware::frame::{Body, Frame, MessageError, body, open};
use apu_firmware::memory::Memory;
use apu_firmware::{Action, Alone, Device, Job, Server, Slots};
use apu_kernels::Isa;
use apu_proto::message::{
    Cancel, Done, Hello, HelloAck, MAP_READ_ONLY, MAX_SEGMENTS, Map, NO_OP, Resume, Run, Segment,
    Suspend, Sync, SyncAck, Unmap, VERSION_MAX, VERSION_MIN, VmCreate, VmDestroy, addressing, kind,
    reject, status,
};
use proptest::prelude::*;
use std::cell::RefCell;
use support::{Ram, Source, copy, operand, through_the_arena};

/// Notes what it is asked for.
#[derive(Default)]
struct Notes(Vec<String>);

impl Memory for Notes {
    fn create(&mut self, vm: u32, _root: u64) {
        self.0.push(format!("create {vm}"));
    }
    fn destroy(&mut self, vm: u32) {
        self.0.push(format!("destroy {vm}"));
    }
    fn map(&mut self, map: &Map) {
        self.0
            .push(format!("map {} {:#x}+{:#x}", map.vm, map.va, map.size));
    }
    fn unmap(&mut self, unmap: &Unmap) {
        self.0.push(format!(
            "unmap {} {:#x}+{:#x}",
            unmap.vm, unmap.va, unmap.size
        ));
    }
    fn quiesce(&mut self) {
        self.0.push("quiesce".into());
    }
}

const JOBS: usize = 3;
type TestServer<'s> = Server<'s, Notes, 2, JOBS>;

fn new_server(slots: &Slots<JOBS>) -> TestServer<'_> {
    let device = Device {
        core_count: 1,
        va: 0x1_0000..0x10_0000,
        page_size: 4096,
        addressing: addressing::TOKENS,
        heartbeat_ms: 0,
    };
    Server::new(device, Notes::default(), slots)
}

fn tell<B: Body>(server: &mut TestServer<'_>, message: &B) -> Result<Action, MessageError> {
    server.handle(Frame::new(message).as_bytes())
}

fn answer<B: Body>(action: Result<Action, MessageError>) -> B {
    let Ok(Action::Reply(reply)) = action else {
        panic!("{action:?} instead of an answer");
    };
    let (kind, bytes) = open(reply.as_bytes()).unwrap();
    assert_eq!(kind, B::KIND);
    body(bytes).unwrap()
}

fn started(action: Result<Action, MessageError>) -> Job {
    let Ok(Action::Start(job)) = action else {
        panic!("{action:?} instead of a job");
    };
    job
}

const HELLO: Hello = Hello {
    version_min: VERSION_MIN,
    version_max: VERSION_MIN,
};

const fn create(vm: u32) -> VmCreate {
    VmCreate {
        vm,
        pad: 0,
        root: 0,
    }
}

/// A server that has been greeted and knows VM 1.
fn with_vm(slots: &Slots<JOBS>) -> TestServer<'_> {
    let mut server = new_server(slots);
    tell(&mut server, &HELLO).unwrap();
    tell(&mut server, &create(1)).unwrap();
    server
}

fn a_run(job: u64) -> Run {
    Run {
        job,
        vm: 1,
        core: 0,
        priority: 0,
        program: Segment::default(),
        segment_count: 0,
        max_cores: 0,
        queue: 0,
        segments: [Segment::default(); MAX_SEGMENTS],
    }
}

#[test]
fn the_newest_common_version_is_chosen() {
    for (version_min, version_max, chosen) in [
        (VERSION_MIN, VERSION_MIN, VERSION_MIN),
        (1, 99, VERSION_MAX),
        (0, VERSION_MIN, VERSION_MIN),
        (VERSION_MAX, 99, VERSION_MAX),
        (1, VERSION_MIN - 1, 0),
        (VERSION_MAX + 1, 99, 0),
        (0, 0, 0),
        (99, 1, 0),
    ] {
        let slots = Slots::new();
        let mut server = new_server(&slots);
        let hello = Hello {
            version_min,
            version_max,
        };
        let ack: HelloAck = answer(tell(&mut server, &hello));
        assert_eq!(ack.version, chosen, "{hello:?}");
        assert_eq!(server.is_online(), chosen != 0);
    }
}

#[test]
fn the_device_says_what_it_is() {
    let slots = Slots::new();
    let ack: HelloAck = answer(tell(&mut new_server(&slots), &HELLO));
    assert_eq!(
        (ack.va_start, ack.va_end, ack.core_count),
        (0x1_0000, 0x10_0000, 1)
    );
    assert!(ack.target.starts_with(b"k4n16\0"));
    assert_eq!(
        (ack.vm_max, ack.job_max),
        (2, 2),
        "a slot is kept back for each core"
    );
}

#[test]
fn nothing_is_taken_before_hello() {
    let slots = Slots::new();
    let mut server = new_server(&slots);
    assert_eq!(
        tell(&mut server, &create(1)).unwrap_err(),
        MessageError::NotGreeted {
            kind: kind::VM_CREATE
        }
    );
}

#[test]
fn a_second_hello_forgets_everything() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    let job = started(tell(&mut server, &a_run(7)));
    answer::<HelloAck>(tell(&mut server, &HELLO));
    assert!(slots.is_cancelled(&job));
    assert_eq!(
        server.memory().0,
        ["quiesce", "create 1", "quiesce", "destroy 1"]
    );
    assert!(tell(&mut server, &create(1)).is_ok());
}

#[test]
fn after_a_fault_only_hello_is_heard() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    let error = tell(&mut server, &create(0)).unwrap_err();
    let fault = error.fault();
    assert_eq!(
        (fault.status, fault.kind),
        (status::BAD_HANDLE, u32::from(kind::VM_CREATE))
    );
    assert!(matches!(
        tell(&mut server, &Sync { cookie: 1 }),
        Ok(Action::Nothing)
    ));
    answer::<HelloAck>(tell(&mut server, &HELLO));
    assert_eq!(
        answer::<SyncAck>(tell(&mut server, &Sync { cookie: 1 })).cookie,
        1
    );
}

#[test]
fn vms_are_counted_and_named() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    tell(&mut server, &create(5)).unwrap();
    assert!(matches!(
        tell(&mut server, &create(6)).unwrap_err(),
        MessageError::Full { limit: 2, .. }
    ));
    let mut server = with_vm(&slots);
    assert!(matches!(
        tell(&mut server, &create(1)).unwrap_err(),
        MessageError::Handle { got: 1, .. }
    ));
    let mut server = with_vm(&slots);
    tell(&mut server, &VmDestroy { vm: 1, pad: 0 }).unwrap();
    assert!(tell(&mut server, &VmDestroy { vm: 1, pad: 0 }).is_err());
}

#[test]
fn mappings_are_whole_pages_within_the_device() {
    let good = Map {
        vm: 1,
        flags: MAP_READ_ONLY,
        va: 0x1_0000,
        size: 0xf_0000,
        token: 3,
    };
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    tell(&mut server, &good).unwrap();
    assert_eq!(server.memory().0.last().unwrap(), "map 1 0x10000+0xf0000");
    for (bad, field) in [
        (Map { vm: 9, ..good }, "vm"),
        (Map { flags: 2, ..good }, "flags"),
        (Map { va: 0xf000, ..good }, "va"),
        (
            Map {
                va: 0x1_0001,
                ..good
            },
            "va",
        ),
        (Map { va: !0xfff, ..good }, "va"),
        (Map { size: 0, ..good }, "size"),
        (
            Map {
                size: 0xf_1000,
                ..good
            },
            "size",
        ),
        (
            Map {
                size: 0x1001,
                ..good
            },
            "size",
        ),
        (
            Map {
                size: !0xfff,
                ..good
            },
            "size",
        ),
    ] {
        let mut server = with_vm(&slots);
        let error = tell(&mut server, &bad).unwrap_err();
        assert!(error.to_string().contains(field), "{error} for {bad:?}");
        assert_eq!(server.memory().0.last().unwrap(), "create 1");
    }
}

#[test]
fn a_job_that_can_not_start_is_answered_at_once() {
    let cases = [
        (
            Run {
                core: 1,
                ..a_run(1)
            },
            status::BAD_HANDLE,
            0,
        ),
        (Run { vm: 2, ..a_run(2) }, status::BAD_HANDLE, 0),
        (Run { vm: 0, ..a_run(3) }, status::BAD_HANDLE, 0),
        (
            Run {
                segment_count: 25,
                max_cores: 0,
                ..a_run(4)
            },
            status::REJECTED,
            reject::SEGMENT,
        ),
    ];
    for (run, status, detail) in cases {
        let slots = Slots::new();
        let done: Done = answer(tell(&mut with_vm(&slots), &run));
        assert_eq!(
            (done.job, done.status, done.detail, done.op),
            (run.job, status, detail, NO_OP)
        );
    }
}

#[test]
fn a_device_that_sleeps_keeps_its_vms_and_takes_no_job() {
    let slots = Slots::new();
    let mut server = new_server(&slots);
    let hello = Hello {
        version_max: VERSION_MAX,
        ..HELLO
    };
    tell(&mut server, &hello).unwrap();
    tell(&mut server, &create(1)).unwrap();
    tell(&mut server, &Suspend { pad: 0 }).unwrap();
    assert!(server.is_suspended() && server.is_online());
    tell(&mut server, &create(2)).unwrap();
    tell(&mut server, &Resume { pad: 0 }).unwrap();
    for (job, vm) in [(1, 1), (2, 2)] {
        started(tell(&mut server, &Run { vm, ..a_run(job) }));
    }
    tell(&mut server, &Suspend { pad: 0 }).unwrap();
    let error = tell(&mut server, &a_run(3)).unwrap_err();
    assert_eq!(error, MessageError::Suspended);
}

#[test]
fn a_device_of_an_earlier_version_does_not_sleep() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    let hello = Hello {
        version_max: 3,
        ..HELLO
    };
    tell(&mut server, &hello).unwrap();
    let kind = kind::SUSPEND;
    let error = tell(&mut server, &Suspend { pad: 0 }).unwrap_err();
    assert_eq!(error, MessageError::Kind { kind });
}

#[test]
fn several_cores_work_on_a_job_from_version_4_on() {
    let slots = Slots::new();
    for (version_max, cores) in [(4, Ok(2)), (3, Err(()))] {
        let mut server = with_vm(&slots);
        let hello = Hello {
            version_max,
            ..HELLO
        };
        tell(&mut server, &hello).unwrap();
        tell(&mut server, &create(1)).unwrap();
        let spread = Run {
            max_cores: 2,
            ..a_run(1)
        };
        let told = tell(&mut server, &spread).map_err(drop);
        assert_eq!(told.map(|action| started(Ok(action)).max_cores()), cores);
    }
}

#[test]
fn there_are_as_many_jobs_as_slots() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    let jobs: Vec<Job> = (1..=3)
        .map(|job| started(tell(&mut server, &a_run(job))))
        .collect();
    slots.release(jobs[1]);
    let next = started(tell(&mut server, &a_run(4)));
    assert_eq!(next.slot(), jobs[1].slot());
    assert!(matches!(
        tell(&mut server, &a_run(5)).unwrap_err(),
        MessageError::Full { limit: 3, .. }
    ));
}

#[test]
fn cancel_reaches_the_job_it_names_and_no_later_one() {
    let slots = Slots::new();
    let mut server = with_vm(&slots);
    let (first, second) = (
        started(tell(&mut server, &a_run(1))),
        started(tell(&mut server, &a_run(2))),
    );
    tell(&mut server, &Cancel { job: 2 }).unwrap();
    assert!(!slots.is_cancelled(&first));
    assert!(slots.is_cancelled(&second));
    slots.release(second);
    let third = started(tell(&mut server, &a_run(3)));
    assert!(!slots.is_cancelled(&third));
    tell(&mut server, &Cancel { job: 2 }).unwrap();
    assert!(!slots.is_cancelled(&third), "job 2 is over");
}

/// Where a job finds things in the test's memory.
const CODE: u64 = 0;
const ARENA: u64 = 0x1000;
const INPUT: u64 = 0x2000;
const OUTPUT: u64 = 0x3000;

fn memory(source: &Source) -> Ram {
    let mut bytes = source.clone().code();
    bytes.resize(0x4000, 0);
    bytes[INPUT as usize..][..64].copy_from_slice(&[9; 64]);
    Ram {
        bytes: RefCell::new(bytes),
        read_only: 0x1000,
    }
}

fn job_run(source: &Source) -> Run {
    let mut run = a_run(1);
    run.program = Segment {
        va: CODE,
        size: source.clone().code().len() as u64,
    };
    run.segment_count = 4;
    for (slot, (va, size)) in
        run.segments
            .iter_mut()
            .zip([(0, 0), (ARENA, 128), (INPUT, 64), (OUTPUT, 64)])
    {
        *slot = Segment { va, size };
    }
    run
}

/// Starts a job over `ram` and returns its end.
fn run(ram: &Ram, run: &Run) -> Done {
    let slots = Slots::new();
    let job = started(tell(&mut with_vm(&slots), run));
    let result = job.run(ram, Isa::plain(), &mut Alone, || slots.is_cancelled(&job));
    answer(Ok(Action::Reply(job.done(&result, 5..9, 70))))
}

#[test]
fn a_job_runs_over_device_memory() {
    let source = through_the_arena();
    let ram = memory(&source);
    let done = run(&ram, &job_run(&source));
    assert_eq!(
        (
            done.status,
            done.op,
            done.start_ns,
            done.end_ns,
            done.cycles
        ),
        (status::OK, NO_OP, 5, 9, 70)
    );
    assert_eq!(ram.bytes.borrow()[OUTPUT as usize..][..64], [9; 64]);
}

#[test]
fn a_fault_names_the_address() {
    let source = through_the_arena();
    let mut beyond = job_run(&source);
    beyond.segments[3].va = 0x3fe0;
    let done = run(&memory(&source), &beyond);
    assert_eq!(
        (done.status, done.address, done.op),
        (status::ADDRESS_FAULT, 0x4000, 0)
    );

    let mut read_only = job_run(&source);
    read_only.segments[3].va = 0xfc0;
    let done = run(&memory(&source), &read_only);
    assert_eq!((done.status, done.address), (status::ADDRESS_FAULT, 0xfc0));

    let mut no_code = job_run(&source);
    no_code.program.va = 0x4000;
    let done = run(&memory(&source), &no_code);
    assert_eq!(
        (done.status, done.address, done.op),
        (status::ADDRESS_FAULT, 0x4000, NO_OP)
    );
}

#[test]
fn a_job_can_not_write_its_own_program_or_inputs() {
    let source = through_the_arena();
    for (segment, va) in [(1, CODE), (1, INPUT), (3, ARENA + 64)] {
        let mut overlapping = job_run(&source);
        overlapping.segments[segment].va = va;
        let done = run(&memory(&source), &overlapping);
        assert_eq!(
            (done.status, done.detail),
            (status::REJECTED, reject::ALIAS)
        );
    }
}

#[test]
fn segments_must_be_those_of_the_program() {
    let source = through_the_arena();
    let mut one_less = job_run(&source);
    one_less.segment_count = 3;
    let done = run(&memory(&source), &one_less);
    assert_eq!(
        (done.status, done.detail),
        (status::REJECTED, reject::SEGMENT)
    );

    let mut overflow = job_run(&source);
    overflow.segments[2] = Segment {
        va: u64::MAX,
        size: 2,
    };
    let done = run(&memory(&source), &overflow);
    assert_eq!(
        (done.status, done.detail),
        (status::REJECTED, reject::SEGMENT)
    );
}

#[test]
fn nothing_runs_of_a_program_that_is_wrong_at_its_end() {
    let source = through_the_arena().op(copy(operand(2, 0, 64), operand(1, 100, 64)));
    let ram = memory(&source);
    let done = run(&ram, &job_run(&source));
    assert_eq!(
        (done.status, done.detail, done.op),
        (status::REJECTED, reject::OPERAND, 2)
    );
    assert_eq!(ram.bytes.borrow()[OUTPUT as usize..][..64], [0; 64]);
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..8)) {
        let slots = Slots::new();
        let mut server = with_vm(&slots);
        for message in messages {
            let _ = server.handle(&message);
        }
    }

    #[test]
    fn any_body_of_any_kind_gets_an_answer(
        messages in prop::collection::vec((0..10_u16, prop::collection::vec(prop_oneof![4 => 0..4_u8, 1 => any::<u8>()], 424..480)), 1..16),
    ) {
        let slots = Slots::new();
        let mut server = with_vm(&slots);
        for (kind, bytes) in messages {
            let mut message = b"APU1".to_vec();
            message.extend(kind.to_le_bytes());
            message.extend((bytes.len() as u16 + 8).to_le_bytes());
            message.extend(bytes);
            if let Ok(Action::Start(job)) = server.handle(&message) {
                let ram = memory(&through_the_arena());
                let result = job.run(&ram, Isa::plain(), &mut Alone, || slots.is_cancelled(&job));
                job.done(&result, 0..0, 0);
                slots.release(job);
            }
        }
    }
}
