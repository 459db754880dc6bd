// SPDX-License-Identifier: GPL-2.0

//! Which buffer objects are in use: those that a VM with jobs maps.
//!
//! A job may reach all that its VM maps, which can be a lot. So jobs are counted by VM, and an
//! object knows the VMs that map it.

use super::{
    Bo,
    Driver, //
};
use crate::{
    new_spinlock,
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    }, //
};

/// How many jobs of a VM were submitted and have not ended.
pub(super) struct Activity(Atomic<usize>);

impl Activity {
    pub(super) fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(Atomic::new(0)), GFP_KERNEL_ACCOUNT)?)
    }

    /// Counts a job.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.0.fetch_add(1, Relaxed);
        Active(self.clone())
    }
}

/// A job, which counts as long as this lives.
pub(super) struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Relaxed);
    }
}

/// The VMs that map a buffer object.
#[pin_data]
pub(super) struct Mappers {
    /// By the address of the activity.
    #[pin]
    vms: SpinLock<RBTree<usize, Mapper>>,
}

struct Mapper {
    activity: Arc<Activity>,
    /// Mappings that the VM has of the object.
    mappings: usize,
}

impl Mappers {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self { vms <- new_spinlock!(RBTree::new()) })
    }

    /// Whether one of them has jobs. May be called under a spinlock.
    pub(super) fn are_active(&self) -> bool {
        let vms = self.vms.lock();
        let active = vms.values().any(|vm| vm.activity.0.load(Relaxed) > 0);
        active
    }

    fn add(&self, key: usize, activity: &Arc<Activity>) -> Result {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        match self.vms.lock().entry(key) {
            Entry::Occupied(mut mapper) => mapper.get_mut().mappings += 1,
            Entry::Vacant(place) => {
                let mapper = Mapper {
                    activity: activity.clone(),
                    mappings: 1,
                };
                place.insert(mapper, node);
            }
        }
        Ok(())
    }

    fn remove(&self, key: usize) {
        let mut vms = self.vms.lock();
        let Some(mapper) = vms.get_mut(&key) else {
            return;
        };
        mapper.mappings -= 1;
        if mapper.mappings == 0 {
            vms.remove(&key);
        }
    }
}

/// The object of a mapping, which counts as mapped as long as this lives.
pub(super) struct MappedBo<D: Driver> {
    bo: ARef<Bo<D>>,
    key: usize,
}

impl<D: Driver> MappedBo<D> {
    pub(super) fn new(bo: &ARef<Bo<D>>, activity: &Arc<Activity>) -> Result<Self> {
        let key = Arc::as_ptr(activity).addr();
        bo.mappers.add(key, activity)?;
        Ok(Self {
            bo: bo.clone(),
            key,
        })
    }

    pub(super) fn bo(&self) -> &Bo<D> {
        &self.bo
    }
}

impl<D: Driver> Drop for MappedBo<D> {
    fn drop(&mut self) {
        self.bo.mappers.remove(self.key);
    }
}
