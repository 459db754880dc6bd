// SPDX-License-Identifier: GPL-2.0

//! Memory by tokens: each MAP names pages by a number that the device can ask for.

use crate::{
    memory::{
        Memory,
        Pages,
        Space, //
    },
    message::addressing,
    page_table::Tables, //
};
use core::ops::Range;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// A token is the number of a share, shifted by this, and bytes into the share: each has its own
/// window of file offsets.
const WINDOW_BITS: u32 = 32;
/// Numbers of shares stay below this, so that a token is a valid file offset.
const SHARE_END: u32 = 1 << 30;

/// All that the device can ask for.
#[pin_data]
pub(crate) struct Tokens {
    #[pin]
    shares: Mutex<Shares>,
}

struct Shares {
    last: u32,
    pages: RBTree<u32, Arc<Pages>>,
}

impl Tokens {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            shares <- new_mutex!(Shares {
                last: 0,
                pages: RBTree::new(),
            }),
        })
    }

    /// What a token stands for, and how many bytes into that it begins; or [`EINVAL`].
    pub(crate) fn find(&self, token: u64) -> Result<(Arc<Pages>, u64)> {
        let number = u32::try_from(token >> WINDOW_BITS).map_err(|_| EINVAL)?;
        let shares = self.shares.lock();
        let pages = shares.pages.get(&number).ok_or(EINVAL)?.clone();
        Ok((pages, token & ((1 << WINDOW_BITS) - 1)))
    }
}

impl Memory for Tokens {
    fn addressing(&self) -> u32 {
        addressing::TOKENS
    }

    fn vm_create(&self) -> Result<KBox<dyn Space>> {
        Ok(KBox::new(Told, GFP_KERNEL_ACCOUNT)?)
    }

    /// [`EOPNOTSUPP`] for a foreign buffer that its exporter can't map into a process.
    fn share(&self, _parent: &Device<Bound>, pages: Arc<Pages>) -> Result<Option<u64>> {
        if !pages.pinned().can_be_mapped() {
            return Err(EOPNOTSUPP);
        }
        let mut shares = self.shares.lock();
        let number = shares.unused();
        shares
            .pages
            .try_create_and_insert(number, pages, GFP_KERNEL_ACCOUNT)?;
        Ok(Some(u64::from(number) << WINDOW_BITS))
    }

    fn part(&self, token: u64, offset: u64) -> u64 {
        token + offset
    }

    fn unshare(&self, token: u64) {
        let pages = self.shares.lock().remove(token);
        drop(pages);
    }
}

impl Shares {
    fn unused(&mut self) -> u32 {
        loop {
            self.last = if self.last + 1 < SHARE_END {
                self.last + 1
            } else {
                1
            };
            if self.pages.get(&self.last).is_none() {
                return self.last;
            }
        }
    }

    fn remove(&mut self, token: u64) -> Option<Arc<Pages>> {
        // CAST: the number was a `u32` when the token was made.
        self.pages.remove(&((token >> WINDOW_BITS) as u32))
    }
}

/// An address space that is nowhere but in the messages about it.
struct Told;

impl Space for Told {
    fn root(&self) -> u64 {
        0
    }

    fn map(&mut self, _: Range<u64>, _: &Pages, _: u64, _: &mut Tables) -> Result {
        Ok(())
    }

    fn unmap(&mut self, _va: Range<u64>) -> Result {
        Ok(())
    }
}
