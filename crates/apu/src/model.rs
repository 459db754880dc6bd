//! A program loaded into a device.

use std::sync::Arc;

use crate::{Buffer, Context, ContextOptions, Device, DeviceState, Error, Program, Result};

/// A program whose code and constants lie in a device's memory, read-only and shared by all of its
/// contexts. Clones share it.
#[derive(Clone, Debug)]
pub struct Model {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: Device,
    program: Program,
    code: Buffer,
    constants: Buffer,
}

impl Model {
    /// Uploads a program.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; [`Error::WrongTarget`], [`Error::MissingFeatures`] or
    /// [`Error::TooManySegments`] when the device can't run it; [`Error::Call`] when memory is short.
    pub fn load(device: &Device, program: Program) -> Result<Self> {
        check(device, &program)?;
        let code = upload(device, "code", program.code())?;
        let constants = upload(device, "constants", program.constants())?;
        Ok(Self {
            shared: Arc::new(Shared {
                device: device.clone(),
                program,
                code,
                constants,
            }),
        })
    }

    /// A context with the usual options.
    ///
    /// # Errors
    /// See [`Model::context_with`].
    pub fn context(&self) -> Result<Context> {
        self.context_with(ContextOptions::default())
    }

    /// Working memory, inputs, outputs and a queue for one user of the model at a time.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; [`Error::Call`] when memory, VMs or queues are short.
    pub fn context_with(&self, options: ContextOptions) -> Result<Context> {
        Context::new(self.clone(), options)
    }

    /// What was loaded.
    pub fn program(&self) -> &Program {
        &self.shared.program
    }

    /// Where it was loaded to.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    pub(crate) fn code(&self) -> &Buffer {
        &self.shared.code
    }

    pub(crate) fn constants(&self) -> &Buffer {
        &self.shared.constants
    }
}

fn check(device: &Device, program: &Program) -> Result<()> {
    let info = device.info()?;
    if info.state == DeviceState::Lost {
        return Err(Error::DeviceLost);
    }
    if program.target() != info.target {
        return Err(Error::WrongTarget {
            program: program.target().into(),
            device: info.target,
        });
    }
    let missing = program.required_features() & !info.features;
    if missing != 0 {
        return Err(Error::MissingFeatures { missing });
    }
    let segments = 2 + program.inputs().len() + program.outputs().len();
    if segments > info.max_segments as usize {
        return Err(Error::TooManySegments {
            got: segments,
            limit: info.max_segments,
        });
    }
    Ok(())
}

fn upload(device: &Device, label: &str, bytes: &[u8]) -> Result<Buffer> {
    let mut buffer = device.create_buffer(bytes.len().max(1))?;
    buffer.set_label(label);
    // A buffer is never shorter than it was asked for.
    if let Some(start) = buffer.bytes_mut().get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
    Ok(buffer)
}
