//! Which device addresses of a VM are mapped, and how.

use apu_firmware::memory::{AddressFault, Reach};
use std::collections::BTreeMap;
use std::ops::Range;

/// The mapped ranges of a VM.
#[derive(Debug, Default)]
pub struct Mapped {
    /// By first address. They don't overlap.
    ranges: BTreeMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    end: u64,
    write: bool,
}

/// Whether an address is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It is.
    Yes {
        /// Whether it may be written.
        write: bool,
    },
    /// It isn't.
    No {
        /// First address after it that is, or the limit.
        end: u64,
    },
}

impl Mapped {
    /// Whether an address below `limit` is mapped.
    pub fn covered(&self, address: u64, limit: u64) -> Covered {
        match self.ranges.range(..=address).next_back() {
            Some((_, entry)) if entry.end > address => Covered::Yes { write: entry.write },
            _ => Covered::No {
                end: self
                    .ranges
                    .range(address..)
                    .next()
                    .map_or(limit, |(start, _)| *start),
            },
        }
    }

    /// Adds a range that shares no address with any other.
    pub fn insert(&mut self, range: Range<u64>, write: bool) {
        let Range { start, end } = range;
        self.ranges.insert(start, Entry { end, write });
    }

    /// Takes a range away; what sticks out of it stays.
    pub fn remove(&mut self, range: &Range<u64>) {
        let touched: Vec<(u64, Entry)> = self
            .ranges
            .range(..range.end)
            .rev()
            .take_while(|(_, entry)| entry.end > range.start)
            .map(|(start, entry)| (*start, *entry))
            .collect();
        for (start, entry) in touched {
            self.ranges.remove(&start);
            if start < range.start {
                self.insert(start..range.start, entry.write);
            }
            if entry.end > range.end {
                self.insert(range.end..entry.end, entry.write);
            }
        }
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Whether all of a range is mapped, for writing if it is to be written.
    ///
    /// # Errors
    /// The first address that isn't.
    pub fn check(&self, reach: &Reach) -> Result<(), AddressFault> {
        let Range { start, end } = reach.range();
        let mut at = start;
        while at < end {
            let covering = self.ranges.range(..=at).next_back();
            match covering {
                Some((_, entry)) if entry.end > at && (entry.write || !reach.write) => {
                    at = entry.end;
                }
                _ => {
                    return Err(AddressFault {
                        address: at,
                        write: reach.write,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(mapped: &Mapped, va: u64, size: u64, write: bool) -> Option<u64> {
        let reach = Reach { va, size, write };
        mapped.check(&reach).err().map(|fault| fault.address)
    }

    #[test]
    fn neighbours_are_one() {
        let mut mapped = Mapped::default();
        mapped.insert(0x1000..0x2000, true);
        mapped.insert(0x2000..0x4000, false);
        assert_eq!(fault(&mapped, 0x1000, 0x3000, false), None);
        assert_eq!(fault(&mapped, 0x1000, 0x3001, false), Some(0x4000));
        assert_eq!(fault(&mapped, 0x0fff, 1, false), Some(0xfff));
    }

    #[test]
    fn writing_stops_at_read_only() {
        let mut mapped = Mapped::default();
        mapped.insert(0x1000..0x2000, true);
        mapped.insert(0x2000..0x4000, false);
        assert_eq!(fault(&mapped, 0x1800, 0x1000, true), Some(0x2000));
    }

    #[test]
    fn nothing_is_reached_without_bytes() {
        assert_eq!(fault(&Mapped::default(), 77, 0, true), None);
    }

    #[test]
    fn a_hole_leaves_both_sides() {
        let mut mapped = Mapped::default();
        mapped.insert(0x1000..0x5000, true);
        mapped.remove(&(0x2000..0x3000));
        assert_eq!(fault(&mapped, 0x1000, 0x1000, true), None);
        assert_eq!(fault(&mapped, 0x1fff, 2, false), Some(0x2000));
        assert_eq!(fault(&mapped, 0x3000, 0x2000, true), None);
    }

    #[test]
    fn removing_spans_ranges_and_gaps() {
        let mut mapped = Mapped::default();
        mapped.insert(0x1000..0x2000, true);
        mapped.insert(0x3000..0x4000, true);
        mapped.remove(&(0x1800..0x3800));
        assert_eq!(fault(&mapped, 0x1000, 0x800, true), None);
        assert_eq!(fault(&mapped, 0x1800, 1, true), Some(0x1800));
        assert_eq!(fault(&mapped, 0x37ff, 1, true), Some(0x37ff));
        assert_eq!(fault(&mapped, 0x3800, 0x800, true), None);
    }
}
