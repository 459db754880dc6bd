//! Memory by page tables: the device walks what the driver has written into the host's memory.
//!
//! What a walk finds is mapped into the VM's [`Space`] and stays there until an UNMAP names it, so
//! the space is the device's TLB. Walks and invalidations exclude each other: an entry that a walk
//! has read is in the TLB before an invalidation looks for it, and an entry that the driver cleared
//! before it asked for the invalidation is not read again after it.

use crate::platform::Platform;
use crate::space::{Covered, Space};
use apu_firmware::memory::{AddressFault, AddressSpace, Ranges, View};
use apu_proto::message::{Map, addressing};
use apu_proto::pte;
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::{debug, warn};
use vm_memory::{
    Address, Bytes, GuestAddress, GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion,
};

const PAGE: u64 = 1 << pte::PAGE_BITS;

/// VMs whose memory is found by walking page tables in `M`.
#[derive(Debug)]
pub struct PageTables<M> {
    memory: M,
    va: Range<u64>,
}

impl<M> PageTables<M> {
    /// Each VM will have the device addresses `va`, which lie below [`pte::VA_END`].
    pub fn new(memory: M, va: Range<u64>) -> Self {
        Self { memory, va }
    }
}

impl<M> Platform for PageTables<M>
where
    M: GuestAddressSpace + Send + Sync + 'static,
    M::M: GuestMemoryBackend,
{
    type Space = Walked<M>;

    const ADDRESSING: u32 = addressing::PAGE_TABLES;

    fn create(&self, root: u64) -> Result<Walked<M>, Errno> {
        Ok(Walked {
            tlb: Space::reserve(self.va.clone())?,
            memory: self.memory.clone(),
            root,
            walking: Mutex::new(()),
        })
    }

    /// The server lets no MAP through to a device with page tables.
    fn map(&self, _space: &Walked<M>, _map: &Map) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    fn unmap(&self, space: &Walked<M>, range: &Range<u64>) {
        let _walking = space.walk();
        space.tlb.unmap(range);
    }
}

/// The memory of one VM.
#[derive(Debug)]
pub struct Walked<M> {
    tlb: Space,
    memory: M,
    root: u64,
    walking: Mutex<()>,
}

impl<M> Walked<M> {
    fn walk(&self) -> MutexGuard<'_, ()> {
        self.walking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Walked<M>
where
    M: GuestAddressSpace,
    M::M: GuestMemoryBackend,
{
    /// Brings what is at the address of a miss into the TLB, with the pages that follow it both in
    /// the VM and in memory.
    fn fill(&self, miss: AddressFault, evicted: &Cell<bool>) -> Result<(), AddressFault> {
        let _walking = self.walk();
        let end = match self.tlb.covered(miss.address) {
            // Another core was faster.
            Covered::Yes { write } if write || !miss.write => return Ok(()),
            Covered::Yes { .. } => return Err(miss),
            Covered::No { end } => end,
        };
        let memory = self.memory.memory();
        let start = miss.address & !(PAGE - 1);
        let run = run(&*memory, self.root, start..end).ok_or(miss)?;
        if miss.write && !run.write {
            return Err(miss);
        }
        let range = start..start + run.size;
        debug!(va = %format_args!("{start:#x}"), size = run.size, address = %format_args!("{:#x}", run.address), "TLB fill");
        let shown = self.show(&*memory, &run, range.clone()).or_else(|errno| {
            // The system may be out of mappings: those of other jobs can be had again. Once.
            if evicted.replace(true) {
                return Err(errno);
            }
            self.tlb.clear();
            self.show(&*memory, &run, range)
        });
        shown.map_err(|errno| {
            warn!(%errno, va = miss.address, "no room for a TLB entry");
            miss
        })
    }

    fn show(&self, memory: &M::M, run: &Run, range: Range<u64>) -> Result<(), Errno> {
        let address = GuestAddress(run.address);
        let region = memory.find_region(address).ok_or(Errno::FAULT)?;
        let file = region.file_offset().ok_or(Errno::NODEV)?;
        let offset = file.start() + address.unchecked_offset_from(region.start_addr());
        self.tlb.map(range, run.write, file.file().as_fd(), offset)
    }
}

impl<M> AddressSpace for Walked<M>
where
    M: GuestAddressSpace,
    M::M: GuestMemoryBackend,
{
    fn reach<R>(
        &self,
        ranges: &Ranges,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> Result<R, AddressFault> {
        let evicted = Cell::new(false);
        self.tlb
            .reach_or(ranges, |miss| self.fill(miss, &evicted), work)
    }
}

/// Pages that follow each other both in a VM and in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    address: u64,
    size: u64,
    write: bool,
}

/// Walks from the start of `va`, whole pages, as far as one run goes. [`None`] if there is no page.
fn run<M: GuestMemoryBackend>(memory: &M, root: u64, va: Range<u64>) -> Option<Run> {
    let first = walk(memory, root, va.start)?;
    let region_end = memory
        .find_region(GuestAddress(first.address))?
        .last_addr()
        .raw_value();
    let mut run = first;
    while va.start + run.size < va.end && run.address + run.size + PAGE - 1 <= region_end {
        let next = walk(memory, root, va.start + run.size);
        let fits =
            next.is_some_and(|it| it.address == run.address + run.size && it.write == run.write);
        if !fits {
            break;
        }
        run.size += PAGE;
    }
    Some(run)
}

/// The page at a device address.
fn walk<M: GuestMemoryBackend>(memory: &M, root: u64, va: u64) -> Option<Run> {
    if va >= pte::VA_END {
        return None;
    }
    let mut address = root;
    let mut entry = 0;
    for level in 0..pte::LEVELS {
        let slot = address + 8 * pte::index(va, level) as u64;
        entry = u64::from_le(memory.load(GuestAddress(slot), Ordering::Acquire).ok()?);
        if entry & pte::VALID == 0 {
            return None;
        }
        address = entry & pte::ADDRESS;
    }
    let page = memory.check_range(GuestAddress(address), PAGE as usize);
    page.then_some(Run {
        address,
        size: PAGE,
        write: entry & pte::READ_ONLY == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestMemoryMmap;

    const ROOT: u64 = 0x1000;

    /// Memory with a table of each level, in which the pages of `entries` are mapped one by one.
    fn tables(va: u64, entries: &[u64]) -> GuestMemoryMmap {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x20000)]).unwrap();
        let put = |table: u64, index: usize, entry: u64| {
            let slot = GuestAddress(table + 8 * index as u64);
            memory.write_obj(entry.to_le(), slot).unwrap();
        };
        put(ROOT, pte::index(va, 0), 0x2000 | pte::VALID);
        put(0x2000, pte::index(va, 1), 0x3000 | pte::VALID);
        for (nth, entry) in entries.iter().enumerate() {
            put(0x3000, pte::index(va, 2) + nth, *entry);
        }
        memory
    }

