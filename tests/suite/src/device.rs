//! The device under test.

use std::sync::OnceLock;

use apu::Device;

/// Names the device to test; the in-process one when unset.
pub const VARIABLE: &str = "APU_TEST_DEVICE";

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
