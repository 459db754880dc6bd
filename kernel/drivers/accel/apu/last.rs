// SPDX-License-Identifier: GPL-2.0

//! The last things of a kind that came by.

use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// Things that are remembered.
const LENGTH: usize = 32;

/// The last of them. Nothing is allocated.
#[pin_data]
pub(crate) struct Last<T: Copy + Unpin> {
    #[pin]
    ring: SpinLock<Ring<T>>,
}

struct Ring<T> {
    things: [Option<T>; LENGTH],
    next: usize,
}

impl<T: Copy + Unpin> Last<T> {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ring <- new_spinlock!(Ring {
                things: [None; LENGTH],
                next: 0,
            }),
        })
    }

    /// Remembers one, and forgets the oldest one.
    pub(crate) fn add(&self, thing: T) {
        let mut ring = self.ring.lock();
        let next = ring.next;
        if let Some(oldest) = ring.things.get_mut(next) {
            *oldest = Some(thing);
        }
        ring.next = (next + 1) % LENGTH;
    }

    /// All, the oldest one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..LENGTH).filter_map(|age| self.oldest(age))
    }

    /// The one that is followed by `LENGTH - 1 - index` others.
    fn oldest(&self, index: usize) -> Option<T> {
        let ring = self.ring.lock();
        *ring.things.get((ring.next + index) % LENGTH)?
    }
}
