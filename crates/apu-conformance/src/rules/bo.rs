//! BO_CREATE, and mmap of the node.

use std::ffi::CString;

use nix::errno::Errno;
use rustix::mm::MapFlags;

use crate::Bench;
use crate::bench::address;
use crate::rule::{Area::Bo as AREA, Rule};
use crate::uapi::{BoCreate, BoSetLabel};
use crate::unproven::{Succeeds, same};
use std::sync::atomic::Ordering::Relaxed;

/// `DRM_APU_BO_LABEL_SIZE`.
const LABEL_SIZE: usize = 256;
const LABEL: &str = "drm_apu_bo_set_label.label";
const MMAP: &str = "drm_apu_bo_create.mmap_offset";

fn create(t: &Bench, change: impl FnOnce(&mut BoCreate)) -> Result<BoCreate, Errno> {
    let mut bo = BoCreate {
        size: t.page(),
        ..BoCreate::default()
    };
    change(&mut bo);
    t.node.call(&mut bo)?;
    Ok(bo)
}

fn set_label(t: &Bench, change: impl FnOnce(&mut BoSetLabel)) -> Result<(), Errno> {
    let mut label = BoSetLabel {
        handle: t.bo.handle,
        ..BoSetLabel::default()
    };
    change(&mut label);
    t.node.call(&mut label)
}

/// A string of `length` letters.
fn text(length: usize) -> CString {
    CString::new(vec![b'x'; length]).unwrap_or_default()
}

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "of_no_bytes",
        "drm_apu_bo_create.size",
        Errno::EINVAL,
        |t| create(t, |bo| bo.size = 0).map(drop),
    ),
    Rule::refused(
        AREA,
        "of_all_bytes_there_are",
        "drm_apu_bo_create.size",
        Errno::EINVAL,
        |t| create(t, |bo| bo.size = u64::MAX).map(drop),
    ),
    Rule::refused(
        AREA,
        "with_an_unknown_flag",
        "drm_apu_bo_create.flags",
        Errno::EINVAL,
        |t| create(t, |bo| bo.flags = 1 << 31).map(drop),
    ),
    Rule::kept(
        AREA,
        "size_is_rounded_up_to_whole_pages",
        "drm_apu_bo_create.size",
        "BO_CREATE rounds the size up to whole pages and returns it",
        |t| {
            let bo = create(t, |bo| bo.size = t.page() + 1).succeeds("BO_CREATE")?;
            same("size", bo.size, 2 * t.page())
        },
    ),
    Rule::kept(
        AREA,
        "memory_is_zeroed",
        "drm_apu_bo_create",
        "a new BO is zeroed, also when its memory was another's a moment ago",
        |t| {
            let words = |bo: &BoCreate| {
                t.node
                    .words(bo.mmap_offset, bo.size as usize / 4)
                    .succeeds("mmap")
            };
            for _ in 0..4 {
                let bo = create(t, |bo| bo.size = 16 * t.page()).succeeds("BO_CREATE")?;
                let words = words(&bo)?;
                let dirty = words
                    .iter()
                    .filter(|word| word.swap(-1, Relaxed) != 0)
                    .count();
                same("words that aren't 0", dirty, 0)?;
                drop(words);
                t.node.close(bo.handle).succeeds("GEM_CLOSE")?;
            }
            Ok(())
        },
    ),
    Rule::kept(
        AREA,
        "label_is_set_and_taken_away",
        LABEL,
        "BO_SET_LABEL takes strings of up to 255 bytes, and none",
        |t| {
            let longest = text(LABEL_SIZE - 1);
            for address in [address(&*longest), address(c""), 0] {
                set_label(t, |label| label.label = address).succeeds("BO_SET_LABEL")?;
            }
            Ok(())
        },
    ),
    Rule::refused(AREA, "label_too_long", LABEL, Errno::E2BIG, |t| {
        let long = text(LABEL_SIZE);
        set_label(t, |label| label.label = address(&*long))
    }),
    Rule::refused(AREA, "label_at_no_address", LABEL, Errno::EFAULT, |t| {
        set_label(t, |label| label.label = 8)
    }),
    Rule::refused(AREA, "label_of_no_bo", LABEL, Errno::ENOENT, |t| {
        set_label(t, |label| label.handle = u32::MAX)
    }),
    Rule::refused(
        AREA,
        "label_with_padding",
        "drm_apu_bo_set_label.pad",
        Errno::EINVAL,
        |t| set_label(t, |label| label.pad = 1),
    ),
    Rule::refused(
        AREA,
        "mmap_past_the_end_of_the_bo",
        MMAP,
        Errno::EINVAL,
        |t| {
            t.node
                .map(t.bo.mmap_offset, t.bo.size + t.page(), MapFlags::SHARED)
        },
    ),
    Rule::refused(AREA, "mmap_of_no_bo", MMAP, Errno::EINVAL, |t| {
        t.node
            .map(t.bo.mmap_offset + (1 << 40), t.page(), MapFlags::SHARED)
    }),
    Rule::refused(AREA, "mmap_of_a_private_copy", MMAP, Errno::EINVAL, |t| {
        t.node.map(t.bo.mmap_offset, t.bo.size, MapFlags::PRIVATE)
    }),
    Rule::kept(
        AREA,
        "mmap_of_the_whole_bo",
        MMAP,
        "mmap at the BO's offset maps all of it, shared",
        |t| {
            same(
                "mmap",
                t.node.map(t.bo.mmap_offset, t.bo.size, MapFlags::SHARED),
                Ok(()),
            )
        },
    ),
];
