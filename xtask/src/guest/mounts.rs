//! The file systems a program expects on top of the host's root.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

/// Type and place. The kernel has mounted `/dev` itself.
const MOUNTS: [(&str, &str); 6] = [
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("debugfs", "/sys/kernel/debug"),
    TRACING,
];
/// Not in every kernel.
const TRACING: (&str, &str) = ("tracefs", "/sys/kernel/tracing");

/// Mounts everything.
pub fn mount_all() -> Result<()> {
    for (kind, place) in MOUNTS {
        if (kind, place) == TRACING && !Path::new(place).exists() {
            continue;
        }
        if place.starts_with("/dev/") {
            std::fs::create_dir_all(place).with_context(|| format!("creating {place}"))?;
        }
        mount(kind, place, kind, MountFlags::empty(), None)
            .with_context(|| format!("mounting {kind} on {place}"))?;
    }
    Ok(())
}
