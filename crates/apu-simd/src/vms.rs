//! All VMs of the device.

use crate::Control;
use crate::cores::InFlight;
use crate::space::Space;
use apu_firmware::memory::Memory;
use apu_proto::message::{MAP_READ_ONLY, Map, Unmap};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tracing::{debug, warn};

/// The VMs by the number that the host gave them.
#[derive(Debug)]
pub struct Vms {
    control: Arc<Control>,
    in_flight: Arc<InFlight>,
    va: Range<u64>,
    spaces: HashMap<u32, Arc<Space>>,
}

impl Vms {
    /// No VMs yet. Each will have the device addresses `va`.
    pub fn new(control: Arc<Control>, in_flight: Arc<InFlight>, va: Range<u64>) -> Self {
        Self {
            control,
            in_flight,
            va,
            spaces: HashMap::new(),
        }
    }

    /// The space of a VM. A VM that no room could be reserved for has none.
    pub fn space(&self, vm: u32) -> Option<Arc<Space>> {
        self.spaces.get(&vm).cloned()
    }
}

impl Memory for Vms {
    fn create(&mut self, vm: u32) {
        match Space::reserve(self.va.clone()) {
            Ok(space) => {
                debug!(vm, "created");
                self.spaces.insert(vm, Arc::new(space));
            }
            Err(errno) => warn!(vm, %errno, "no room for a VM: its jobs will fail"),
        }
    }

    fn destroy(&mut self, vm: u32) {
        debug!(vm, "destroyed");
        if let Some(space) = self.spaces.remove(&vm) {
            space.clear();
        }
    }

    fn map(&mut self, map: &Map) {
        let Some(space) = self.spaces.get(&map.vm) else {
            return;
        };
        let write = map.flags & MAP_READ_ONLY == 0;
        debug!(map.vm, va = %format_args!("{:#x}", map.va), map.size, write, "map");
        let range = map.va..map.va + map.size;
        if let Err(errno) = space.map(range, write, self.control.pages(), map.token) {
            let Map { vm, va, token, .. } = *map;
            warn!(vm, va, token, %errno, "pages stay unmapped: jobs that need them will fault");
        }
    }

    fn unmap(&mut self, unmap: &Unmap) {
        debug!(unmap.vm, va = %format_args!("{:#x}", unmap.va), unmap.size, "unmap");
        if let Some(space) = self.spaces.get(&unmap.vm) {
            space.unmap(&(unmap.va..unmap.va + unmap.size));
        }
    }

    fn quiesce(&mut self) {
        self.in_flight.wait_for_none();
    }
}
