//! The message side of the device: reads what the driver sends and acts on it.

use crate::Error;
use crate::cores::{Cores, InFlight, JOBS, Shared};
use crate::inject::{Faults, Injector};
use crate::platform::Platform;
use crate::vms::Vms;
use crate::wire::Wire;
use apu_firmware::frame::Frame;
use apu_firmware::{Action, Device, Server, Slots};
use apu_kernels::Isa;
use apu_proto::message::MAX_MESSAGE;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use tracing::{error, info};

/// VMs that the device can hold.
pub const VMS: usize = 1024;
/// Device addresses of a VM: 4 GiB, of which the first pages stay free to catch null pointers.
pub const VA: Range<u64> = 0x1_0000..0x1_0000_0000;
/// Granularity of mappings, as the kernel's pages.
const PAGE_SIZE: u64 = 4096;

/// How to be the device.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Cores, 1 to 64.
    pub cores: u32,
    /// Instructions that the kernels may use.
    pub isa: Isa,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

/// Is the device until the driver goes away. Calls `online` after the first HELLO_ACK.
///
/// # Errors
/// The wire fails, or there is no thread for a core.
pub fn serve<P: Platform>(
    wire: Arc<dyn Wire>,
    platform: P,
    options: &Options,
    online: impl FnOnce(),
) -> Result<(), Error> {
    let in_flight = Arc::new(InFlight::default());
    let shared = Arc::new(Shared {
        wire: Arc::clone(&wire),
        slots: Slots::new(),
        in_flight: Arc::clone(&in_flight),
        injector: Injector::new(options.faults),
        isa: options.isa,
        epoch: Instant::now(),
    });
    let cores = Cores::start(options.cores, &shared)?;
    let device = Device {
        core_count: options.cores,
        va: platform.va(),
        page_size: PAGE_SIZE,
        addressing: P::ADDRESSING,
    };
    let vms = Vms::new(platform, in_flight);
    let mut server: Server<'_, Vms<P>, VMS, JOBS> = Server::new(device, vms, &shared.slots);

    let mut online = Some(online);
    let mut buffer = [0; MAX_MESSAGE];
    while let Some(message) = wire.receive(&mut buffer)? {
        match server.handle(message) {
            Ok(Action::Nothing) => {}
            Ok(Action::Reply(reply)) => {
                wire.send(reply.as_bytes())?;
                if let (true, Some(online)) = (server.is_online(), online.take()) {
                    wire.settle()?;
                    online();
                }
            }
            Ok(Action::Start(job)) => cores.queue(job, server.memory().space(job.vm())),
            Err(error) => {
                error!(%error, "the driver broke the protocol: waiting for its HELLO");
                wire.send(Frame::new(&error.fault()).as_bytes())?;
            }
        }
    }
    info!("the device is gone");
    server.cancel_all();
    Ok(())
}
