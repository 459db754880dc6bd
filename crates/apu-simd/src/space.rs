//! One VM: a reservation of this process's address space, in which pages come and go.
//!
//! # What makes the references sound
//!
//! The device addresses `va` of a VM are the addresses `base + (va - va.start)` of this process,
//! reserved without access when the VM is made. A core gets references to them for one operator at a
//! time, in [`Space::reach`], after a look at what is mapped. Meanwhile they are listed as in use:
//! an unmap waits until they no longer are, as real hardware ends the accesses in flight before
//! it confirms a flush of its TLB, and so does another core if one of both writes. A job that loses
//! pages which it still needs ends with an address fault at its next operator. The wait is as long as
//! one operator at most, which is also how long a CANCEL takes; a job that hangs in one is for the
//! driver to notice.
//!
//! The pages themselves are shared with clients, which can write to them at any time, and can be
//! mapped twice. So their content may change under the operators, which is why the firmware copies
//! what it checks, and why kernels neither panic nor leave their operands whatever bytes they read.

pub use crate::mapped::Covered;
use crate::mapped::Mapped;
use apu_firmware::memory::{AddressFault, AddressSpace, MAX_RANGES, Ranges, Reach, View, overlap};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap, mmap_anonymous, mremap_fixed, munmap};
use std::array;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::slice;

/// An address space of the device.
///
/// # Invariants
/// `base` begins a reservation of `va.end - va.start` bytes that nothing else in this process uses.
/// Every page in it can be accessed as `State::mapped` says, and changes only while no range of
/// `State::in_use` touches it.
#[derive(Debug)]
pub struct Space {
    base: NonNull<u8>,
    va: Range<u64>,
    state: Mutex<State>,
    changed: Condvar,
}

// SAFETY: base is an address of this process, good in all its threads, and the memory behind it is
// handed out under the rules of State::in_use only.
unsafe impl Send for Space {}
// SAFETY: as above; all changes are made under the lock.
unsafe impl Sync for Space {}

#[derive(Debug, Default)]
struct State {
    mapped: Mapped,
    /// What the cores hold references to.
    in_use: Vec<(Ticket, Ranges)>,
    last_ticket: Ticket,
    /// Calls that wait to take pages away; nobody gets new references before they are done.
    leaving: usize,
}

type Ticket = u64;

impl State {
    fn touches(&self, range: &Range<u64>) -> bool {
        self.reached().any(|other| overlap(&other.range(), range))
    }

    /// Whether `ranges` and what is in use can't be referred to at the same time.
    fn conflicts(&self, ranges: &Ranges) -> bool {
        ranges.as_slice().iter().any(|reach| {
            self.reached().any(|other| {
                (reach.write || other.write) && overlap(&other.range(), &reach.range())
            })
        })
    }

    /// Whether all `ranges` are mapped as they are wanted; else the first address that isn't.
    fn check(&self, ranges: &Ranges) -> Result<(), AddressFault> {
        let mut ranges = ranges.as_slice().iter();
        ranges.try_for_each(|reach| self.mapped.check(reach))
    }

    fn reached(&self) -> impl Iterator<Item = &Reach> {
        self.in_use.iter().flat_map(|(_, ranges)| ranges.as_slice())
    }
}

