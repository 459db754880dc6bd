//! The firmware's image in memory: what `xtask` makes in place of code for the core.

use crate::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// First bytes of an image; the address of its resource table follows.
const MARK: [u8; 8] = *b"APUCORE\0";
/// Kind of a virtio device in a resource table.
const VDEV: u32 = 3;
/// Words of an entry before its rings: kind and the device.
const DEVICE_WORDS: u32 = 7;
/// Words of a ring: address, alignment, buffers, and two that don't matter.
const RING_WORDS: u32 = 5;
/// Bytes of an entry before the device's status.
const STATUS: u32 = 24;
/// Entries that a resource table can have here.
const MAX_ENTRIES: u32 = 16;

/// A ring of the virtio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Device address.
    pub address: u32,
    /// Alignment of its two parts in bytes.
    pub align: u32,
    /// Buffers.
    pub buffers: u32,
}

/// Where things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Address at which it was loaded.
    address: u32,
    /// Address of the virtio device in its resource table.
    device: u32,
}

impl Image {
    /// Looks at what was loaded at `address`.
    ///
    /// # Errors
    /// [`Error::Image`].
    pub fn find(memory: &GuestMemoryMmap, address: u32) -> Result<Self, Error> {
        let broken = |reason| Error::Image { address, reason };
        let mark: [u8; 8] = memory
            .read_obj(GuestAddress(address.into()))
            .map_err(|_| broken("it can't be read"))?;
        if mark != MARK {
            return Err(broken("it doesn't begin as firmware for this core does"));
        }
        let device = || {
            let table = word(memory, address.checked_add(8)?)?;
            let count = word(memory, table.checked_add(4)?)?.min(MAX_ENTRIES);
            let entries = (0..count).filter_map(|index| {
                let offset = word(memory, table.checked_add(16 + 4 * index)?)?;
                table.checked_add(offset)
            });
            let mut devices = entries.filter(|entry| word(memory, *entry) == Some(VDEV));
            devices.next()
        };
        let device = device().ok_or_else(|| broken("its resource table has no virtio device"))?;
        Ok(Self { address, device })
    }

    /// Address of the byte that says how far the driver is.
    pub fn status(&self) -> GuestAddress {
        GuestAddress(u64::from(self.device) + u64::from(STATUS))
    }

    /// The rings, by the number of their queue. Their addresses are the driver's to fill in, which it
    /// has done when its status says that it is ready.
    ///
    /// # Errors
    /// [`Error::Image`].
    pub fn rings(&self, memory: &GuestMemoryMmap) -> Result<[Ring; 2], Error> {
        let ring = |index: u32| {
            let words = DEVICE_WORDS + RING_WORDS * index;
            let at = |number| word(memory, self.device.checked_add(4 * (words + number))?);
            Some(Ring {
                address: at(0)?,
                align: at(1)?,
                buffers: at(2)?,
            })
        };
        let rings = || Some([ring(0)?, ring(1)?]);
        rings().ok_or(Error::Image {
            address: self.address,
            reason: "its virtio device lacks a ring",
        })
    }
}

fn word(memory: &GuestMemoryMmap, at: u32) -> Option<u32> {
    memory.read_obj(GuestAddress(at.into())).ok()
}
