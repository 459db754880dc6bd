// SPDX-License-Identifier: GPL-2.0

//! From the state of a device to a node that can be opened, and back.

use super::{
    debug::Files,
    Device,
    Driver, //
};
use crate::{
    bindings,
    device,
    devres,
    drm,
    prelude::*,
    sync::aref::ARef, //
};

/// A device that user space knows.
struct Registered<D: Driver> {
    /// Those who look for faults can do without.
    _files: Option<Files<D>>,
    registration: drm::Registration<'static, D>,
}

impl<D: Driver> Drop for Registered<D> {
    /// The jobs end before the node goes.
    fn drop(&mut self) {
        self.registration.device().lose();
    }
}

impl<D> Device<D>
where
    D: Driver + for<'a> drm::Driver<RegistrationData<'a> = ()>,
{
    /// Makes a device known to user space until `parent` is unbound, which is a loss of the device:
    /// its jobs end, and ioctls fail with [`ENODEV`] on files that are still open.
    pub fn register(
        parent: &device::Device<device::Bound>,
        device: drm::UnregisteredDevice<D>,
    ) -> Result<ARef<drm::Device<D>>> {
        let_buffers_in(device.dma_device());
        // SAFETY: This reference goes no further than into the registration, which `devres` drops
        // when `parent` is unbound; until then the device is bound.
        let bound: &'static device::Device<device::Bound> =
            unsafe { &*core::ptr::from_ref(parent) };
        // SAFETY: The registration is given to `devres` below, which drops it before `parent` has
        // been unbound. If that fails it is dropped at once.
        let registration =
            unsafe { drm::Registration::new(bound, device, pin_init::init_zeroed::<()>(), 0)? };
        let device: ARef<drm::Device<D>> = registration.device().into();
        let registered = Registered {
            _files: Files::new(&device).ok(),
            registration,
        };
        devres::register(parent, registered, GFP_KERNEL)?;
        Ok(device)
    }
}

/// Lets buffers be mapped for a device that makes no DMA by itself, as that of a channel doesn't,
/// or one that is played by a process: where they are is all that matters then.
fn let_buffers_in(device: &device::Device) {
    let device = device.as_raw();
    // SAFETY: The device is valid, and nothing was mapped for one without a mask.
    unsafe {
        if (*device).dma_mask.is_null() {
            (*device).dma_mask = &raw mut (*device).coherent_dma_mask;
            // A mask of all bits is never refused.
            bindings::dma_set_mask_and_coherent(device, u64::MAX);
        }
    }
}
