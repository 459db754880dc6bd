//! What a platform gives the firmware: address spaces that can be mapped, unmapped and reached.
//!
//! Device memory is shared with the host's clients, so nothing here hands out memory for longer
//! than one operator runs, and never the same memory twice when one of the two may write.

use apu_proto::message::{MAX_SEGMENTS, Map, Segment, Unmap};
use core::ops::Range;

/// The memory of one segment as the interpreter sees it.
#[derive(Debug)]
pub enum View<'a> {
    /// May be read.
    Read(&'a [u8]),
    /// May be read and written.
    Write(&'a mut [u8]),
}

impl View<'_> {
    /// The bytes, for reading.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Write(bytes) => bytes,
        }
    }

    /// The bytes, for writing; none if they may only be read.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Read(_) => &mut [],
            Self::Write(bytes) => bytes,
        }
    }
}

impl Default for View<'_> {
    fn default() -> Self {
        Self::Read(&[])
    }
}

/// First device address that can't be reached the way a job wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device address {address:#x} can't be {}", if *.write { "written" } else { "read" })]
pub struct AddressFault {
    /// The address.
    pub address: u64,
    /// Whether the job wants to write there.
    pub write: bool,
}

/// A device range that a job wants to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// First device address.
    pub va: u64,
    /// Bytes; `va + size` doesn't overflow.
    pub size: u64,
    /// Whether it may be written.
    pub write: bool,
}

impl Reach {
    /// The device addresses.
    pub fn range(&self) -> Range<u64> {
        self.va..self.va + self.size
    }
}

/// Whether two ranges share an element; an empty one shares none.
pub fn overlap<T: Ord + Copy>(a: &Range<T>, b: &Range<T>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// Most ranges that a job reaches: its code and its segments.
pub const MAX_RANGES: usize = MAX_SEGMENTS + 1;

/// Why ranges can't be reached together, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangesError {
    /// More than [`MAX_RANGES`].
    TooMany,
    /// The range goes past the last address.
    Overflow(usize),
    /// A range that is written shares addresses with another one.
    Overlap(usize, usize),
}

/// Ranges that a job reaches at the same time.
///
/// # Invariants
/// No range overflows, and one that is written shares no address with any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ranges {
    list: [Reach; MAX_RANGES],
    count: usize,
}

impl Ranges {
    /// No ranges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range after those added before.
    ///
    /// # Errors
    /// Any of [`RangesError`], with the index that the range would have had.
    pub fn push(&mut self, segment: Segment, write: bool) -> Result<(), RangesError> {
        let Segment { va, size } = segment;
        let index = self.count;
        let end = va.checked_add(size).ok_or(RangesError::Overflow(index))?;
        let clash = self
            .as_slice()
            .iter()
            .position(|other| (write || other.write) && overlap(&other.range(), &(va..end)));
        if let Some(other) = clash {
            return Err(RangesError::Overlap(other, index));
        }
        let slot = self.list.get_mut(index).ok_or(RangesError::TooMany)?;
        // INVARIANT: neither overflow nor overlap, checked above.
        *slot = Reach { va, size, write };
        self.count += 1;
        Ok(())
    }

    /// The ranges in the order they were added.
    pub fn as_slice(&self) -> &[Reach] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

/// One address space, seen from the cores.
pub trait AddressSpace {
    /// Calls `work` with the memory of all `ranges`, in their order. While it runs the memory stays
    /// mapped, and no other call, on whatever core, gets at what one of both may write.
    ///
    /// # Errors
    /// The first address, in the order of the ranges, that isn't mapped or may not be written.
    fn reach<R>(
        &self,
        ranges: &Ranges,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> Result<R, AddressFault>;
}

/// All address spaces, seen from the message side.
pub trait Memory {
    /// Makes an empty address space named `vm`; the name is free. Its page tables begin at `root`,
    /// which is 0 where there are none.
    fn create(&mut self, vm: u32, root: u64);

    /// Forgets `vm`, which exists, as [`unmap`](Memory::unmap) of all of it does.
    fn destroy(&mut self, vm: u32);

    /// Makes pages appear. The VM exists and the range lies within the device's addresses. Where it
    /// can't be done the range stays unmapped.
    fn map(&mut self, map: &Map);

    /// Takes pages away, and forgets what is remembered of page tables; returns when no core reaches
    /// them any more. A job that goes on to need them
    /// gets an [`AddressFault`].
    fn unmap(&mut self, unmap: &Unmap);

    /// Returns when no job is under way on any core. All jobs have been cancelled before.
    fn quiesce(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u64, u64, bool)]) -> Result<Ranges, RangesError> {
        let mut ranges = Ranges::new();
        for &(va, size, write) in list {
            ranges.push(Segment { va, size }, write)?;
        }
        Ok(ranges)
    }

    #[test]
    fn only_a_written_range_must_be_alone() {
        assert!(ranges(&[(0, 10, false), (5, 10, false), (15, 5, true)]).is_ok());
        assert_eq!(
            ranges(&[(0, 10, false), (9, 1, true)]).unwrap_err(),
            RangesError::Overlap(0, 1)
        );
        assert_eq!(
            ranges(&[(0, 10, true), (9, 1, false)]).unwrap_err(),
            RangesError::Overlap(0, 1)
        );
    }

    #[test]
    fn an_empty_range_overlaps_nothing() {
        assert!(ranges(&[(0, 10, true), (5, 0, true)]).is_ok());
    }

    #[test]
    fn overflow_and_excess_are_refused() {
        assert_eq!(
            ranges(&[(u64::MAX, 2, false)]).unwrap_err(),
            RangesError::Overflow(0)
        );
        assert_eq!(
            ranges(&[(0, 1, false); MAX_RANGES + 1]).unwrap_err(),
            RangesError::TooMany
        );
    }
}
