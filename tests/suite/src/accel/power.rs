//! Runtime power management of the device under test, as sysfs has it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use apu_conformance::bench::PATIENCE;

use crate::device;

/// The device's own device, behind the node.
pub struct Power(PathBuf);

impl Power {
    /// That of the device under test.
    pub fn find() -> Self {
        let name = device::name();
        let node = Path::new(&name).file_name().expect("a node has a name");
        let link = Path::new("/sys/class/accel").join(node).join("device");
        Self(std::fs::canonicalize(link).expect("sysfs is mounted"))
    }

    /// `active` or `suspended`, or what lies between.
    pub fn status(&self) -> String {
        let status = std::fs::read_to_string(self.0.join("power/runtime_status"));
        status.expect("it has runtime PM").trim().to_owned()
    }

    /// Returns when the device is `suspended`.
    pub fn wait_until_suspended(&self) {
        let begin = Instant::now();
        while self.status() != "suspended" {
            assert!(begin.elapsed() < PATIENCE, "it is {}", self.status());
            std::thread::yield_now();
        }
    }

    /// Lets it sleep, or keeps it awake.
    pub fn allow(&self, sleep: bool) {
        self.set("control", if sleep { "auto" } else { "on" });
    }

    /// Has it sleep so long after its last job.
    pub fn set_delay_ms(&self, delay: u32) {
        self.set("autosuspend_delay_ms", &delay.to_string());
    }

    fn set(&self, file: &str, value: &str) {
        std::fs::write(self.0.join("power").join(file), value).expect("root may write it");
    }

    /// Takes the driver off it.
    pub fn unbind(&self) {
        self.tell_driver("driver/unbind");
    }

    /// Gives it a driver again: that of this name.
    pub fn bind(&self, driver: &str) {
        self.tell_driver(&format!("subsystem/drivers/{driver}/bind"));
    }

    fn tell_driver(&self, file: &str) {
        let name = self.0.file_name().expect("a device has a name");
        let name = name.to_str().expect("in ASCII");
        std::fs::write(self.0.join(file), name).expect("root may write it");
    }
}
