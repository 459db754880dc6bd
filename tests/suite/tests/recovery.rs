//! The hardware is absent, dies, hangs and lies: the client gets a typed error and the next job runs.
//!
//! These tests decide themselves whether there is hardware, so no daemon may run before they do.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use apu::{Access, ContextOptions, Device, DeviceState, Error, Job, QueueOptions};
use apu_conformance::bench::{PATIENCE, Parts, address};
use apu_conformance::program::Program;
use apu_conformance::uapi::{
    BIND_ASYNC, BIND_UNMAP, BoSetLabel, QUEUE_DEVICE_LOST, QUEUE_FAULTED, QUEUE_INNOCENT, QUEUE_OK,
    QUEUE_TIMED_OUT, QueueCreate, Sync,
};
use apu_conformance::{Bench, Node};
use suite::accel::client::{Client, JOB_TIMEOUT};
use suite::accel::core_dump;
use suite::accel::daemon::Hardware;
use suite::accel::trace::Trace;
use suite::device;
use suite::inference::run;
use suite::kernel_log::KernelLog;
use suite::skip::or_skip;

fn with_hardware(test: &str, body: impl FnOnce(&Hardware, &Client)) {
    or_skip(test, || {
        let hardware = Hardware::take()?;
        body(&hardware, &Client::new());
        Ok(())
    });
}

/// A client at the level of system calls.
fn bench() -> Bench {
    Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap()
}

#[test]
fn without_hardware_the_node_is_there_and_says_so() {
    with_hardware(
        "without_hardware_the_node_is_there_and_says_so",
        |_, client| {
            assert_eq!(client.state(), DeviceState::Lost);
            assert!(matches!(client.load(), Err(Error::DeviceLost)));
        },
    );
}

#[test]
fn hardware_that_comes_late_is_used() {
    with_hardware("hardware_that_comes_late_is_used", |hardware, client| {
        assert_eq!(client.state(), DeviceState::Lost);
        let _daemon = hardware.start(&[]);
        assert_eq!(client.state(), DeviceState::Online);
        client.run(&mut client.load().unwrap()).unwrap();
    });
}

#[test]
fn a_job_whose_hardware_dies_is_lost_and_the_next_one_runs() {
    with_hardware(
        "a_job_whose_hardware_dies_is_lost_and_the_next_one_runs",
        |hardware, client| {
            let dying = hardware.start(&["--die-after-runs", "1"]);
            let mut context = client.load().unwrap();
            client.run(&mut context).unwrap();
            assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
            assert!(
                matches!(client.run(&mut context), Err(Error::DeviceLost)),
                "nobody is there yet"
            );
            drop(dying);
            let _daemon = hardware.start(&[]);
            client.run(&mut context).unwrap();
        },
    );
}

#[test]
fn hardware_that_dies_between_jobs_is_replaced() {
    with_hardware(
        "hardware_that_dies_between_jobs_is_replaced",
        |hardware, client| {
            let mut context = {
                let _daemon = hardware.start(&[]);
                let mut context = client.load().unwrap();
                client.run(&mut context).unwrap();
                context
            };
            let _daemon = hardware.start(&[]);
            // The queue may have died with the first daemon; one more call is all that may take.
            client
                .run(&mut context)
                .or_else(|_| client.run(&mut context))
                .unwrap();
        },
    );
}

#[test]
fn a_job_that_hangs_times_out_and_new_hardware_runs_the_next_one() {
    with_hardware(
        "a_job_that_hangs_times_out_and_new_hardware_runs_the_next_one",
        |hardware, client| {
            let hanging = hardware.start(&["--hang-after-runs", "1"]);
            let mut context = client.load().unwrap();
            client.run(&mut context).unwrap();
            let begin = Instant::now();
            assert!(matches!(
                client.run(&mut context),
                Err(Error::JobTimedOut { .. })
            ));
            assert!(begin.elapsed() < PATIENCE);
            drop(hanging);
            let _daemon = hardware.start(&[]);
            client.run(&mut context).unwrap();
        },
    );
}