    #[test]
    fn a_walk_finds_the_page_and_what_may_be_done_there() {
        let va = 3 << 30 | 2 << 21 | 1 << 12;
        let memory = tables(
            va,
            &[0x5000 | pte::VALID, 0x9000 | pte::VALID | pte::READ_ONLY],
        );
        let page = |address, write| {
            Some(Run {
                address,
                size: PAGE,
                write,
            })
        };
        assert_eq!(walk(&memory, ROOT, va), page(0x5000, true));
        assert_eq!(walk(&memory, ROOT, va + PAGE), page(0x9000, false));
    }

    #[test]
    fn a_walk_ends_where_an_entry_is_not_valid() {
        let memory = tables(0, &[0x5000 | pte::VALID, 0x6000]);
        assert_eq!(walk(&memory, ROOT, PAGE), None, "last level");
        assert_eq!(walk(&memory, ROOT, 1 << 21), None, "middle level");
        assert_eq!(walk(&memory, ROOT, 1 << 30), None, "first level");
        assert_eq!(walk(&memory, ROOT, pte::VA_END), None, "past all levels");
    }

    #[test]
    fn tables_that_lie_lead_nowhere() {
        let far = 0xf_ffff_f000 | pte::VALID;
        let memory = tables(0, &[far, 0x1f000 | pte::VALID]);
        assert_eq!(walk(&memory, ROOT, 0), None, "a page outside memory");
        assert!(walk(&memory, ROOT, PAGE).is_some(), "the last page");
        memory.write_obj(far, GuestAddress(0x2000)).unwrap();
        assert_eq!(walk(&memory, ROOT, 0), None, "a table outside memory");
        assert_eq!(
            walk(&memory, u64::MAX << 12, 0),
            None,
            "a root outside memory"
        );
    }

    #[test]
    fn a_run_is_contiguous_and_of_one_kind() {
        let valid = |address: u64| address | pte::VALID;
        let entries = [
            valid(0x5000),
            valid(0x6000),
            valid(0x7000) | pte::READ_ONLY,
            valid(0x8000),
            valid(0xa000),
        ];
        let memory = tables(0, &entries);
        let size = |va, end| run(&memory, ROOT, va..end).unwrap().size / PAGE;
        assert_eq!(size(0, 16 * PAGE), 2, "up to another kind");
        assert_eq!(size(0, PAGE), 1, "no further than asked");
        assert_eq!(size(3 * PAGE, 16 * PAGE), 1, "up to a gap in memory");
        assert_eq!(
            size(4 * PAGE, 16 * PAGE),
            1,
            "up to an entry that isn't valid"
        );
    }
}
