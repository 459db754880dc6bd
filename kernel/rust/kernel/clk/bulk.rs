// SPDX-License-Identifier: GPL-2.0

//! Several clocks of one device, switched together.
//!
//! C header: [`include/linux/clk.h`](srctree/include/linux/clk.h)

use crate::{
    bindings,
    device::Device,
    error::to_result,
    prelude::*, //
};

/// Clocks that a device needs together, by their names.
///
/// # Invariants
///
/// Each element of `clocks` holds a reference to a clock.
pub struct Bulk {
    clocks: KVec<bindings::clk_bulk_data>,
}

// SAFETY: Clocks may be put by another thread than the one that got them.
unsafe impl Send for Bulk {}

// SAFETY: Clocks are synchronized by the C side; nothing else is reached through a reference.
unsafe impl Sync for Bulk {}

impl Bulk {
    /// Gets the clocks called `names`. Which one is missing is logged, unless its provider is only
    /// late ([`EPROBE_DEFER`]).
    pub fn get(dev: &Device, names: &[&'static CStr]) -> Result<Self> {
        let mut clocks = KVec::with_capacity(names.len(), GFP_KERNEL)?;
        for name in names {
            let clock = bindings::clk_bulk_data {
                id: name.as_char_ptr(),
                clk: core::ptr::null_mut(),
            };
            clocks.push(clock, GFP_KERNEL)?;
        }
        // SAFETY: `dev` is valid and so are the elements, whose names live forever.
        to_result(unsafe {
            bindings::clk_bulk_get(dev.as_raw(), names.len() as c_int, clocks.as_mut_ptr())
        })?;

        // INVARIANT: All of them were got.
        Ok(Self { clocks })
    }

    /// Prepares and enables all of them, or none.
    pub fn prepare_enable(&self) -> Result {
        let (count, clocks) = self.as_raw();

        // SAFETY: By the type invariant these are clocks.
        to_result(unsafe { bindings::clk_bulk_prepare(count, clocks) })?;
        // SAFETY: As above, and they are prepared.
        to_result(unsafe { bindings::clk_bulk_enable(count, clocks) })
            // SAFETY: As above.
            .inspect_err(|_| unsafe { bindings::clk_bulk_unprepare(count, clocks) })
    }

    /// Undoes one [`prepare_enable`](Self::prepare_enable).
    pub fn disable_unprepare(&self) {
        let (count, clocks) = self.as_raw();

        // SAFETY: By the type invariant these are clocks; the C side bears with more disables than
        // enables.
        unsafe { bindings::clk_bulk_disable(count, clocks) };
        // SAFETY: As above.
        unsafe { bindings::clk_bulk_unprepare(count, clocks) };
    }

    fn as_raw(&self) -> (c_int, *const bindings::clk_bulk_data) {
        // CAST: `get()` passed the same number.
        (self.clocks.len() as c_int, self.clocks.as_ptr())
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // SAFETY: By the type invariant each of them holds a reference.
        unsafe { bindings::clk_bulk_put(self.clocks.len() as c_int, self.clocks.as_mut_ptr()) };
    }
}
