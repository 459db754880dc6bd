// SPDX-License-Identifier: GPL-2.0

//! What firmware asks for: its resource table, which may lie.
//!
//! C header: [`include/linux/rsc_table.h`](srctree/include/linux/rsc_table.h)

use crate::{
    bindings,
    prelude::*, //
};
use core::ops::Range;

/// Bytes of the table before its offsets: version, number of entries, two reserved words.
const HEADER: usize = 16;
/// An address that is left to the host.
const ANY: u32 = u32::MAX;

/// A resource table of version 1.
#[derive(Clone, Copy)]
pub struct ResourceTable<'a>(&'a [u8]);

/// One entry of a resource table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Memory, at device addresses if the firmware can't do with others.
    Carveout {
        /// First device address, if not left to the host.
        address: Option<u32>,
        /// Bytes.
        size: u32,
    },
    /// A virtio device.
    Vdev {
        /// What kind of device.
        id: u32,
        /// Addresses of its rings, where not left to the host.
        rings: [Option<u32>; 2],
    },
    /// Any other kind.
    Other(u32),
}

impl Resource {
    /// The device addresses that it must have.
    pub fn addresses(&self) -> Option<Range<u64>> {
        match self {
            Self::Carveout {
                address: Some(start),
                size,
            } => Some(u64::from(*start)..u64::from(*start) + u64::from(*size)),
            _ => None,
        }
    }
}

impl<'a> ResourceTable<'a> {
    pub(super) fn new(table: &'a [u8]) -> Self {
        Self(table)
    }

    /// The entries; [`EINVAL`] in place of one that lies outside of the table.
    pub fn entries(self) -> impl Iterator<Item = Result<Resource>> + 'a {
        let count = self.word(4).unwrap_or(0) as usize;
        // More can't have an offset within the table.
        (0..count.min(self.0.len())).map(move |index| self.entry(index).ok_or(EINVAL))
    }

    fn entry(self, index: usize) -> Option<Resource> {
        let start = self.word(HEADER + 4 * index)? as usize;
        let word = |number: usize| self.word(start.checked_add(4 * number)?);
        let address = |number| word(number).map(|address| (address != ANY).then_some(address));
        Some(match word(0)? {
            bindings::fw_resource_type_RSC_CARVEOUT => Resource::Carveout {
                address: address(1)?,
                size: word(3)?,
            },
            bindings::fw_resource_type_RSC_VDEV => Resource::Vdev {
                id: word(1)?,
                // After the type and six words of the device; each ring has five.
                rings: [address(7)?, address(12)?],
            },
            other => Resource::Other(other),
        })
    }

    fn word(self, offset: usize) -> Option<u32> {
        let bytes = self.0.get(offset..offset.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[macros::kunit_tests(rust_kernel_remoteproc)]
mod tests {
    use super::*;

    fn table(words: &[u32]) -> Result<KVec<u8>> {
        let mut bytes = KVec::new();
        for word in words {
            bytes.extend_from_slice(&word.to_le_bytes(), GFP_KERNEL)?;
        }
        Ok(bytes)
    }

    #[test]
    fn entries_are_read() -> Result {
        let bytes = table(&[1, 1, 0, 0, 20, 0, 0x6000_0000, ANY, 0x1000, 3, 0])?;
        let mut entries = ResourceTable::new(&bytes).entries();
        let carveout = entries.next().ok_or(EINVAL)??;
        assert_eq!(carveout.addresses(), Some(0x6000_0000..0x6000_1000));
        assert!(entries.next().is_none());
        Ok(())
    }

    #[test]
    fn a_table_that_lies_about_its_size_has_no_entries() -> Result {
        for words in [
            [1, u32::MAX, 0, 0, 20, 0].as_slice(),
            &[1, 1, 0, 0, u32::MAX],
            &[1, 1, 0, 0],
        ] {
            let bytes = table(words)?;
            let mut entries = ResourceTable::new(&bytes).entries();
            assert!(matches!(entries.next(), Some(Err(_))));
        }
        Ok(())
    }
}
