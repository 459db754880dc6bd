//! How the device gets at the memory of its VMs.

use crate::VA;
use apu_firmware::memory::AddressSpace;
use apu_proto::message::Map;
use rustix::io::Errno;
use std::ops::Range;

/// One way to get from the device addresses of a VM to memory.
pub trait Platform: Send + 'static {
    /// The memory of one VM.
    type Space: AddressSpace + Send + Sync + 'static;

    /// Its number in [`addressing`](apu_proto::message::addressing).
    const ADDRESSING: u32;

    /// Device addresses that VMs can map.
    fn va(&self) -> Range<u64> {
        VA
    }

    /// Makes the space of a VM whose page tables begin at `root`, if it has some.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, root: u64) -> Result<Self::Space, Errno>;

    /// Makes pages appear.
    ///
    /// # Errors
    /// The system's; the range is unmapped then.
    fn map(&self, space: &Self::Space, map: &Map) -> Result<(), Errno>;

    /// Takes pages away; returns when no core reaches them any more.
    fn unmap(&self, space: &Self::Space, range: &Range<u64>);
}
