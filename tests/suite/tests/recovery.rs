//! The hardware is absent, dies, hangs and lies: the client gets a typed error and the next job runs.
//!
//! These tests decide themselves whether there is hardware, so no daemon may run before they do.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use apu::{ContextOptions, DeviceState, Error};
use apu_conformance::bench::PATIENCE;
use apu_conformance::uapi::{QUEUE_INNOCENT, QUEUE_TIMED_OUT, QueueCreate};
use apu_conformance::{Bench, Node};
use suite::accel::client::{Client, JOB_TIMEOUT};
use suite::accel::core_dump;
use suite::accel::daemon::Hardware;
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
            let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
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
            "BO offset 0x0, Some(ReadWrite)\n",
            "messages:\n",
            " ago, out, 432 bytes: 41 50 55 31 07 00 ",
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

#[test]
fn debugfs_shows_what_runs_where() {
    with_hardware("debugfs_shows_what_runs_where", |hardware, _| {
        let folder = Path::new("/sys/kernel/debug/apu.apu-sim");
        let shows = |file: &str, part: &str| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(text.contains(part), "no {part:?} in {file}:\n{text}");
        };
        let hanging = hardware.start(&["--hang-after-runs=1"]);
        let bench = Bench::new(Node::open(Path::new(&device::name())).unwrap()).unwrap();
        bench.works(1).unwrap();
        let hangs = bench.submit(|_| ()).unwrap();
        shows("cores", "core 0: job ");
        shows("queues", ": Normal, Ok, 1 jobs done in ");
        shows("queues", " us, 1 queued, timeout 5000 ms\n");
        shows("vms", "BO offset 0x0, Some(ReadWrite)\n");
        shows("driver", "firmware log:\n");
        shows("driver", " us, info: apu-simd ");
        shows("driver", " ago, out, 432 bytes: 41 50 55 31 07 00 ");
        drop(hanging);
        bench.ends(hangs).unwrap();
        shows("queues", ": Normal, DeviceLost, 1 jobs done in ");
    });
}
