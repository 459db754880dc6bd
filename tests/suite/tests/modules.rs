//! The drivers are modules: one that is in use stays, one that isn't goes, and is as good as new when it
//! comes back.
//!
//! Which transport there is, whoever starts this says; there must be hardware behind it, or a daemon to
//! start.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;

use rustix::io::Errno;
use suite::accel::client::Client;
use suite::accel::daemon::Hardware;
use suite::command::Apu;
use suite::device;
use suite::emulator;
use suite::modules::Module;
use suite::skip::{Skip, or_skip};

/// The device tree's node of a MediaTek core.
const MEDIATEK_CORE: &str = "/sys/firmware/devicetree/base/npu@29180000";

/// A model runs, and a client's job, which pins `driver` until the client has gone.
fn use_and_unload(driver: &Module, apu: &Apu) {
    assert!(apu.knows_its_digit());
    let client = Client::of(&device::online());
    client.run(&mut client.load().unwrap()).unwrap();
    assert_eq!(driver.unload(), Err(Errno::WOULDBLOCK), "it is in use");
    client.run(&mut client.load().unwrap()).unwrap();
    drop(client);
}

fn only_if(there: bool, what: &str) -> Result<(), Skip> {
    there
        .then_some(())
        .ok_or_else(|| Skip(format!("there is {what}")))
}

fn emulated() -> bool {
    fs::exists(emulator::NODE).unwrap() && fs::exists(MEDIATEK_CORE).unwrap()
}

fn simulated() -> bool {
    fs::exists("/dev/apu-sim0").unwrap()
}

#[test]
fn the_driver_of_a_simulated_device_comes_back() {
    let test = "the_driver_of_a_simulated_device_comes_back";
    or_skip(test, || {
        only_if(simulated() && !emulated(), "no simulated device alone")?;
        let (driver, hardware) = (Module::find("apu")?, Hardware::take()?);
        let apu = Apu::find()?;
        for _ in 0..3 {
            let daemon = hardware.start(&[]);
            use_and_unload(&driver, &apu);
            assert_eq!(driver.unload(), Err(Errno::WOULDBLOCK), "the daemon's");
            drop(daemon);
            driver.unload_when_free().unwrap();
            assert!(!simulated());
            driver.load(c"").unwrap();
        }
        Ok(())
    });
}

#[test]
fn the_driver_of_a_remote_core_comes_back() {
    let test = "the_driver_of_a_remote_core_comes_back";
    or_skip(test, || {
        only_if(!simulated() && !emulated(), "no remote core")?;
        let (driver, apu) = (Module::find("apu")?, Apu::find()?);
        for _ in 0..3 {
            use_and_unload(&driver, &apu);
            driver.unload_when_free().unwrap();
            driver.load(c"sim=0").unwrap();
        }
        use_and_unload(&driver, &apu);
        Ok(())
    });
}

#[test]
fn the_drivers_of_a_mediatek_core_come_back() {
    let test = "the_drivers_of_a_mediatek_core_come_back";
    or_skip(test, || {
        only_if(emulated(), "no MediaTek core")?;
        let (driver, remoteproc) = (Module::find("apu")?, Module::find("mtk_apu_rproc")?);
        let (hardware, apu) = (Hardware::take()?, Apu::find()?);
        for _ in 0..2 {
            let firmware = hardware.start(&["--core", "mt8365"]);
            use_and_unload(&driver, &apu);
            driver.unload_when_free().unwrap();
            remoteproc.unload_when_free().unwrap();
            drop(firmware);
            remoteproc.load(c"").unwrap();
            driver.load(c"sim=0").unwrap();
        }
        Ok(())
    });
}
