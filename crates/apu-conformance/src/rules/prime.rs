//! Buffers that are shared, as Documentation/gpu/drm-mm.rst says of PRIME.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::pread;

use crate::node::Node;
use crate::rule::{Area::Prime as AREA, Rule};
use crate::uapi::{PrimeFdToHandle, UdmabufCreate};
use crate::unproven::{Kept, Succeeds, Unproven, holds, same};
use std::sync::atomic::Ordering::Relaxed;

const WRITTEN: &str = "Documentation/gpu/drm-mm.rst, PRIME Buffer Sharing";

fn import(node: &Node, dma_buf: &OwnedFd) -> Kept<u32> {
    let mut import = PrimeFdToHandle {
        fd: dma_buf.as_raw_fd(),
        ..PrimeFdToHandle::default()
    };
    node.call(&mut import).succeeds("PRIME_FD_TO_HANDLE")?;
    Ok(import.handle)
}

/// What only some drivers can.
fn import_foreign(node: &Node, dma_buf: &OwnedFd) -> Kept<u32> {
    let mut import = PrimeFdToHandle {
        fd: dma_buf.as_raw_fd(),
        ..PrimeFdToHandle::default()
    };
    match node.call(&mut import) {
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => {
            Err(Unproven::lacking("the driver imports its own buffers only"))
        }
        called => called
            .succeeds("PRIME_FD_TO_HANDLE")
            .map(|()| import.handle),
    }
}

/// Memory of a file as a dma-buf, which is nobody's driver's own.
fn udmabuf(size: u64) -> Kept<(OwnedFd, OwnedFd)> {
    let failed = |errno: rustix::io::Errno| Unproven::lacking(format!("no memory file: {errno}"));
    let memory = memfd_create("conformance", MemfdFlags::ALLOW_SEALING).map_err(failed)?;
    ftruncate(&memory, size).map_err(failed)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK).map_err(failed)?;
    let device = "/dev/udmabuf";
    let node = Node::open(device.as_ref()).map_err(|_| {
        Unproven::lacking(format!(
            "the machine has no {device} to make a foreign buffer"
        ))
    })?;
    let mut create = UdmabufCreate {
        memfd: memory.as_raw_fd() as u32,
        flags: 0,
        offset: 0,
        size,
    };
    let dma_buf = node.make_file(&mut create).succeeds("UDMABUF_CREATE")?;
    Ok((memory, dma_buf))
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
            let handle = import(&other.node, &exported)?;
            t.work.fill(7);
            let va = other.va.start + other.bo.size;
            let bound =
                other.vm_bind(|_, op| (op.bo_handle, op.va, op.size) = (handle, va, t.bo.size));
            bound.succeeds("VM_BIND")?;
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
            same("handle", import(&t.node, &exported)?, t.bo.handle)
        },
    ),
    Rule::kept(
        AREA,
        "a_foreign_buffer_can_be_used",
        WRITTEN,
        "the device reads and writes a buffer that another driver made",
        |t| {
            let (memory, dma_buf) = udmabuf(t.page())?;
            let handle = import_foreign(&t.node, &dma_buf)?;
            let va = t.va.start + t.bo.size;
            let bound = t.vm_bind(|_, op| (op.bo_handle, op.va, op.size) = (handle, va, t.page()));
            bound.succeeds("VM_BIND")?;
            t.work.fill(9);
            t.ends(t.submit(|s| s.segments[3].va = va).succeeds("SUBMIT")?)?;
            same("state", t.state()?.state, crate::uapi::QUEUE_OK)?;
            let mut word = [0; 4];
            let read = pread(&memory, &mut word, 4)
                .map_err(|errno| Unproven::lacking(errno.to_string()))?;
            holds(read == 4, || format!("{read} bytes"))?;
            same(
                "the second word",
                i32::from_ne_bytes(word),
                t.work.words[1].load(Relaxed),
            )
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
