//! Several processes on one accel node.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use suite::accel::bench::{Bench, PATIENCE};
use suite::accel::uapi::QUEUE_REJECTED;
use suite::golden;
use suite::inference::verdict;
use suite::skip::{Skip, or_skip};

/// Runs one test of this file in a process of its own.
fn client(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn both(tests: [&str; 2]) {
    or_skip(&tests.join(" beside "), || {
        drop(Bench::new()?);
        for mut client in tests.map(client) {
            assert!(client.wait().unwrap().success());
        }
        Ok(())
    });
}

#[test]
fn one_that_is_right() {
    or_skip("one_that_is_right", || {
        drop(Bench::new()?);
        let cases = golden::open("conv_2d").cases("int8_per_channel");
        assert!(cases.iter().all(|case| verdict(case).is_none()));
        Ok(())
    });
}

#[test]
fn one_whose_jobs_all_fail() {
    or_skip("one_whose_jobs_all_fail", || {
        (0..50).try_for_each(|_| fail())
    });
}

fn fail() -> Result<(), Skip> {
    let bench = Bench::new()?;
    let ended = bench.submit(|_| ()).unwrap();
    assert_eq!(bench.node.wait(ended, PATIENCE), Ok(()));
    assert_eq!(bench.state().state, QUEUE_REJECTED);
    assert_eq!(bench.submit(|_| ()), Err(Errno::CANCELED));
    Ok(())
}

#[test]
fn two_that_are_right_share_the_device() {
    both(["one_that_is_right"; 2]);
}

#[test]
fn one_that_is_right_is_not_disturbed_by_one_whose_jobs_fail() {
    both(["one_that_is_right", "one_whose_jobs_all_fail"]);
}
