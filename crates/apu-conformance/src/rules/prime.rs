//! Buffers that are shared, as Documentation/gpu/drm-mm.rst says of PRIME.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use crate::Bench;
use crate::foreign::{Udmabuf, Vgem};
use crate::node::Words;
use crate::rule::{Area::Prime as AREA, Rule};
use crate::uapi::{BIND_READONLY, PrimeFdToHandle, QUEUE_FAULTED, QUEUE_OK};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};

const WRITTEN: &str = "Documentation/gpu/drm-mm.rst, PRIME Buffer Sharing";
/// Pages of foreign buffers.
const PAGES: u64 = 4;

/// A foreign buffer as a BO, which only some drivers can.
pub(super) fn import(t: &Bench, dma_buf: &OwnedFd) -> Kept<u32> {
    match t.node.import(dma_buf) {
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => {
            Err(Unproven::lacking("the driver imports its own buffers only"))
        }
        imported => imported.succeeds("PRIME_FD_TO_HANDLE"),
    }
}

/// Maps pages of a BO behind the bench's own, and returns where.
pub(super) fn bind(t: &Bench, handle: u32, first: u64, pages: u64, flags: u32) -> Kept<u64> {
    let va = t.va.start + t.bo.size;
    let bound = t.vm_bind(|_, op| {
        (op.bo_handle, op.flags) = (handle, flags);
        (op.va, op.bo_offset, op.size) = (va, first * t.page(), pages * t.page());
    });
    bound.succeeds("VM_BIND")?;
    Ok(va)
}

/// Has the device copy its input to `va`.
fn copy_to(t: &Bench, va: u64, seed: i32) -> Kept {
    t.work.fill(seed);
    t.ends(t.submit(|s| s.segments[3].va = va).succeeds("SUBMIT")?)
}

/// Word `index` of the bench's input.
fn input(t: &Bench, index: usize) -> i32 {
    t.work.words[index].load(Relaxed)
}

pub(super) const RULES: &[Rule] = &[
    Rule::kept(
        AREA,
        "a_bo_passes_to_another_file",
        WRITTEN,
        "a BO that was exported can be imported by another file, which then sees its bytes",
        |t| {
            let exported = t.node.export(t.bo.handle).succeeds("PRIME_HANDLE_TO_FD")?;
            let other = t.another()?;
            let handle = import(&other, &exported)?;
            t.work.fill(7);
            let va = bind(&other, handle, 0, t.bo.size / t.page(), 0)?;
            let ended = other.submit(|s| s.segments[2].va = va).succeeds("SUBMIT")?;
            other.ends(ended)?;
            other.work.is_copied(7)
        },
    ),
    Rule::kept(
        AREA,
        "a_bo_comes_back_as_itself",
        WRITTEN,
        "importing one's own BO returns the handle it has",
        |t| {
            let exported = t.node.export(t.bo.handle).succeeds("PRIME_HANDLE_TO_FD")?;
            same("handle", import(t, &exported)?, t.bo.handle)
        },
    ),
    Rule::kept(
        AREA,
        "a_bo_passes_to_another_driver",
        WRITTEN,
        "another driver can import a BO, and sees there what the device writes",
        |t| {
            let vgem = Vgem::open()?;
            let exported = t.node.export(t.bo.handle).succeeds("PRIME_HANDLE_TO_FD")?;
            let theirs = vgem.import(&exported)?;
            t.works(11)?;
            let output = Words::of(&vgem.export(theirs)?, t.work.pitch, 2).succeeds("mmap")?;
            same("a word of the output", output[1].load(Relaxed), input(t, 1))
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_can_be_used",
        WRITTEN,
        "the device reads and writes a buffer that another driver made",
        |t| {
            let buffer = Udmabuf::new(t.page())?;
            let handle = import(t, &buffer.dma_buf)?;
            copy_to(t, bind(t, handle, 0, 1, 0)?, 9)?;
            same("state", t.state()?.state, QUEUE_OK)?;
            same("the second word", buffer.word(4)?, input(t, 1))
        },
    ),
    Rule::kept(
        AREA,
        "a_part_of_a_foreign_buffer_can_be_used",
        WRITTEN,
        "pages in the middle of a foreign buffer can be mapped, and no others are changed",
        |t| {
            let vgem = Vgem::open()?;
            let theirs = vgem.create(PAGES * t.page())?;
            let words = vgem.words(theirs, (PAGES * t.page() / 4) as usize)?;
            let handle = import(t, &vgem.export(theirs)?)?;
            copy_to(t, bind(t, handle, 2, 1, 0)?, 10)?;
            let page = t.page() as usize / 4;
            same("word", words[2 * page + 3].load(Relaxed), input(t, 3))?;
            let others = words[..2 * page].iter().chain(&words[3 * page..]);
            let changed = others.filter(|word| word.load(Relaxed) != 0).count();
            same("words of other pages that are changed", changed, 0)
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_ends_where_it_ends",
        WRITTEN,
        "mapping more pages than a foreign buffer has is refused with EINVAL",
        |t| {
            let buffer = Udmabuf::new(t.page())?;
            let handle = import(t, &buffer.dma_buf)?;
            let bound = t.vm_bind(|_, op| {
                (op.bo_handle, op.va) = (handle, t.va.start + t.bo.size);
                op.size = 2 * t.page();
            });
            same("VM_BIND", bound, Err(Errno::EINVAL))
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_can_be_read_only",
        WRITTEN,
        "the device can't write a foreign buffer where that is mapped read-only",
        |t| {
            let buffer = Udmabuf::new(t.page())?;
            let handle = import(t, &buffer.dma_buf)?;
            copy_to(t, bind(t, handle, 0, 1, BIND_READONLY)?, 12)?;
            same("state", t.state()?.state, QUEUE_FAULTED)?;
            same("the second word", buffer.word(4)?, 0)
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_outlives_its_names",
        WRITTEN,
        "a foreign buffer stays mapped when its handle, its dma-buf and its maker are gone",
        |t| {
            let vgem = Vgem::open()?;
            let handle = import(t, &vgem.export(vgem.create(t.page())?)?)?;
            drop(vgem);
            let va = bind(t, handle, 0, 1, 0)?;
            t.node.close(handle).succeeds("GEM_CLOSE")?;
            copy_to(t, va, 13)?;
            t.work.fill(14);
            let back = t.submit(|s| s.segments[2].va = va).succeeds("SUBMIT")?;
            t.ends(back)?;
            t.work
                .is_copied(13)
                .and_then(|()| holds(input(t, 1) != 0, || "an input of zeros".into()))
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_has_one_handle",
        WRITTEN,
        "importing a foreign buffer twice returns the same handle",
        |t| {
            let buffer = Udmabuf::new(t.page())?;
            let handle = import(t, &buffer.dma_buf)?;
            same("handle", import(t, &buffer.dma_buf)?, handle)
        },
    ),
    Rule::kept(
        AREA,
        "what_is_no_dma_buf_is_refused",
        WRITTEN,
        "importing a file that is no dma-buf is refused with EINVAL",
        |t| {
            let mut import = PrimeFdToHandle {
                fd: t.node.fd().as_raw_fd(),
                ..PrimeFdToHandle::default()
            };
            same(
                "PRIME_FD_TO_HANDLE",
                t.node.call(&mut import),
                Err(Errno::EINVAL),
            )
        },
    ),
];
