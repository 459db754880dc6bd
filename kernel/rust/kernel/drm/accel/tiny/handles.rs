// SPDX-License-Identifier: GPL-2.0

//! Small numbers for the objects of one file.

use crate::{
    prelude::*,
    sync::Arc, //
};

/// Objects by handle, with a limit. Handles start at 1.
pub(super) struct Handles<T> {
    slots: KVec<Option<Arc<T>>>,
    limit: usize,
}

impl<T> Handles<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: KVec::new(),
            limit,
        }
    }

    /// Makes an object and returns its handle, or [`ENOSPC`] when the limit is reached.
    pub(super) fn insert(&mut self, make: impl FnOnce() -> Result<Arc<T>>) -> Result<u32> {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.slots.len() < self.limit => {
                self.slots.push(None, GFP_KERNEL_ACCOUNT)?;
                self.slots.len() - 1
            }
            None => return Err(ENOSPC),
        };
        *self.slots.get_mut(index).ok_or(ENOSPC)? = Some(make()?);
        Ok(u32::try_from(index)? + 1)
    }

    /// Returns the object, or [`ENOENT`].
    pub(super) fn get(&self, handle: u32) -> Result<Arc<T>> {
        self.slots
            .get(Self::index(handle)?)
            .and_then(Clone::clone)
            .ok_or(ENOENT)
    }

    /// Takes the object out, or returns [`ENOENT`]. The caller drops it outside of its locks.
    pub(super) fn remove(&mut self, handle: u32) -> Result<Arc<T>> {
        self.slots
            .get_mut(Self::index(handle)?)
            .and_then(Option::take)
            .ok_or(ENOENT)
    }

    /// All objects.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.slots.iter().flatten()
    }

    fn index(handle: u32) -> Result<usize> {
        Ok(handle.checked_sub(1).ok_or(ENOENT)? as usize)
    }
}
