//! A MediaTek core behind an emulated chip: the kernel's driver starts it by its registers.
//!
//! The [chip](Chip) is a node of the kernel, which records what the driver does. This process follows
//! the record as the core would: when the driver lets it run, it takes the [image](Image) at its boot
//! address for its firmware, finds its queues there, and announces the channel `apu`. All memory,
//! queues and firmware included, is reached by device addresses through the chip's IOMMU; where that
//! has nothing, this process dies of it, as the core would.

mod chip;
mod control;
mod image;
mod link;

pub use chip::Chip;
pub use control::{Change, Control};
pub use image::Image;

use crate::platform::Platform;
use crate::space::Space;
use crate::tokens::Tokens;
use crate::{Error, Options, serve};
use apu_proto::message::{Map, addressing};
use link::Link;
use rustix::io::Errno;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tracing::info;

/// Device addresses of buffers: what the part gives to them, without the room of the firmware.
const BUFFERS: Range<u64> = 0x6010_0000..0x7000_0000;

/// What differs between the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// MT8183.
    Mt8183,
    /// MT8365.
    Mt8365,
}

impl Part {
    /// What the registers DEFAULT0 and DEFAULT1 must say for accesses to go through the IOMMU.
    pub fn through_iommu(self) -> [u32; 2] {
        match self {
            Self::Mt8183 => [1 << 28 | 0x10 << 23 | 0x10 << 18, 0x10 << 5 | 0x10],
            Self::Mt8365 => [1 << 26 | 1 << 20, 1 << 7 | 1 << 3],
        }
    }
}

/// Is the core of the chip at `node` until that goes away. Calls `online` each time the driver has
/// greeted the firmware.
///
/// # Errors
/// The node fails, or firmware is not what the core can run.
pub fn serve_core(
    part: Part,
    node: &Path,
    options: &Options,
    online: impl Fn() + Send + Clone + 'static,
) -> Result<(), Error> {
    let chip = Arc::new(Chip::open(node)?);
    let mut control = Control::new(part);
    // What lies back is only good for where the registers are now.
    for event in chip.past()? {
        control.apply(event);
    }
    let start = |address| Running::start(&chip, address, options, online.clone());
    let mut running = control.runs().map(start).transpose()?;
    loop {
        match control.apply(chip.next()?) {
            Change::Nothing => {}
            Change::Kicked => {
                if let Some(running) = &running {
                    running.link.wake();
                }
            }
            Change::Stopped => running = None,
            Change::Started(address) => {
                drop(running.take());
                running = Some(start(address)?);
            }
        }
    }
}

/// Firmware that runs, until it is dropped.
struct Running {
    link: Arc<Link>,
    server: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    fn start(
        chip: &Arc<Chip>,
        address: u32,
        options: &Options,
        online: impl Fn() + Send + 'static,
    ) -> Result<Self, Error> {
        let memory = chip.memory()?;
        let image = Image::find(&memory, address)?;
        info!(address = format_args!("{address:#x}"), "the core runs");
        let link = Arc::new(Link::new(Arc::clone(chip), memory, image));
        let platform = ThroughIommu(Tokens::new(Arc::new(chip.pages()?), BUFFERS));
        let (wire, options) = (Arc::clone(&link), *options);
        let server = thread::Builder::new()
            .name("server".into())
            .spawn(move || serve(wire, platform, &options, online))
            .map_err(|reason| Error::Thread { number: 0, reason })?;
        Ok(Self {
            link,
            server: Some(server),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.link.stop();
        // A panic of the server has aborted this process; what it failed with, it has logged.
        let ended = self.server.take().map(JoinHandle::join);
        if let Some(Ok(Err(error))) = ended {
            tracing::warn!(%error, "the firmware ended");
        }
        info!("the core has stopped");
    }
}

/// Memory at device addresses of one address space for all VMs, which the driver maps.
struct ThroughIommu(Tokens);

impl Platform for ThroughIommu {
    type Space = Space;

    const ADDRESSING: u32 = addressing::EXTERNAL;

    fn va(&self) -> Range<u64> {
        BUFFERS
    }

    fn create(&self, root: u64) -> Result<Space, Errno> {
        self.0.create(root)
    }

    fn map(&self, space: &Space, map: &Map) -> Result<(), Errno> {
        let token = map.va;
        self.0.map(space, &Map { token, ..*map })
    }

    fn unmap(&self, space: &Space, range: &Range<u64>) {
        self.0.unmap(space, range);
    }
}
