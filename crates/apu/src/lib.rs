//! libapu: run compiled programs on an APU.
//!
//! A [`Device`] is the in-process firmware (`"in-process"`: no root, no kernel) or an accel node
//! (`"/dev/accel/accel0"`); both do the same through one backend trait. Most programs need only
//! [`Program`], [`Model`] and [`Context`]:
//!
//! ```no_run
//! # fn main() -> Result<(), apu::Error> {
//! # let (file, input, mut output) = (Vec::new(), [0_u8; 640], [0_u8; 640]);
//! let device = apu::Device::open("in-process")?;
//! let program = apu::Program::parse(file)?;
//! let model = apu::Model::load(&device, program)?; // uploads code and constants, once
//! let mut context = model.context()?; // working memory, inputs and outputs of one user
//! context.run(&[&input], &mut [&mut output])?; // one submit, nothing allocated
//! # Ok(())
//! # }
//! ```
//!
//! Beneath lie the device's own terms: [`Buffer`], [`Vm`], [`Queue`] and [`Fence`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod accel;
mod address;
mod backend;
mod buffer;
mod changes;
mod context;
mod device;
mod error;
mod inproc;
mod model;
mod program;
mod queue;
mod vm;

pub use apu_proto::program::DType;

pub use buffer::Buffer;
pub use context::{Context, ContextOptions};
pub use device::{Device, DeviceInfo, DeviceState};
pub use error::{Error, Operator, Rule};
pub use model::Model;
pub use program::{Numerics, Operation, Program, Quantization, Tensor};
pub use queue::{Fence, Job, Priority, Queue, QueueOptions};
pub use vm::{Access, Segment, Vm};

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = core::result::Result<T, E>;