#[test]
fn a_job_that_gets_on_outlives_its_timeout() {
    with_hardware("a_job_that_gets_on_outlives_its_timeout", |hardware, _| {
        const TIMEOUT: Duration = Duration::from_secs(2);
        const SAMPLE: usize = 256;
        let _daemon = hardware.start(&[]);
        let bench = bench();
        let run = |queue, times| {
            let slow = bench
                .load(&Program::slow(times, bench.device.target))
                .unwrap();
            let ended = bench.submit_work(&slow, |s| s.submit.queue_id = queue);
            bench.ends(ended.unwrap()).unwrap();
            let state = bench.state_of(queue).unwrap();
            (
                state.state,
                Duration::from_nanos(state.end_ns - state.start_ns),
            )
        };
        let (_, sample) = run(bench.queue_id, SAMPLE);
        let mut times =
            SAMPLE * TIMEOUT.as_millis() as usize * 3 / 2 / sample.as_millis().max(1) as usize;
        let queue = bench
            .create_queue(|queue| queue.timeout_ms = TIMEOUT.as_millis() as u32)
            .unwrap();
        // On a machine that does something else now and then, the sample may tell too little.
        loop {
            let (state, took) = run(queue, times);
            assert_eq!(state, QUEUE_OK, "after {took:?}");
            if took > TIMEOUT {
                break;
            }
            times *= 2;
        }
    });
}

#[test]
fn hardware_that_falls_silent_is_lost_and_replaced() {
    with_hardware(
        "hardware_that_falls_silent_is_lost_and_replaced",
        |hardware, client| {
            let silent = hardware.start(&["--hang-after-runs=0"]);
            let bench = bench();
            let patient = |queue: &mut QueueCreate| queue.timeout_ms = bench.device.max_timeout_ms;
            let queue = bench.create_queue(patient).unwrap();
            let ended = bench.submit(|s| s.submit.queue_id = queue).unwrap();
            let begin = Instant::now();
            silent.freeze();
            bench.ends(ended).unwrap();
            assert_eq!(bench.state_of(queue).unwrap().state, QUEUE_DEVICE_LOST);
            let allowed = Duration::from_millis(bench.device.max_timeout_ms.into());
            assert!(begin.elapsed() < allowed, "{:?}", begin.elapsed());
            drop(silent);
            let _daemon = hardware.start(&[]);
            client.run(&mut client.load().unwrap()).unwrap();
        },
    );
}

#[test]
fn hardware_that_lies_is_dropped_and_replaced() {
    with_hardware(
        "hardware_that_lies_is_dropped_and_replaced",
        |hardware, client| {
            let lying = hardware.start(&["--garbage-after-runs", "0"]);
            let mut context = client.load().unwrap();
            // Whether the driver puts up with a lie is its own affair; what it must not do is believe
            // it, hang or complain in its log.
            if let Err(error) = client.run(&mut context) {
                assert!(matches!(error, Error::DeviceLost), "{error:?}");
            }
            drop(lying);
            let _daemon = hardware.start(&[]);
            client
                .run(&mut context)
                .or_else(|_| client.run(&mut context))
                .unwrap();
        },
    );
}

#[test]
fn a_client_that_leaves_with_its_job_running_disturbs_nobody() {
    with_hardware(
        "a_client_that_leaves_with_its_job_running_disturbs_nobody",
        |hardware, client| {
            let hanging = hardware.start(&["--hang-after-runs", "0"]);
            let leaving = Client::new();
            let mut options = ContextOptions {
                patience: Duration::ZERO,
                ..ContextOptions::default()
            };
            options.queue.timeout = Duration::from_millis(500);
            let model = leaving.load().unwrap().model().clone();
            let mut context = model.context_with(options).unwrap();
            let input = leaving.case.inputs[0].tensor(0);
            assert!(matches!(
                run(&mut context, &[input]),
                Err(Error::WaitTimedOut { .. })
            ));
            drop((context, model, leaving));
            drop(hanging);
            let _daemon = hardware.start(&[]);
            client.run(&mut client.load().unwrap()).unwrap();
        },
    );
}

