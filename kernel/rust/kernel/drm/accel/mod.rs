// SPDX-License-Identifier: GPL-2.0

//! Compute accelerators.

#[cfg(CONFIG_RUST_DRM_ACCEL_TINY)]
pub mod tiny;
