// SPDX-License-Identifier: GPL-2.0

//! Core dumps of devices: what one that failed leaves for whoever looks into it, in
//! `/sys/class/devcoredump`.
//!
//! C header: [`include/linux/devcoredump.h`](srctree/include/linux/devcoredump.h)

use crate::{
    bindings,
    device::Device,
    fmt,
    prelude::*, //
};

/// Most bytes of one dump.
const MAX_SIZE: usize = 1 << 20;

/// A dump as text, by `write!()`, which fails when there is no memory or too much text.
pub struct Dump(VVec<u8>);

impl Dump {
    /// Creates an empty dump.
    pub fn new() -> Self {
        Self(VVec::new())
    }

    /// Leaves the dump for user space to read. It goes after some minutes, or when it is written
    /// to. As long as there is one of the same device, no other is taken.
    pub fn publish(self, device: &Device) {
        if self.0.is_empty() {
            return;
        }
        let (data, length, _) = self.0.into_raw_parts();
        // SAFETY: The device is valid; `data` are `length` bytes that belong to nobody else and
        // come from vmalloc(), with which the C side frees them.
        unsafe {
            bindings::dev_coredumpv(device.as_raw(), data.cast(), length, bindings::GFP_KERNEL);
        }
    }
}

impl Default for Dump {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Dump {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_SIZE {
            return Err(fmt::Error);
        }
        self.0
            .extend_from_slice(text.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}

#[cfg(CONFIG_DEV_COREDUMP)]
#[macros::kunit_tests(rust_devcoredump)]
mod tests {
    use super::*;
    use crate::faux;
    use fmt::Write;

    #[test]
    fn text_is_kept_as_written() {
        let mut dump = Dump::new();
        assert!(write!(dump, "job {}\n", 7).is_ok());
        assert!(write!(dump, "{:#x}", 0x1000).is_ok());
        assert!(dump.0.as_slice() == b"job 7\n0x1000");
    }

    #[test]
    fn text_beyond_the_limit_is_refused() {
        let mut dump = Dump::new();
        let line = "0123456789abcdef";
        for _ in 0..MAX_SIZE / line.len() {
            assert!(dump.write_str(line).is_ok());
        }
        assert!(dump.write_str("0").is_err());
        assert_eq!(dump.0.len(), MAX_SIZE);
    }

    #[test]
    fn a_dump_is_taken_and_put_away() -> Result {
        let device = faux::Registration::new(c"devcoredump-test", None)?;
        let device: &Device = device.as_ref().as_ref();
        let mut dump = Dump::new();
        dump.write_str("text").map_err(|_| ENOMEM)?;
        dump.publish(device);
        Dump::new().publish(device);
        // SAFETY: The device is valid.
        unsafe { bindings::dev_coredump_put(device.as_raw()) };
        Ok(())
    }
}