#[test]
fn a_queue_whose_job_dies_with_a_device_that_another_one_hung_is_innocent() {
    with_hardware(
        "a_queue_whose_job_dies_with_a_device_that_another_one_hung_is_innocent",
        |hardware, _| {
            let _hanging = hardware.start(&["--cores=2", "--hang-after-runs=0"]);
            let bench = bench();
            let start = |core_mask, timeout_ms| {
                let options = |queue: &mut QueueCreate| {
                    (queue.core_mask, queue.timeout_ms) = (core_mask, timeout_ms);
                };
                let queue = bench.create_queue(options).unwrap();
                let ended = bench.submit(|s| s.submit.queue_id = queue).unwrap();
                (queue, ended)
            };
            let (innocent, its_end) = start(1, bench.device.max_timeout_ms);
            let (guilty, end) = start(2, 100);
            bench.ends(end).unwrap();
            bench.ends(its_end).unwrap();
            let state = |queue| bench.state_of(queue).unwrap().state;
            assert_eq!(state(guilty), QUEUE_TIMED_OUT);
            assert_eq!(state(innocent), QUEUE_INNOCENT);
        },
    );
}

#[test]
fn a_job_that_hangs_leaves_a_core_dump() {
    with_hardware("a_job_that_hangs_leaves_a_core_dump", |hardware, client| {
        let _hanging = hardware.start(&["--hang-after-runs=0"]);
        let mut context = client.load().unwrap();
        core_dump::clear();
        assert!(client.run(&mut context).is_err());
        let dump = core_dump::read();
        let allowed = format!(" of {} ms, cancelled\n", JOB_TIMEOUT.as_millis());
        for part in [
            "driver: apu\n",
            "reason: a job ran longer than its timeout\n",
            "core 0: job ",
            &allowed,
            "queue: TimedOut, 0 jobs done, 1 queued\n",
            "\nvm ",
            "BO offset 0x0, Read, \"constants\"\n",
            "BO offset 0x0, ReadWrite, \"arena\"\n",
            "messages:\n",
            " ago, out, 112 bytes: 41 50 55 31 07 00 70 00 ",
            " ago, in, ",
        ] {
            assert!(dump.contains(part), "no {part:?} in:\n{dump}");
        }
    });
}

#[test]
fn administrators_are_told_of_hardware_that_fails() {
    with_hardware(
        "administrators_are_told_of_hardware_that_fails",
        |hardware, client| {
            let _hanging = hardware.start(&["--hang-after-runs=0"]);
            let mut context = client.load().unwrap();
            let mut log = KernelLog::from_now();
            assert!(client.run(&mut context).is_err());
            // The job is over its time; then the hardware doesn't heed its cancellation.
            log.wait_for(&[
                "device wedged, but no recovery needed",
                "device wedged, needs recovery",
            ]);
        },
    );
}

/// The bench's own work, but in `va` of its VM.
fn elsewhere(bench: &Bench, va: u64) -> impl FnOnce(&mut Parts) {
    let pitch = bench.work.pitch;
    move |s| {
        (s.segments[2].va, s.segments[3].va) = (va, va + pitch);
        s.jobs[0].run.program_va = va + 2 * pitch;
    }
}

