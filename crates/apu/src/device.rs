//! A device, named by a string.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::accel::Accel;
use crate::backend::Backend;
use crate::inproc::InProcess;
use crate::{Buffer, Error, Result, Vm};

/// An APU. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Device {
    name: Arc<str>,
    pub(crate) backend: Arc<dyn Backend>,
}

impl Device {
    /// Name of the device that needs no hardware: the firmware, run by the calling threads.
    pub const IN_PROCESS: &str = "in-process";

    /// Opens [`Device::IN_PROCESS`] or the accel node at a path.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] for a name that is neither, [`Error::Open`] and
    /// [`Error::NotAnApu`] for a node that can't be used.
    pub fn open(name: &str) -> Result<Self> {
        let backend: Arc<dyn Backend> = if name == Self::IN_PROCESS {
            Arc::new(InProcess::new())
        } else if name.contains('/') {
            Arc::new(Accel::open(Path::new(name))?)
        } else {
            return Err(Error::UnknownDevice { name: name.into() });
        };
        Ok(Self {
            name: name.into(),
            backend,
        })
    }

    /// Names that [`Device::open`] takes on this machine; the nodes are found, not opened.
    pub fn names() -> Vec<String> {
        let mut nodes: Vec<PathBuf> = std::fs::read_dir("/dev/accel")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        nodes.sort();
        let nodes = nodes
            .into_iter()
            .filter_map(|path| path.to_str().map(String::from));
        std::iter::once(Self::IN_PROCESS.into())
            .chain(nodes)
            .collect()
    }

    /// The name that it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the device is now, and its limits.
    ///
    /// # Errors
    /// [`Error::Call`] when the kernel refuses to say.
    pub fn info(&self) -> Result<DeviceInfo> {
        self.backend.query()
    }

    /// A zeroed buffer of at least `size` bytes, rounded up to whole pages.
    ///
    /// # Errors
    /// [`Error::Call`] when memory is short or `size` is 0.
    pub fn create_buffer(&self, size: usize) -> Result<Buffer> {
        Buffer::new(self.backend.clone(), size)
    }

    /// An empty address space.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] when no firmware answers, [`Error::Call`] when there are too many.
    pub fn create_vm(&self) -> Result<Vm> {
        Vm::new(self.backend.clone())
    }
}

/// Whether a device can take jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Ready.
    Online,
    /// No firmware answers; jobs fail with [`Error::DeviceLost`] until one does.
    Lost,
}

/// What a device is, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name and version of the driver ("apu 1.0"), or "in-process" and this crate's version.
    pub driver: String,
    /// Whether it takes jobs.
    pub state: DeviceState,
    /// Version of the protocol spoken with the firmware; 0 when lost.
    pub protocol_version: u32,
    /// Cores that run jobs; 0 when lost.
    pub core_count: u32,
    /// Granularity of buffers and mappings in bytes.
    pub page_size: u32,
    /// Device addresses that a VM can map; empty when lost.
    pub addresses: Range<u64>,
    /// Program features that the firmware knows.
    pub features: u64,
    /// Layout of the programs that it runs; empty when lost.
    pub target: String,
    /// Instruction set that its kernels use, where that is known.
    pub isa: Option<String>,
    /// Most segments of a job.
    pub max_segments: u32,
}
