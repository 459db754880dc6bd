//! Free and taken device addresses of a VM: first fit from the lowest address upward.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Segment;

/// Which addresses of `range` are taken.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    range: Range<u64>,
    /// First address to size; never overlapping, all within `range`.
    taken: BTreeMap<u64, u64>,
}

impl AddressSpace {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self {
            range,
            taken: BTreeMap::new(),
        }
    }

    /// Takes the lowest gap of `size` bytes, if there is one. With sizes that are whole pages and a
    /// `range` that starts on a page, every address is on a page.
    pub(crate) fn take(&mut self, size: u64) -> Option<Segment> {
        let mut va = self.range.start;
        for (&start, &length) in &self.taken {
            if start - va >= size {
                break;
            }
            va = start + length;
        }
        let end = va.checked_add(size)?;
        if end > self.range.end {
            return None;
        }
        self.taken.insert(va, size);
        Some(Segment { va, size })
    }

    /// Gives back what [`take`](AddressSpace::take) gave; false when it isn't taken.
    pub(crate) fn give_back(&mut self, segment: Segment) -> bool {
        let known = self.is_taken(segment);
        if known {
            self.taken.remove(&segment.va);
        }
        known
    }

    pub(crate) fn is_taken(&self, segment: Segment) -> bool {
        self.taken.get(&segment.va) == Some(&segment.size)
    }

    pub(crate) fn free(&self) -> u64 {
        self.range.end - self.range.start - self.taken.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn space(pages: u64) -> AddressSpace {
        AddressSpace::new(PAGE..PAGE * (1 + pages))
    }

    #[test]
    fn addresses_rise_from_the_start() {
        let mut space = space(8);
        assert_eq!(
            space.take(PAGE),
            Some(Segment {
                va: PAGE,
                size: PAGE
            })
        );
        assert_eq!(
            space.take(2 * PAGE),
            Some(Segment {
                va: 2 * PAGE,
                size: 2 * PAGE
            })
        );
    }

    #[test]
    fn a_gap_is_used_by_what_fits_it() {
        let mut space = space(8);
        let first = space.take(2 * PAGE).unwrap();
        space.take(PAGE).unwrap();
        assert!(space.give_back(first));
        assert_eq!(space.take(3 * PAGE).unwrap().va, 4 * PAGE);
        assert_eq!(space.take(2 * PAGE).unwrap().va, first.va);
    }

    #[test]
    fn a_full_space_refuses_and_counts() {
        let mut space = space(2);
        space.take(PAGE).unwrap();
        assert_eq!(space.take(2 * PAGE), None);
        assert_eq!(space.take(u64::MAX), None);
        assert_eq!(space.free(), PAGE);
    }

    #[test]
    fn giving_back_twice_is_noticed() {
        let mut space = space(2);
        let segment = space.take(PAGE).unwrap();
        assert!(space.give_back(segment));
        assert!(!space.give_back(segment));
    }
}