#[test]
fn changes_that_wait_are_done_while_the_hardware_is_away() {
    with_hardware(
        "changes_that_wait_are_done_while_the_hardware_is_away",
        |hardware, _| {
            let hanging = hardware.start(&["--hang-after-runs=0"]);
            let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
            let sync = |handle| Sync {
                handle,
                ..Sync::default()
            };
            let wait = sync(bench.submit(|_| ()).unwrap());
            let signal = sync(bench.node.syncobj(0).unwrap());
            let va = bench.va.start + bench.bo.size;
            let queued = bench.vm_bind(|bind, op| {
                (bind.flags, op.va) = (BIND_ASYNC, va);
                (bind.waits, bind.wait_count) = (address(&wait), 1);
                (bind.signals, bind.signal_count) = (address(&signal), 1);
                bind.sync_stride = size_of::<Sync>() as u32;
            });
            queued.unwrap();
            drop(hanging);
            bench.ends(signal.handle).unwrap();
            assert_eq!(bench.node.fence_status(signal.handle), Ok(1));

            // Hardware that comes then is told.
            let _daemon = hardware.start(&[]);
            let queue_id = bench.create_queue(|_| ()).unwrap();
            let twin = elsewhere(&bench, va);
            bench.work.fill(5);
            let job = bench.submit(|s| {
                twin(s);
                s.submit.queue_id = queue_id;
            });
            bench.ends(job.unwrap()).unwrap();
            bench.work.is_copied(5).unwrap();
        },
    );
}

#[test]
fn changes_wait_for_fences() {
    with_hardware("changes_wait_for_fences", |hardware, _| {
        let hanging = hardware.start(&["--hang-after-runs=0"]);
        let device = Device::open(&device::name()).unwrap();
        let (vm, page) = (
            device.create_vm().unwrap(),
            device.create_buffer(1).unwrap(),
        );
        let queue = vm.create_queue(&QueueOptions::default()).unwrap();
        let program = vm.bind(&page, Access::ReadOnly).unwrap();
        let segments = vec![program];
        // SAFETY: nobody writes the page.
        let job = unsafe { queue.submit(&Job { program, segments }, &[]) }.unwrap();

        let (range, mapped) = vm.bind_after(&page, Access::ReadOnly, &[&job]).unwrap();
        let unmapped = vm.unbind_after(range, &[&mapped]).unwrap();
        assert!(matches!(
            unmapped.wait(Duration::ZERO),
            Err(Error::WaitTimedOut { .. })
        ));
        let other = vm.bind(&page, Access::ReadOnly).unwrap();
        assert_ne!(
            other, range,
            "addresses are free before nothing is bound there"
        );

        drop(hanging);
        unmapped.wait(PATIENCE).unwrap();
        mapped.wait(Duration::ZERO).unwrap();
        assert!(matches!(job.wait(Duration::ZERO), Err(Error::DeviceLost)));
        assert_eq!(vm.bind(&page, Access::ReadOnly).unwrap(), range);
    });
}

#[test]
fn new_hardware_is_told_what_is_left_of_mappings() {
    with_hardware(
        "new_hardware_is_told_what_is_left_of_mappings",
        |hardware, _| {
            let old = hardware.start(&[]);
            let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
            let (va, output) = (bench.va.start + bench.bo.size, bench.page());
            bench.vm_bind(|_, op| op.va = va).unwrap();
            let hole = bench.vm_bind(|_, op| {
                (op.kind, op.bo_handle) = (BIND_UNMAP, 0);
                (op.va, op.size) = (va + output, output);
            });
            hole.unwrap();
            drop(old);

            let _new = hardware.start(&[]);
            let (head_and_tail, whole) = (elsewhere(&bench, va), elsewhere(&bench, va));
            bench.work.fill(6);
            let around = bench.submit(|s| {
                head_and_tail(s);
                s.segments[3].va = bench.va.start + output;
            });
            bench.ends(around.unwrap()).unwrap();
            bench.work.is_copied(6).unwrap();
            bench.ends(bench.submit(whole).unwrap()).unwrap();
            let state = bench.state().unwrap();
            assert_eq!((state.state, state.address), (QUEUE_FAULTED, va + output));
        },
    );
}

