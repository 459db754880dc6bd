// SPDX-License-Identifier: GPL-2.0

//! Framework for small compute accelerators.
//!
//! A leaf driver implements one trait, [`Driver`]: how the device reaches memory (share, map,
//! unmap, flush), how it runs and cancels a job and how it is cut off. The framework owns the rest:
//! files and their handles with limits, buffer objects, address spaces on GPUVM, queues on the DRM
//! scheduler, fences, syncobjs, timeouts, and recovery.
//!
//! The framework knows no uAPI structure. A driver declares its own ioctls, checks and translates
//! their arguments, and calls the methods of [`File`].
//!
//! # Life of the parts
//!
//! A job holds its queue, a queue its VM, a mapping in a VM its buffer object; a change of a VM
//! that waits for fences holds the VM. Closing a queue cancels what runs and lets what waits fail,
//! so that all fences signal; the queue itself goes when its last job is freed, and only then the
//! VM may go. When a job frees the last reference,
//! the rest is torn down from a system worker: the scheduler's own worker must take no `dma_resv`
//! lock.
//!
//! # Locks
//!
//! `File::objects` > `Device::spaces` > `Space::entry` is the order outside the fence signalling
//! path; all of them may be held over an allocation. `Space::state` > `Device::engine` follow. They
//! are taken in the fence signalling path, hence nothing is allocated under them.

mod activity;
mod bind;
mod bind_queue;
mod bo;
mod debug;
mod device;
mod driver;
mod dump;
mod file;
mod handles;
mod imports;
mod job;
mod prepared;
mod queue;
mod recovery;
mod registration;
mod seats;
mod submit;
mod trace;
mod tree;
mod usage;
mod user_array;
mod vm;

pub use self::{
    bind::BindOp,
    bind_queue::MAX_PENDING_BINDS,
    bo::{
        Bo,
        BoArgs,
        BoData,
        BoRange,
        DmaPages, //
    },
    device::Device,
    driver::{
        Access,
        Driver,
        Limits,
        Part,
        Placement, //
    },
    file::File,
    job::{
        Ends,
        JobId,
        JobTime,
        Outcome,
        Report, //
    },
    prepared::{
        SyncPoint,
        Syncs, //
    },
    queue::{
        Priority,
        QueueConfig,
        QueueInfo,
        QueueState, //
    },
    recovery::Online,
    submit::JobRequest,
    user_array::{
        read_array,
        read_string,
        write_struct, //
    },
    vm::{
        BindFailure,
        VmInfo, //
    }, //
};
