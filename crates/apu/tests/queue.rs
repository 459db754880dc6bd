//! Buffers, VMs, queues and fences beneath a model, on the in-process device.
#![allow(clippy::unwrap_used)]

mod digits;

use std::time::Duration;

use apu::{Access, Buffer, Device, Error, Job, Program, Queue, QueueOptions, Segment, Vm};

const PATIENCE: Duration = Duration::from_secs(10);

/// The digits program with all that it needs, bound by hand.
struct Bench {
    vm: Vm,
    job: Job,
    output: Buffer,
}

impl Bench {
    /// `change` may spoil the code before it is uploaded.
    fn new(change: impl FnOnce(&mut [u8])) -> Self {
        let device = Device::open(Device::IN_PROCESS).unwrap();
        let program = digits::program();
        let mut code = program.code().to_vec();
        change(&mut code);

        let vm = device.create_vm().unwrap();
        let upload = |bytes: &[u8], access| {
            let mut buffer = device.create_buffer(bytes.len()).unwrap();
            buffer.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
            (vm.bind(&buffer, access).unwrap(), buffer)
        };
        let zeros = |size| vec![0; size];
        let (code, _) = upload(&code, Access::ReadOnly);
        let (constants, _) = upload(program.constants(), Access::ReadOnly);
        let (arena, _) = upload(&zeros(arena_size(&program)), Access::ReadWrite);
        let (input, _) = upload(&digits::picture(5), Access::ReadOnly);
        let (out, output) = upload(&zeros(digits::CLASSES), Access::ReadWrite);
        let job = Job {
            program: Segment {
                va: code.va,
                size: program.code().len() as u64,
            },
            segments: vec![constants, arena, input, out],
        };
        Self { vm, job, output }
    }

    fn queue(&self) -> Queue {
        self.vm.create_queue(&QueueOptions::default()).unwrap()
    }

    fn run(&self, queue: &Queue, job: &Job) -> Result<(), Error> {
        // SAFETY: nothing borrows from the buffers, each bound once, and jobs here run one by one.
        unsafe { queue.submit(job, &[]) }?.wait(PATIENCE)
    }
}

fn arena_size(program: &Program) -> usize {
    usize::try_from(program.arena_size()).unwrap()
}

#[test]
fn buffers_may_be_dropped_once_they_are_bound() {
    let bench = Bench::new(|_| ());
    bench.run(&bench.queue(), &bench.job).unwrap();
    assert!(
        bench.output.bytes()[..digits::CLASSES]
            .iter()
            .any(|&score| score != 0)
    );
}

#[test]
fn a_fault_names_the_address_and_ends_the_queue_but_not_the_vm() {
    let bench = Bench::new(|_| ());
    let (queue, mut outside) = (bench.queue(), bench.job.clone());
    outside.segments[2].va += 1 << 30;
    // SAFETY: as in `Bench::run`.
    let before = unsafe { queue.submit(&bench.job, &[]) }.unwrap();
    let address = outside.segments[2].va;
    let is_that_fault =
        |error: &Error| matches!(error, Error::Faulted { address: at, .. } if *at == address);

    assert!(is_that_fault(&bench.run(&queue, &outside).unwrap_err()));
    before.wait(PATIENCE).unwrap();
    assert!(
        is_that_fault(&bench.run(&queue, &bench.job).unwrap_err()),
        "later jobs say why"
    );
    bench.run(&bench.queue(), &bench.job).unwrap();
}

#[test]
fn a_read_only_output_is_a_fault() {
    let bench = Bench::new(|_| ());
    let mut job = bench.job.clone();
    job.segments.swap(2, 3);
    job.segments[3].size = job.segments[2].size;
    assert!(matches!(
        bench.run(&bench.queue(), &job),
        Err(Error::Faulted { .. })
    ));
}

#[test]
fn what_is_unbound_is_out_of_reach() {
    let bench = Bench::new(|_| ());
    let arena = bench.job.segments[1];
    bench.vm.unbind(arena).unwrap();
    assert!(
        matches!(bench.run(&bench.queue(), &bench.job), Err(Error::Faulted { address, .. }) if address == arena.va)
    );
    assert!(matches!(
        bench.vm.unbind(arena),
        Err(Error::NotBound { .. })
    ));
}

#[test]
fn an_unknown_operator_is_rejected_by_index() {
    let first_op =
        size_of::<apu_proto::program::Header>() + 2 * size_of::<apu_proto::program::Io>();
    let second_op = first_op + size_of::<apu_proto::program::Op>();
    let bench = Bench::new(|code| code[second_op] = 200);
    let error = bench.run(&bench.queue(), &bench.job).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the device rejected operator 1: the operator is unknown to the firmware"
    );
    assert!(error.is_bad_program() && !error.is_retryable());
}

#[test]
fn binding_starts_at_the_first_address_and_rises() {
    let device = Device::open(Device::IN_PROCESS).unwrap();
    let vm = device.create_vm().unwrap();
    let page = device.create_buffer(1).unwrap();
    let first = vm.bind(&page, Access::ReadOnly).unwrap();
    let second = vm.bind(&page, Access::ReadOnly).unwrap();
    assert_eq!(first.va, device.info().unwrap().addresses.start);
    assert_eq!(second.va, first.va + page.size() as u64);
}

#[test]
fn changes_may_wait() {
    let bench = Bench::new(|_| ());
    let device = Device::open(Device::IN_PROCESS).unwrap();
    let (vm, page) = (
        device.create_vm().unwrap(),
        device.create_buffer(1).unwrap(),
    );
    // SAFETY: nothing borrows from the buffers, and there is no other job.
    let job = unsafe { bench.queue().submit(&bench.job, &[]) }.unwrap();

    let (range, mapped) = vm.bind_after(&page, Access::ReadOnly, &[&job]).unwrap();
    mapped.wait(PATIENCE).unwrap();
    let unmapped = vm.unbind_after(range, &[&mapped]).unwrap();
    unmapped.wait(PATIENCE).unwrap();
    assert!(matches!(vm.unbind(range), Err(Error::NotBound { .. })));
    assert_eq!(vm.bind(&page, Access::ReadOnly).unwrap(), range);
}

#[test]
fn an_empty_buffer_is_refused() {
    let device = Device::open(Device::IN_PROCESS).unwrap();
    assert!(matches!(
        device.create_buffer(0),
        Err(Error::Call {
            call: "BO_CREATE",
            ..
        })
    ));
}
