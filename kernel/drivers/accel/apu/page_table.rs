// SPDX-License-Identifier: GPL-2.0

//! Memory by page tables: the host writes them, as [`pte`] has them, and the device walks them.

use crate::{
    memory::{
        Memory,
        Pages,
        Space, //
    },
    message::addressing,
    pte,
    quarantine::{
        Quarantine,
        Reachable, //
    }, //
};
use core::ops::Range;
use kernel::{
    mm::phys,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

const _: () = assert!(PAGE_SIZE == 1 << pte::PAGE_BITS);

/// Bytes of device addresses that an entry of a table of `level` covers.
const fn reach(level: u32) -> u64 {
    1 << (pte::PAGE_BITS + (pte::LEVELS - 1 - level) * pte::INDEX_BITS)
}

/// Tables of `level`, not the first, on the way to all of `va`.
fn count(va: &Range<u64>, level: u32) -> u64 {
    let reach = reach(level - 1);
    va.end.div_ceil(reach) - va.start / reach
}

/// Tables that are set aside. They are empty.
#[derive(Default)]
pub(crate) struct Tables {
    /// Of each level; none of the first, which a tree always has.
    levels: [KVec<KBox<Table>>; pte::LEVELS as usize],
}

impl Tables {
    /// Adds those on the way to all of `va`, as if there was none yet.
    fn add(&mut self, va: &Range<u64>) -> Result {
        for (level, tables) in (0..).zip(&mut self.levels).skip(1) {
            for _ in 0..count(va, level) {
                let table = KBox::new(Table::new(level)?, GFP_KERNEL_ACCOUNT)?;
                tables.push(table, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, level: u32) -> Result<KBox<Table>> {
        let tables = self.levels.get_mut(level as usize).ok_or(EINVAL)?;
        tables.pop().ok_or(ENOMEM)
    }
}

/// Page tables for a device that reaches all memory by its physical addresses.
pub(crate) struct PageTables(pub(crate) Arc<Quarantine>);

impl Memory for PageTables {
    fn addressing(&self) -> u32 {
        addressing::PAGE_TABLES
    }

    fn va_end(&self) -> u64 {
        pte::VA_END
    }

    fn reserve(&self, tables: &mut Tables, va: &Range<u64>) -> Result {
        tables.add(va)
    }

    fn vm_create(&self) -> Result<KBox<dyn Space>> {
        let tree = Tree {
            root: Reachable::new(Table::new(0)?, self.0.clone())?,
        };
        Ok(KBox::new(tree, GFP_KERNEL_ACCOUNT)?)
    }

    fn quarantine(&self) -> Option<&Arc<Quarantine>> {
        Some(&self.0)
    }
}

/// The page tables of one address space.
struct Tree {
    root: Reachable<Table>,
}

/// A table and those that its entries point to.
struct Table {
    entries: KBox<Entries>,
    /// One for each entry, or none in the last level.
    next: KVec<Option<KBox<Table>>>,
}

/// What the device reads.
#[repr(C, align(4096))]
struct Entries {
    list: [Atomic<u64>; pte::ENTRIES],
}

impl Entries {
    /// The entry that a walk to `va` uses in `level`.
    fn at(&self, va: u64, level: u32) -> Result<&Atomic<u64>> {
        self.list.get(pte::index(va, level)).ok_or(EINVAL)
    }
}

impl Table {
    fn new(level: u32) -> Result<Self> {
        let entries = KBox::init(zeroed_entries(), GFP_KERNEL_ACCOUNT)?;
        let mut next = KVec::new();
        if level + 1 < pte::LEVELS {
            next.reserve(pte::ENTRIES, GFP_KERNEL_ACCOUNT)?;
            for _ in 0..pte::ENTRIES {
                next.push(None, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(Self { entries, next })
    }

    fn address(&self) -> u64 {
        phys::address(&self.entries)
    }
}

/// Entries none of which is valid.
fn zeroed_entries() -> impl Init<Entries, Error> {
    init!(Entries {
        list <- pin_init::init_array_from_fn(|_| Atomic::new(0)),
    }? Error)
}

impl Tree {
    /// The last table on the way to `va`; what is missing on the way is taken from `tables`.
    fn make(&mut self, va: u64, tables: &mut Tables) -> Result<&Table> {
        let mut table = self.root.get_mut().ok_or(EINVAL)?;
        for level in 0..pte::LEVELS - 1 {
            let next = table.next.get_mut(pte::index(va, level)).ok_or(EINVAL)?;
            let next = match next {
                Some(next) => next,
                None => {
                    let new = tables.take(level + 1)?;
                    let entry = new.address() | pte::VALID;
                    // The new table is empty before the device can see it.
                    table.entries.at(va, level)?.store(entry, Release);
                    next.insert(new)
                }
            };
            table = next;
        }
        Ok(table)
    }

    fn write(
        &mut self,
        va: &Range<u64>,
        pages: &Pages,
        offset: u64,
        tables: &mut Tables,
    ) -> Result {
        let flags = if pages.writable() {
            pte::VALID
        } else {
            pte::VALID | pte::READ_ONLY
        };
        for page in pages.addresses(va, offset)? {
            let (va, address) = page?;
            let entries = &self.make(va, tables)?.entries;
            entries
                .at(va, pte::LEVELS - 1)?
                .store(address | flags, Relaxed);
        }
        Ok(())
    }

    /// The last table on the way to `va`, or the first device address past what there is none for.
    fn find(&self, va: u64) -> Result<&Table, u64> {
        let mut table = self.root.get().ok_or(u64::MAX)?;
        for level in 0..pte::LEVELS - 1 {
            let next = table.next.get(pte::index(va, level));
            table = next
                .and_then(Option::as_ref)
                .ok_or((va / reach(level) + 1) * reach(level))?;
        }
        Ok(table)
    }
}

impl Space for Tree {
    fn root(&self) -> u64 {
        self.root.get().map_or(0, Table::address)
    }

    fn map(&mut self, va: Range<u64>, pages: &Pages, offset: u64, tables: &mut Tables) -> Result {
        let written = self.write(&va, pages, offset, tables);
        if written.is_err() {
            self.unmap(va)?;
        }
        written
    }

    fn unmap(&mut self, va: Range<u64>) -> Result {
        let mut at = va.start;
        while at < va.end {
            at = match self.find(at) {
                Ok(table) => {
                    table.entries.at(at, pte::LEVELS - 1)?.store(0, Relaxed);
                    at + PAGE_SIZE as u64
                }
                Err(next) => next,
            };
        }
        Ok(())
    }
}
