//! Memory by tokens: each MAP says where in the control node its pages can be mapped from.

use crate::Control;
use crate::platform::Platform;
use crate::space::Space;
use apu_proto::message::{MAP_READ_ONLY, Map, addressing};
use rustix::io::Errno;
use std::ops::Range;
use std::sync::Arc;

/// VMs whose pages come from the control node.
#[derive(Debug)]
pub struct Tokens {
    control: Arc<Control>,
    va: Range<u64>,
}

impl Tokens {
    /// Each VM will have the device addresses `va`.
    pub fn new(control: Arc<Control>, va: Range<u64>) -> Self {
        Self { control, va }
    }
}

impl Platform for Tokens {
    type Space = Space;

    const ADDRESSING: u32 = addressing::TOKENS;

    fn create(&self, _root: u64) -> Result<Space, Errno> {
        Space::reserve(self.va.clone())
    }

    fn map(&self, space: &Space, map: &Map) -> Result<(), Errno> {
        let write = map.flags & MAP_READ_ONLY == 0;
        space.map(
            map.va..map.va + map.size,
            write,
            self.control.pages(),
            map.token,
        )
    }

    fn unmap(&self, space: &Space, range: &Range<u64>) {
        space.unmap(range);
    }
}
