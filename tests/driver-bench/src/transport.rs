//! One transport: from the driver's insmod to the first result, and inferences from then on, each beside
//! the same in process.

use std::ffi::CStr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use apu::{Context, Device, Model, Program};
use clap::ValueEnum;
use serde::Serialize;
use suite::accel::daemon::{Daemon, Hardware};
use suite::device;
use suite::modules::Module;
use suite::skip::Skip;

use crate::turns::median;

/// Times that the driver is loaded. The first one warms up.
const LOADS: usize = 6;
/// Inferences on each side. The first ones warm up.
const TURNS: usize = 61;

/// What stands between the driver and the firmware.
#[derive(Clone, Copy, ValueEnum)]
pub enum Transport {
    /// A control node, and a process of the guest
    Sim,
    /// A channel, and a process of the host
    Rpmsg,
    /// A channel of an emulated MediaTek core, which its own driver boots
    Mediatek,
}

/// Medians in milliseconds, and medians of ratios.
#[derive(Serialize)]
pub struct Report {
    /// From insmod until the first inference has ended.
    insmod_to_result_ms: f64,
    /// From the opening of the in-process device until then.
    in_process_to_result_ms: f64,
    /// One inference through the kernel.
    inference_ms: f64,
    /// One in process.
    in_process_ms: f64,
    /// Of the two above.
    inference_to_in_process: f64,
    /// Of the shortest two, which other work on the machine has kept waiting least.
    shortest_to_in_process: f64,
}

/// Measures with the model in `file`. No driver may be in use.
pub fn measure(transport: Transport, file: &Path) -> Result<Report> {
    let file = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let program = apu_compiler::compile(&file, &Default::default())?.program;
    let machine = Machine::of(transport)?;
    let (mut loads, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        floors.push(timed(|| first_result(Device::IN_PROCESS, &program))?.1);
        let ((hardware, _), time) = timed(|| machine.first_result(&program))?;
        loads.push(time);
        machine.take_down(hardware)?;
    }
    let (_hardware, mut there) = machine.first_result(&program)?;
    let mut here = first_result(Device::IN_PROCESS, &program)?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let in_process = timed(|| Ok(here.run_in_place()?))?.1;
        turns.push((timed(|| Ok(there.run_in_place()?))?.1, in_process));
    }
    for output in 0..here.model().program().outputs().len() {
        ensure!(here.output(output)? == there.output(output)?, "not exact");
    }
    let turns = turns.get(TURNS / 4..).unwrap_or_default();
    let of = |pick: fn(&(f64, f64)) -> f64| median(turns.iter().map(pick).collect());
    let shortest = |pick: fn(&(f64, f64)) -> f64| turns.iter().map(pick).fold(f64::MAX, f64::min);
    Ok(Report {
        insmod_to_result_ms: median(loads.split_off(1)),
        in_process_to_result_ms: median(floors.split_off(1)),
        inference_ms: of(|turn| turn.0),
        in_process_ms: of(|turn| turn.1),
        inference_to_in_process: of(|turn| turn.0 / turn.1),
        shortest_to_in_process: shortest(|turn| turn.0) / shortest(|turn| turn.1),
    })
}

/// What `work` gives, and the milliseconds that it took.
fn timed<R>(work: impl FnOnce() -> Result<R>) -> Result<(R, f64)> {
    let begin = Instant::now();
    let result = work()?;
    Ok((result, begin.elapsed().as_secs_f64() * 1e3))
}

/// Loads the model into a device and runs it once.
fn first_result(device: &str, program: &[u8]) -> Result<Context> {
    let device = Device::open(device)?;
    let mut context = Model::load(&device, Program::parse(program.to_vec())?)?.context()?;
    context.run_in_place()?;
    Ok(context)
}

/// The drivers of a transport, and what is the hardware.
struct Machine {
    /// Whether the hardware is a client of the driver, and keeps it from being unloaded.
    pins: bool,
    /// In the order in which they are loaded, with their parameters.
    drivers: Vec<(Module, &'static CStr)>,
    /// The daemon to start, and its arguments; none where the host has it.
    hardware: Option<(Hardware, &'static [&'static str])>,
}

impl Machine {
    /// The one of `transport`, with no driver loaded.
    fn of(transport: Transport) -> Result<Self> {
        let driver = |name| Module::find(name).map_err(needed);
        let daemon = |arguments: &'static [&'static str]| -> Result<_> {
            Ok(Some((Hardware::take().map_err(needed)?, arguments)))
        };
        let (drivers, hardware) = match transport {
            Transport::Sim => (vec![(driver("apu")?, c"")], daemon(&[])?),
            Transport::Rpmsg => (vec![(driver("apu")?, c"sim=0")], None),
            Transport::Mediatek => (
                vec![(driver("mtk_apu_rproc")?, c""), (driver("apu")?, c"sim=0")],
                daemon(&["--core", "mt8183"])?,
            ),
        };
        let machine = Self {
            pins: matches!(transport, Transport::Sim),
            drivers,
            hardware,
        };
        machine.take_down(None)?;
        Ok(machine)
    }

    fn first_result(&self, program: &[u8]) -> Result<(Option<Daemon>, Context)> {
        for (driver, parameters) in &self.drivers {
            driver.load(parameters)?;
        }
        let hardware = self.hardware.as_ref();
        let hardware = hardware.map(|(hardware, arguments)| hardware.start(arguments));
        Ok((hardware, first_result(&device::online(), program)?))
    }

    fn take_down(&self, hardware: Option<Daemon>) -> Result<()> {
        let hardware = hardware.filter(|_| !self.pins);
        for (driver, _) in self.drivers.iter().rev() {
            driver.unload_when_free()?;
        }
        drop(hardware);
        Ok(())
    }
}

fn needed(skip: Skip) -> anyhow::Error {
    anyhow!("{}", skip.0)
}
