// SPDX-License-Identifier: GPL-2.0

//! Drops what its last user must not drop itself.

use crate::{
    impl_has_work,
    new_spinlock,
    new_work,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    workqueue::{
        self,
        Work,
        WorkItem, //
    },
    ThisModule, //
};

/// Drops one value in a system worker. As long as this lives, so does the module that the value is
/// of.
///
/// That module is let go by code of the kernel's own, after the last code of the module has run.
///
/// # Invariants
///
/// A reference to `owner` is held.
#[pin_data(PinnedDrop)]
pub(crate) struct Reaper {
    owner: &'static ThisModule,
    #[pin]
    value: SpinLock<Value>,
    #[pin]
    work: Work<Self>,
}

struct Value(Option<Arc<dyn Send + Sync>>);

// Nothing in it is pinned in place.
impl Unpin for Value {}

impl_has_work! {
    impl HasWork<Self> for Reaper { self.work }
}

impl Reaper {
    /// Makes one for a value of `owner`, or fails with [`ENODEV`] when that is being unloaded.
    #[inline(never)]
    pub(crate) fn new(owner: &'static ThisModule) -> Result<Arc<Self>> {
        // SAFETY: A module that code runs of is there, and the kernel itself is no module: null.
        #[cfg(CONFIG_MODULE_UNLOAD)]
        if !unsafe { bindings::try_module_get(owner.as_ptr()) } {
            return Err(ENODEV);
        }
        // INVARIANT: The reference was taken above. Should this fail, dropping a part of it doesn't
        // give the reference back.
        let new = Arc::pin_init(
            pin_init!(Self {
                owner,
                value <- new_spinlock!(Value(None)),
                work <- new_work!("drm::sched::Reaper"),
            }),
            GFP_KERNEL_ACCOUNT,
        );
        new.inspect_err(|_| put(owner))
    }

    /// Drops `value` soon. It neither allocates nor sleeps.
    #[inline(never)]
    pub(crate) fn reap(self: Arc<Self>, value: Arc<dyn Send + Sync>) {
        self.value.lock().0 = Some(value);
        let _ = workqueue::system_long().enqueue(self);
    }
}

impl WorkItem for Reaper {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let value = this.value.lock().0.take();
        drop(value);
    }
}

#[pinned_drop]
impl PinnedDrop for Reaper {
    fn drop(self: Pin<&mut Self>) {
        put(self.owner);
    }
}

fn put(owner: &ThisModule) {
    #[cfg(CONFIG_MODULE_UNLOAD)]
    // SAFETY: The caller gives up a reference that is held.
    unsafe {
        bindings::module_put(owner.as_ptr())
    };
    let _ = owner;
}
