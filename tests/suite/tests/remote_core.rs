//! A remote core dies or hangs: its client gets a typed error, and the kernel goes on.
//!
//! The core is to be one that does so in its second job, which whoever starts this says.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use apu::{Access, Device, DeviceState, Error};
use suite::accel::client::Client;
use suite::device;
use suite::skip::{Skip, or_skip};

/// Says that the core is one that dies.
const DIES: &str = "APU_TEST_DYING_CORE";
/// Says that the core is one that hangs.
const HANGS: &str = "APU_TEST_HANGING_CORE";
/// Half of it is far more than what else is allocated and freed meanwhile, and than the counter is off.
const LARGE: usize = 64 << 20;

fn only_if(variable: &str) -> Result<(), Skip> {
    std::env::var_os(variable)
        .map(drop)
        .ok_or_else(|| Skip(format!("{variable} doesn't say that a remote core will")))
}

/// Bytes of all objects whose pages can be shared with a device.
fn shared_memory() -> usize {
    let all = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = all.lines().find(|line| line.starts_with("Shmem:")).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// Waits for what the kernel does by itself, a moment later.
fn comes_true(condition: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        if condition() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn a_core_that_dies_is_lost_and_its_node_goes() {
    or_skip("a_core_that_dies_is_lost_and_its_node_goes", || {
        only_if(DIES)?;
        let client = Client::new();
        let mut context = client.load().unwrap();
        client.run(&mut context).unwrap();
        assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
        assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
        assert!(comes_true(is_gone), "the node is still there");
        // What is left of it can be given back.
        drop((context, client));
        Ok(())
    });
}

/// Whether there is no node any more.
fn is_gone() -> bool {
    let opened = Device::open(&device::name());
    matches!(opened, Err(Error::Open { source, .. }) if source.kind() == ErrorKind::NotFound)
}

#[test]
fn what_a_core_that_hangs_can_reach_stays_until_its_channel_goes() {
    let test = "what_a_core_that_hangs_can_reach_stays_until_its_channel_goes";
    or_skip(test, || {
        only_if(HANGS)?;
        let before = shared_memory();
        let client = Client::new();
        let mut context = client.load().unwrap();
        client.run(&mut context).unwrap();
        let vm = client.device.create_vm().unwrap();
        let buffer = client.device.create_buffer(LARGE).unwrap();
        vm.bind(&buffer, Access::ReadWrite).unwrap();
        assert!(shared_memory() >= before + LARGE / 2);
        assert!(matches!(
            client.run(&mut context),
            Err(Error::JobTimedOut { .. })
        ));
        assert!(comes_true(|| client.state() == DeviceState::Lost));
        drop((vm, buffer, context, client));
        // What isn't kept has gone by the time the next file is opened and closed.
        drop(Client::new());
        assert!(shared_memory() >= before + LARGE / 2);
        let channel = std::fs::read_dir("/sys/bus/rpmsg/drivers/apu").unwrap();
        let mut names = channel.map(|entry| entry.unwrap().file_name());
        let name = names
            .find(|name| name.to_string_lossy().contains("apu."))
            .unwrap();
        std::fs::write("/sys/bus/rpmsg/drivers/apu/unbind", name.as_encoded_bytes()).unwrap();
        assert!(comes_true(|| shared_memory() < before + LARGE / 2));
        Ok(())
    });
}
