// SPDX-License-Identifier: GPL-2.0

//! What administrators see of a device in debugfs, in a folder of the driver's and the parent's
//! name: `cores`, `queues`, `vms` with all their mappings, and `driver` for what that adds. Clients
//! and buffer objects are in the files that the DRM core has for every device.

use super::{
    dump::write_seats,
    Device,
    Driver, //
};
use crate::{
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    drm,
    fmt,
    prelude::*,
    str::CString,
    sync::aref::ARef, //
};

/// One text about a device.
struct View<D: Driver> {
    device: ARef<drm::Device<D>>,
    show: fn(&Device<D>, &mut dyn fmt::Write) -> fmt::Result,
}

impl<D: Driver> Writer for View<D> {
    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show)(&self.device, out)
    }
}

/// The files of one device, which go when this is dropped.
pub(super) struct Files<D: Driver> {
    _files: [Pin<KBox<File<View<D>>>>; 4],
}

impl<D: Driver> Files<D> {
    pub(super) fn new(device: &drm::Device<D>) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!(
            "{}.{}",
            D::INFO.name.to_str()?,
            device.parent.name().to_str()?
        ))?;
        let dir = Dir::new(&name);
        let file = |name, show| {
            let view = View {
                device: device.into(),
                show,
            };
            KBox::pin_init(dir.read_only_file(name, view), GFP_KERNEL)
        };
        Ok(Self {
            _files: [
                file(c"cores", Device::show_cores)?,
                file(c"queues", Device::show_queues)?,
                file(c"vms", Device::show_vms)?,
                file(c"driver", Device::show_driver)?,
            ],
        })
    }
}

impl<D: Driver> Device<D> {
    fn show_cores(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let seats = self.engine.lock().running_seats();
        write_seats(&seats, out)
    }

    fn show_queues(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let queues = self.queues.lock();
        queues.iter().try_for_each(|queue| queue.write(out))
    }

    fn show_vms(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let spaces = self.spaces.lock();
        spaces.list.iter().try_for_each(|space| space.write(out))
    }

    fn show_driver(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        D::dump(self, out)
    }
}