#[test]
fn hardware_that_keeps_what_is_unmapped_is_cut_off() {
    with_hardware(
        "hardware_that_keeps_what_is_unmapped_is_cut_off",
        |hardware, client| {
            let silent = hardware.start(&[]);
            let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
            silent.freeze();
            let unmapped = bench.vm_bind(|_, op| (op.kind, op.bo_handle) = (BIND_UNMAP, 0));
            assert_eq!(unmapped, Ok(()));
            assert_eq!(client.state(), DeviceState::Lost);
            drop(silent);

            let _daemon = hardware.start(&[]);
            bench.ends(bench.submit(|_| ()).unwrap()).unwrap();
            assert_eq!(bench.state().unwrap().state, QUEUE_FAULTED);
        },
    );
}

#[test]
fn debugfs_shows_what_runs_where() {
    with_hardware("debugfs_shows_what_runs_where", |hardware, _| {
        let folder = Path::new("/sys/kernel/debug/apu.apu.sim.0");
        let shows = |file: &str, part: &str| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(text.contains(part), "no {part:?} in {file}:\n{text}");
        };
        let hanging = hardware.start(&["--hang-after-runs=1"]);
        let bench = bench();
        bench.works(1).unwrap();
        let hangs = bench.submit(|_| ()).unwrap();
        shows("cores", "core 0: job ");
        shows("queues", ": Normal, Ok, 1 jobs done in ");
        shows("queues", " us, 1 queued, timeout 5000 ms\n");
        shows("vms", "BO offset 0x0, ReadWrite\n");
        let mut label = BoSetLabel {
            handle: bench.bo.handle,
            label: address(c"the\nwork"),
            ..BoSetLabel::default()
        };
        bench.node.call(&mut label).unwrap();
        shows("vms", "BO offset 0x0, ReadWrite, \"the\\nwork\"\n");
        shows("driver", "firmware log:\n");
        shows("driver", " us, info: apu-simd ");
        shows("driver", " bytes: 41 50 55 31 07 00 ");
        drop(hanging);
        bench.ends(hangs).unwrap();
        shows("queues", ": Normal, DeviceLost, 1 jobs done in ");
    });
}

#[test]
fn tracepoints_tell_of_jobs_and_of_address_spaces() {
    or_skip("tracepoints_tell_of_jobs_and_of_address_spaces", || {
        let hardware = Hardware::take()?;
        let _daemon = hardware.start(&[]);
        let trace = Trace::of("accel_tiny")?;
        let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
        bench.works(1).unwrap();
        let nowhere = bench.va.end - bench.page();
        let faults = bench.submit(|s| s.segments[3].va = nowhere).unwrap();
        bench.ends(faults).unwrap();

        let events = trace.events();
        let told = |begin: &str, end: &str| {
            let told = |event: &&String| event.starts_with(begin) && event.ends_with(end);
            let found = events.iter().find(told);
            found.unwrap_or_else(|| panic!("no {begin:?} ... {end:?} in {events:#?}"));
        };
        let (va, size) = (bench.va.start, bench.bo.size);
        let mapped = format!(" map va={va:#x} size={size:#x} error=0");
        told("bind: dev=apu.sim.0 vm=", &mapped);
        let submitted = |event: &String| {
            let (_, job) = event.strip_prefix("submit: ")?.split_once(" job=")?;
            job.split(' ').next()?.parse::<u64>().ok()
        };
        let jobs: Vec<_> = events.iter().filter_map(submitted).collect();
        let [works, faults] = jobs[..] else {
            panic!("not two jobs in {events:#?}");
        };
        told(&format!("run: dev=apu.sim.0 job={works} core="), "");
        told(&format!("done: dev=apu.sim.0 job={works} "), "error=0");
        let address = format!(" address={nowhere:#x}");
        told(&format!("fault: dev=apu.sim.0 job={faults} "), &address);
        told(&format!("done: dev=apu.sim.0 job={faults} "), "error=-14");
        Ok(())
    });
}
