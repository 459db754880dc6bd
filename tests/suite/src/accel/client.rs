//! A client with a small job, for tests of what happens to the hardware meanwhile.

use std::time::Duration;

use apu::{Context, ContextOptions, Device, DeviceState, Model, Program};

use crate::archive::Case;
use crate::compare::difference;
use crate::inference::run;
use crate::{device, golden};
use apu_conformance::bench::PATIENCE;

/// What a job may take: more than a good one does on any machine.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(2);

/// A client with a small model and the right answer to it.
pub struct Client {
    /// The device under test.
    pub device: Device,
    /// The model, an input and the right answer.
    pub case: Case,
}

impl Client {
    /// Opens the device under test.
    #[allow(clippy::new_without_default, reason = "it opens something")]
    pub fn new() -> Self {
        Self::of(&device::name())
    }

    /// Opens the device of that name.
    pub fn of(name: &str) -> Self {
        let case = golden::open("conv_2d")
            .cases("int8_per_channel")
            .swap_remove(3);
        Self {
            device: Device::open(name).unwrap(),
            case,
        }
    }

    /// Loads the model; its jobs have [`JOB_TIMEOUT`].
    ///
    /// # Errors
    /// Those of the device.
    pub fn load(&self) -> apu::Result<Context> {
        let compiled = apu_compiler::compile(&self.case.model, &Default::default()).unwrap();
        let program = Program::parse(compiled.program).unwrap();
        let mut options = ContextOptions {
            patience: PATIENCE,
            ..ContextOptions::default()
        };
        options.queue.timeout = JOB_TIMEOUT;
        Model::load(&self.device, program)?.context_with(options)
    }

    /// Runs once; an answer is the right one.
    ///
    /// # Errors
    /// Those of the run.
    pub fn run(&self, context: &mut Context) -> apu::Result<()> {
        let outputs = run(context, &[self.case.inputs[0].tensor(0)])?;
        assert_eq!(
            difference(&outputs[0], self.case.outputs[0].tensor(0)),
            None
        );
        Ok(())
    }

    /// Whether there is hardware.
    pub fn state(&self) -> DeviceState {
        self.device.info().unwrap().state
    }
}
