//! A remote core dies: its client gets a typed error, its node goes, and the kernel goes on.
//!
//! The core is to be one that dies in its second job, which whoever starts this says.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use apu::{Device, Error};
use suite::accel::client::Client;
use suite::device;
use suite::skip::{Skip, or_skip};

/// Says that the core is such a one.
const VARIABLE: &str = "APU_TEST_DYING_CORE";

#[test]
fn a_core_that_dies_is_lost_and_its_node_goes() {
    or_skip("a_core_that_dies_is_lost_and_its_node_goes", || {
        if std::env::var_os(VARIABLE).is_none() {
            return Err(Skip(format!(
                "{VARIABLE} doesn't say that a remote core will die"
            )));
        }
        let client = Client::new();
        let mut context = client.load().unwrap();
        client.run(&mut context).unwrap();
        assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
        assert!(matches!(client.run(&mut context), Err(Error::DeviceLost)));
        assert!(
            gone_within(Duration::from_secs(5)),
            "the node is still there"
        );
        // What is left of it can be given back.
        drop((context, client));
        Ok(())
    });
}

/// Whether the node goes away in time. The kernel removes it by itself, a moment after the loss.
fn gone_within(patience: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        match Device::open(&device::name()) {
            Err(Error::Open { source, .. }) if source.kind() == ErrorKind::NotFound => return true,
            _ => std::thread::yield_now(),
        }
    }
    false
}
