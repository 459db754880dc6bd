//! Hardware without jobs sleeps, whatever else happens meanwhile, and the next job runs. Its driver may
//! come and go.
//!
//! These tests decide themselves whether there is hardware, so no daemon may run before they do.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Instant;

use apu::{DeviceState, Error};
use apu_conformance::bench::PATIENCE;
use apu_conformance::{Bench, Node, status_of};
use nix::errno::Errno;
use suite::accel::client::Client;
use suite::accel::daemon::Hardware;
use suite::accel::power::Power;
use suite::device;
use suite::skip::or_skip;

fn with_hardware(test: &str, body: impl FnOnce(&Hardware, &Power)) {
    or_skip(test, || {
        let hardware = Hardware::take()?;
        body(&hardware, &Power::find());
        Ok(())
    });
}

/// Why a file can't be opened, if it can't.
fn open(path: &Path) -> Option<Errno> {
    let failed = File::open(path).err()?;
    failed.raw_os_error().map(Errno::from_raw)
}

/// What the firmware has logged.
fn log() -> String {
    std::fs::read_to_string("/sys/kernel/debug/apu.apu.sim.0/driver").unwrap()
}

#[test]
fn hardware_is_told_of_its_sleep() {
    with_hardware("hardware_is_told_of_its_sleep", |hardware, power| {
        let _daemon = hardware.start(&[]);
        let client = Client::new();
        let mut context = client.load().unwrap();
        power.wait_until_suspended();
        assert!(log().contains("info: suspended\n"), "{}", log());
        client.run(&mut context).unwrap();
        assert_eq!(power.status(), "active");
        assert!(log().contains("info: resumed\n"), "{}", log());
    });
}

#[test]
fn jobs_run_however_often_it_sleeps_in_between() {
    with_hardware(
        "jobs_run_however_often_it_sleeps_in_between",
        |hardware, power| {
            let _daemon = hardware.start(&["--cores=2"]);
            let client = Client::new();
            let mut contexts = [(); 2].map(|()| client.load().unwrap());
            for delay_ms in [0, 1] {
                power.set_delay_ms(delay_ms);
                for _ in 0..25 {
                    for context in &mut contexts {
                        client.run(context).unwrap();
                    }
                }
            }
            power.set_delay_ms(500);
        },
    );
}

#[test]
fn hardware_that_dies_in_its_sleep_is_replaced() {
    with_hardware(
        "hardware_that_dies_in_its_sleep_is_replaced",
        |hardware, power| {
            let dying = hardware.start(&[]);
            let client = Client::new();
            let mut context = client.load().unwrap();
            power.wait_until_suspended();
            drop(dying);
            assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
            power.wait_until_suspended();
            let _daemon = hardware.start(&[]);
            client.run(&mut context).unwrap();
            power.wait_until_suspended();
            client.run(&mut context).unwrap();
        },
    );
}

#[test]
fn hardware_that_does_not_go_to_sleep_is_lost_and_replaced() {
    with_hardware(
        "hardware_that_does_not_go_to_sleep_is_lost_and_replaced",
        |hardware, power| {
            power.allow(false);
            let silent = hardware.start(&[]);
            let client = Client::new();
            let mut context = client.load().unwrap();
            client.run(&mut context).unwrap();
            silent.freeze();
            power.allow(true);
            let begin = Instant::now();
            while client.state() != DeviceState::Lost {
                assert!(begin.elapsed() < PATIENCE, "it is still there");
                std::thread::yield_now();
            }
            assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
            drop(silent);
            let _daemon = hardware.start(&[]);
            client.run(&mut context).unwrap();
        },
    );
}

#[test]
fn a_driver_comes_and_goes_in_the_sleep_of_its_hardware() {
    with_hardware(
        "a_driver_comes_and_goes_in_the_sleep_of_its_hardware",
        |hardware, power| {
            for asleep in [true, false] {
                let old = hardware.start(&[]);
                let client = Client::new();
                let mut context = client.load().unwrap();
                client.run(&mut context).unwrap();
                if asleep {
                    power.wait_until_suspended();
                }
                power.unbind();
                assert!(client.run(&mut context).is_err());
                drop((old, context, client));
                power.bind("apu.apu");
                let _new = hardware.start(&[]);
                let client = Client::new();
                client.run(&mut client.load().unwrap()).unwrap();
            }
        },
    );
}

#[test]
fn a_driver_that_goes_takes_its_jobs_along_and_leaves_maps() {
    with_hardware(
        "a_driver_that_goes_takes_its_jobs_along_and_leaves_maps",
        |hardware, power| {
            let hanging = hardware.start(&["--hang-after-runs=0"]);
            let node = Node::open(Path::new(&device::name())).unwrap();
            let bench = Bench::new(node).unwrap();
            let jobs = [(); 3].map(|()| bench.submit(|_| ()).unwrap());
            let ends = jobs.map(|job| bench.node.sync_file(job).unwrap());
            power.unbind();
            let begin = Instant::now();
            let status = ends.map(|end| {
                while status_of(&end) == Ok(0) {
                    assert!(begin.elapsed() < PATIENCE, "a job didn't end");
                }
                status_of(&end).unwrap()
            });
            assert_eq!(status[0], -(Errno::ENODEV as i32));
            assert!(status.iter().all(|status| *status < 0), "{status:?}");
            assert_eq!(open(bench.node.path()), Some(Errno::ENOENT));
            // By a name that outlives the node's.
            let number = format!("/proc/self/fd/{}", bench.node.fd().as_raw_fd());
            assert_eq!(open(Path::new(&number)), Some(Errno::ENODEV));
            assert_eq!(bench.submit(|_| ()), Err(Errno::ENODEV));
            bench.work.fill(7);
            drop((hanging, bench));
            power.bind("apu.apu");
            let _daemon = hardware.start(&[]);
            let client = Client::new();
            client.run(&mut client.load().unwrap()).unwrap();
        },
    );
}
