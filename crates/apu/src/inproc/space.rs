//! What a VM maps.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use apu_firmware::memory::{AddressFault, Reach};

use super::allocation::Allocation;
use crate::{Access, Segment};

/// The mappings of a VM by first address; never overlapping.
#[derive(Debug, Default)]
pub(super) struct Space {
    mappings: RwLock<Mappings>,
}

#[derive(Debug, Default)]
pub(super) struct Mappings {
    by_address: BTreeMap<u64, Mapping>,
    /// How often they have changed.
    changes: u64,
}

/// # Invariants
/// `memory` has at least `size` bytes.
#[derive(Debug)]
struct Mapping {
    size: u64,
    memory: Arc<Allocation>,
    access: Access,
}

impl Space {
    /// Maps `memory` at `range`, which is free and as long as it.
    pub(super) fn map(&self, range: Segment, memory: Arc<Allocation>, access: Access) {
        // INVARIANT: the size is no more than the memory's.
        let size = range.size.min(memory.size() as u64);
        let mut mappings = self
            .mappings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mappings.changes += 1;
        mappings.by_address.insert(
            range.va,
            Mapping {
                size,
                memory,
                access,
            },
        );
    }

    pub(super) fn unmap(&self, range: Segment) {
        let mut mappings = self
            .mappings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mappings.changes += 1;
        mappings.by_address.remove(&range.va);
    }

    /// The mappings; while somebody holds them nothing is mapped, unmapped or freed.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, Mappings> {
        self.mappings.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mappings {
    /// How often they have changed: what was found before is there as long as this stays.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Where the bytes of `reach` are. They are valid, writable if asked for, while `self` is held.
    pub(super) fn find(&self, reach: &Reach) -> Result<NonNull<u8>, AddressFault> {
        let fault = |address| AddressFault {
            address,
            write: reach.write,
        };
        let (start, mapping) = self
            .by_address
            .range(..=reach.va)
            .next_back()
            .ok_or_else(|| fault(reach.va))?;
        let offset = reach.va - start;
        if offset >= mapping.size || (reach.write && mapping.access == Access::ReadOnly) {
            return Err(fault(reach.va));
        }
        if reach.size > mapping.size - offset {
            return Err(fault(start + mapping.size));
        }
        // SAFETY: `offset` is below the mapping's size, and so within the allocation; it fits a
        // usize because that size does.
        Ok(unsafe { mapping.memory.address().add(offset as usize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VA: u64 = 1 << 16;

    fn space() -> Space {
        let space = Space::default();
        let memory = || Arc::new(Allocation::new(4096).unwrap());
        space.map(Segment { va: VA, size: 4096 }, memory(), Access::ReadWrite);
        space.map(
            Segment {
                va: VA + 8192,
                size: 4096,
            },
            memory(),
            Access::ReadOnly,
        );
        space
    }

    fn fault(va: u64, size: u64, write: bool) -> Option<u64> {
        space()
            .hold()
            .find(&Reach { va, size, write })
            .err()
            .map(|fault| fault.address)
    }

    #[test]
    fn what_is_mapped_is_found() {
        assert_eq!(fault(VA, 4096, true), None);
        assert_eq!(fault(VA + 100, 1, true), None);
        assert_eq!(fault(VA + 8192, 4096, false), None);
    }

    #[test]
    fn a_fault_names_the_first_address_that_is_not_mapped() {
        assert_eq!(fault(0, 1, false), Some(0));
        assert_eq!(fault(VA + 4095, 2, false), Some(VA + 4096));
        assert_eq!(fault(VA + 5000, 1, false), Some(VA + 5000));
    }

    #[test]
    fn a_write_through_a_read_only_mapping_is_a_fault() {
        assert_eq!(fault(VA + 8192, 1, true), Some(VA + 8192));
    }

    #[test]
    fn what_was_unmapped_is_gone() {
        let space = space();
        space.unmap(Segment { va: VA, size: 4096 });
        assert!(
            space
                .hold()
                .find(&Reach {
                    va: VA,
                    size: 1,
                    write: false
                })
                .is_err()
        );
    }
}
