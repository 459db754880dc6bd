//! The device under test.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use apu::{Device, DeviceState};

/// Names the device to test; the in-process one when unset.
pub const VARIABLE: &str = "APU_TEST_DEVICE";

/// How long hardware may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name of the device under test.
pub fn name() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| Device::IN_PROCESS.into())
}

/// The device under test, opened once a process.
pub fn under_test() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let name = name();
        Device::open(&name).unwrap_or_else(|error| panic!("cannot open device {name}: {error:?}"))
    })
}

/// Name of an accel node whose device answers, as soon as there is one.
pub fn online() -> String {
    let online = |name: &String| {
        let info = Device::open(name).and_then(|device| device.info());
        info.is_ok_and(|info| info.state == DeviceState::Online)
    };
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < PATIENCE, "no device answers");
        let nodes = fs::read_dir("/dev/accel").into_iter().flatten().flatten();
        let mut names = nodes.map(|node| node.path().display().to_string());
        match names.find(online) {
            Some(name) => return name,
            None => std::thread::yield_now(),
        }
    }
}