impl Space {
    /// Reserves a space for the device addresses `va`.
    ///
    /// # Errors
    /// `ENOMEM` when this process has no such room.
    pub fn reserve(va: Range<u64>) -> Result<Self, Errno> {
        let size = (va.end - va.start) as usize;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: new memory at an address of the system's choice, which nobody refers to.
        let base = unsafe { mmap_anonymous(null_mut(), size, ProtFlags::empty(), flags)? };
        // INVARIANT: nothing is mapped, nothing is in use.
        Ok(Self {
            base: NonNull::new(base.cast()).ok_or(Errno::NOMEM)?,
            va,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Shows the pages at `token` of `pages` at the device addresses `range`, which lie within `va`.
    ///
    /// # Errors
    /// The system's; the range is unmapped then.
    pub fn map(
        &self,
        range: Range<u64>,
        write: bool,
        pages: BorrowedFd<'_>,
        token: u64,
    ) -> Result<(), Errno> {
        let mut state = self.without_references(&range);
        state.mapped.remove(&range);
        let shown = self.show(&range, write, pages, token);
        match shown {
            Ok(()) => state.mapped.insert(range, write),
            // Neither what was there before nor a gap may stay.
            Err(_) => self.hide(&range)?,
        }
        shown
    }

    /// Maps pages elsewhere first: an mmap that fails half-way in the reservation would leave a gap
    /// there, for anybody's memory to fall into. A move checks the system's limits before it begins.
    fn show(
        &self,
        range: &Range<u64>,
        write: bool,
        pages: BorrowedFd<'_>,
        token: u64,
    ) -> Result<(), Errno> {
        let (address, size) = self.place(range);
        let access = if write {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: new memory at an address of the system's choice, which nobody refers to.
        let new = unsafe { mmap(null_mut(), size, access, MapFlags::SHARED, pages, token)? };
        // SAFETY: from memory that is this function's own to a place within the reservation that the
        // caller has made sure nobody refers to.
        let moved = unsafe { mremap_fixed(new, size, size, MremapFlags::MAYMOVE, address) };
        moved.map(drop).inspect_err(|_| {
            // SAFETY: the move failed, so this is still the function's own.
            let _ = unsafe { munmap(new, size) };
        })
    }

    /// Takes the pages of `range`, which lies within `va`, away; waits while a core uses them.
    pub fn unmap(&self, range: &Range<u64>) {
        let mut state = self.without_references(range);
        state.mapped.remove(range);
        if self.hide(range).is_ok() {
            return;
        }
        // A hole in a mapping costs the system two more mappings, which it may not have. To hide all
        // costs it none, and whoever made that many loses them alone.
        drop(state);
        let mut state = self.without_references(&self.va);
        state.mapped.clear();
        if let Err(errno) = self.hide(&self.va) {
            // Pages that the driver takes for unmapped must not stay reachable.
            tracing::error!(%errno, "pages can't be unmapped");
            std::process::abort();
        }
    }

    /// Whether a device address is mapped.
    pub fn covered(&self, address: u64) -> Covered {
        let end = self.va.end;
        self.lock().mapped.covered(address, end)
    }

    /// As [`reach`](AddressSpace::reach), but asks `miss` to map what isn't; its error is the end.
    ///
    /// # Errors
    /// Those of `miss`.
    pub fn reach_or<R>(
        &self,
        ranges: &Ranges,
        miss: impl FnMut(AddressFault) -> Result<(), AddressFault>,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> Result<R, AddressFault> {
        let in_use = InUse::new(self, ranges, miss)?;
        let mut views: [View<'_>; MAX_RANGES] = array::from_fn(|_| View::default());
        for (view, reach) in views.iter_mut().zip(ranges.as_slice()) {
            // SAFETY: in_use lists the range, as long as the views live, and has seen that it is
            // mapped. Ranges promises that no other of them overlaps one that is written.
            *view = unsafe { self.view(reach) };
        }
        let result = work(&mut views[..ranges.as_slice().len()]);
        drop(in_use);
        Ok(result)
    }

    /// Takes all pages away.
    pub fn clear(&self) {
        self.unmap(&self.va);
    }

    /// Waits until no core refers to anything in `range`; none does before the lock is released.
    fn without_references(&self, range: &Range<u64>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.leaving += 1;
        let mut state = self.wait_while(state, |state| state.touches(range));
        state.leaving -= 1;
        self.changed.notify_all();
        state
    }

    /// Puts reserved pages back in place of what is mapped.
    fn hide(&self, range: &Range<u64>) -> Result<(), Errno> {
        let (address, size) = self.place(range);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: place() lies within the reservation, and the callers hold the lock that
        // without_references() gave them for this range.
        unsafe { mmap_anonymous(address, size, ProtFlags::empty(), flags) }.map(drop)
    }

    /// Where a range of device addresses, which lies within `va`, is in this process.
    fn place(&self, range: &Range<u64>) -> (*mut c_void, usize) {
        debug_assert!(self.va.start <= range.start && range.end <= self.va.end);
        let offset = (range.start - self.va.start) as usize;
        let address = self.base.as_ptr().wrapping_add(offset);
        (address.cast(), (range.end - range.start) as usize)
    }

    /// The memory of a range that is mapped.
    ///
    /// # Safety
    /// The range is in use by the caller for the lifetime `'m`, and mapped as it wants it.
    unsafe fn view<'m>(&'m self, reach: &Reach) -> View<'m> {
        if reach.size == 0 {
            return View::default();
        }
        let (address, size) = self.place(&reach.range());
        if reach.write {
            // SAFETY: mapped memory of this process for reading and writing; it is in use, so that
            // it stays, and nobody in this process has another reference to it.
            View::Write(unsafe { slice::from_raw_parts_mut(address.cast(), size) })
        } else {
            // SAFETY: mapped memory of this process; it is in use, so that it stays, and nobody in
            // this process has a reference for writing to it.
            View::Read(unsafe { slice::from_raw_parts(address.cast(), size) })
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn wait_while<'s>(
        &self,
        mut state: MutexGuard<'s, State>,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'s, State> {
        self.changed
            .wait_while(&mut state, |state| condition(state));
        state
    }
}

impl AddressSpace for Space {
    fn reach<R>(
        &self,
        ranges: &Ranges,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> Result<R, AddressFault> {
        self.reach_or(ranges, Err, work)
    }
}

/// The right to refer to ranges of a space.
struct InUse<'s> {
    space: &'s Space,
    ticket: Ticket,
}

impl<'s> InUse<'s> {
    fn new(
        space: &'s Space,
        ranges: &Ranges,
        mut miss: impl FnMut(AddressFault) -> Result<(), AddressFault>,
    ) -> Result<Self, AddressFault> {
        let free = |state: &State| state.leaving == 0 && !state.conflicts(ranges);
        let mut state = space.wait_while(space.lock(), |state| !free(state));
        while let Err(fault) = state.check(ranges) {
            drop(state);
            miss(fault)?;
            state = space.wait_while(space.lock(), |state| !free(state));
        }
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.in_use.push((ticket, *ranges));
        Ok(Self { space, ticket })
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut state = self.space.lock();
        state.in_use.retain(|(ticket, _)| *ticket != self.ticket);
        self.space.changed.notify_all();
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let (address, size) = self.place(&self.va);
        // SAFETY: the reservation is this space's own, and whoever refers to it borrows the space.
        if let Err(errno) = unsafe { munmap(address, size) } {
            tracing::error!(%errno, "a VM's reservation can't be given back");
        }
    }
}
