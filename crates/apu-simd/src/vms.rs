//! All VMs of the device.

use crate::cores::InFlight;
use crate::platform::Platform;
use apu_firmware::memory::Memory;
use apu_proto::message::{Map, Unmap};
use std::collections::HashMap;
use std::sync::Arc;
use tracing::{debug, warn};

/// The VMs by the number that the host gave them.
pub struct Vms<P: Platform> {
    platform: P,
    in_flight: Arc<InFlight>,
    spaces: HashMap<u32, Arc<P::Space>>,
}

impl<P: Platform> Vms<P> {
    /// No VMs yet.
    pub fn new(platform: P, in_flight: Arc<InFlight>) -> Self {
        Self {
            platform,
            in_flight,
            spaces: HashMap::new(),
        }
    }

    /// The space of a VM. A VM that no room could be reserved for has none.
    pub fn space(&self, vm: u32) -> Option<Arc<P::Space>> {
        self.spaces.get(&vm).cloned()
    }
}

impl<P: Platform> Memory for Vms<P> {
    fn create(&mut self, vm: u32, root: u64) {
        match self.platform.create(root) {
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
            self.platform.unmap(&space, &self.platform.va());
        }
    }

    fn map(&mut self, map: &Map) {
        let Some(space) = self.spaces.get(&map.vm) else {
            return;
        };
        debug!(map.vm, va = %format_args!("{:#x}", map.va), map.size, map.flags, "map");
        if let Err(errno) = self.platform.map(space, map) {
            let Map { vm, va, token, .. } = *map;
            warn!(vm, va, token, %errno, "pages stay unmapped: jobs that need them will fault");
        }
    }

    fn unmap(&mut self, unmap: &Unmap) {
        debug!(unmap.vm, va = %format_args!("{:#x}", unmap.va), unmap.size, "unmap");
        if let Some(space) = self.spaces.get(&unmap.vm) {
            let range = unmap.va..unmap.va + unmap.size;
            self.platform.unmap(space, &range);
        }
    }

    fn quiesce(&mut self) {
        self.in_flight.wait_for_none();
    }
}
