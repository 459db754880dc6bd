// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Messages between host driver and APU firmware.
//!
//! A message is a [`Header`] followed by one fixed body, little-endian, naturally aligned, at most
//! [`MAX_MESSAGE`] bytes so that it fits one rpmsg buffer. Padding is zero. Bodies may grow at the
//! end with the protocol version; a receiver ignores bytes past what its version knows and refuses
//! a message shorter than that. Each transport keeps messages in order.
//!
//! Life of a connection: the host sends [`Hello`] with the versions it speaks, the firmware answers
//! [`HelloAck`] with the one it chose. Then per client address space [`VmCreate`], [`Map`]s, per
//! job [`Run`] answered by one [`Done`], and [`VmDestroy`]. A [`Sync`] is answered by [`SyncAck`]
//! when everything sent before it has taken effect; that is how the host knows that an unmapped
//! page is no longer reached. A job under way that needs an unmapped page ends with an address
//! fault.
//!
//! How device addresses become memory is the device's to say ([`HelloAck::addressing`]): it is told
//! of every mapping, or it walks page tables, or something outside of it translates.
//!
//! After [`HelloAck`],
//! * the firmware may send a [`Log`] at any time;
//! * what a transport carries at once may be several messages, one after the other, in both
//!   directions;
//! * a core may be sent jobs before it has ended others. It runs the most urgent one next, and of
//!   those the one that came first ([`Run::priority`]); but none behind one that failed
//!   ([`Run::queue`]);
//! * a [`Run`] may end behind its last segment in use;
//! * a firmware with [`HelloAck::heartbeat_ms`] sends a [`Heartbeat`] for each core that has a job,
//!   so often at least.
//!
//! From version 4 on a firmware without jobs may be sent [`Suspend`], and then gets [`Resume`]
//! before the next [`Run`], and several cores may work on one job ([`Run::max_cores`]).
//!
//! A later [`Hello`] is a reset: the firmware forgets all VMs and jobs, and no [`Done`] of an
//! earlier job comes after the new [`HelloAck`].

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(target_endian = "big")]
compile_error!("the protocol structures are read in place and are little-endian");

/// First word of every message: "APU1".
pub const MAGIC: u32 = u32::from_le_bytes(*b"APU1");
/// Largest message in bytes, header included (an rpmsg buffer is 512 bytes with its own header).
pub const MAX_MESSAGE: usize = 496;
/// Oldest protocol version that this source speaks.
pub const VERSION_MIN: u32 = 3;
/// Newest protocol version that this source speaks.
pub const VERSION_MAX: u32 = 4;
/// Most segments that one job can name.
pub const MAX_SEGMENTS: usize = 24;
/// Bytes of a target name, zero padded.
pub const TARGET_NAME: usize = 32;
/// Bytes of a line of the firmware's log, zero padded.
pub const LOG_TEXT: usize = 112;

/// Starts every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// One of [`kind`].
    pub kind: u16,
    /// Whole message in bytes, header included.
    pub length: u16,
}

/// Values of [`Header::kind`]. Host to firmware below 0x100, firmware to host from 0x100.
pub mod kind {
    /// [`super::Hello`].
    pub const HELLO: u16 = 0x001;
    /// [`super::VmCreate`].
    pub const VM_CREATE: u16 = 0x002;
    /// [`super::VmDestroy`].
    pub const VM_DESTROY: u16 = 0x003;
    /// [`super::Map`].
    pub const MAP: u16 = 0x004;
    /// [`super::Unmap`].
    pub const UNMAP: u16 = 0x005;
    /// [`super::Sync`].
    pub const SYNC: u16 = 0x006;
    /// [`super::Run`].
    pub const RUN: u16 = 0x007;
    /// [`super::Cancel`].
    pub const CANCEL: u16 = 0x008;
    /// [`super::Suspend`].
    pub const SUSPEND: u16 = 0x009;
    /// [`super::Resume`].
    pub const RESUME: u16 = 0x00a;

    /// [`super::HelloAck`].
    pub const HELLO_ACK: u16 = 0x101;
    /// [`super::SyncAck`].
    pub const SYNC_ACK: u16 = 0x102;
    /// [`super::Done`].
    pub const DONE: u16 = 0x103;
    /// [`super::Fault`].
    pub const FAULT: u16 = 0x104;
    /// [`super::Log`].
    pub const LOG: u16 = 0x105;
    /// [`super::Heartbeat`].
    pub const HEARTBEAT: u16 = 0x106;
}

/// Host to firmware: the versions that the host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hello {
    /// Oldest version that the host speaks.
    pub version_min: u32,
    /// Newest version that the host speaks.
    pub version_max: u32,
}

/// Firmware to host: the version in force and what the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HelloAck {
    /// Version in force, within the host's range; 0 when there is no common one.
    pub version: u32,
    /// Oldest version that the firmware speaks.
    pub version_min: u32,
    /// Newest version that the firmware speaks.
    pub version_max: u32,
    /// Cores that can run jobs, 1 to 64.
    pub core_count: u32,
    /// First device address that a VM can map.
    pub va_start: u64,
    /// First device address past those that a VM can map.
    pub va_end: u64,
    /// Program features that the firmware knows ([`crate::program`]); the kernel doesn't care.
    pub features: u64,
    /// Program layout that the firmware runs, UTF-8, zero padded.
    pub target: [u8; TARGET_NAME],
    /// VMs that can live at the same time, at least 1.
    pub vm_max: u32,
    /// Jobs that can be in flight at the same time, on all cores together, at least `core_count`.
    pub job_max: u32,
    /// One of [`addressing`].
    pub addressing: u32,
    /// Longest time between two [`Heartbeat`]s of a core that has a job, in
    /// milliseconds; 0 if there are none.
    pub heartbeat_ms: u32,
}

/// Values of [`HelloAck::addressing`]: how the device gets from a VM's addresses to memory.
pub mod addressing {
    /// Each [`super::Map`] carries a token by which the device reaches the pages.
    pub const TOKENS: u32 = 0;
    /// The device walks page tables (`pte.rs`), which begin at [`super::VmCreate::root`] and which
    /// the host writes before it sends a job that needs them. There is no [`super::Map`]. The
    /// device may remember entries that it found valid until [`super::Unmap`] names their
    /// addresses.
    pub const PAGE_TABLES: u32 = 1;
    /// Something between device and memory translates, which the host programs by itself, for all
    /// VMs together: each has device addresses that no other has. A [`super::Map`] only tells whose
    /// they are, so that the device keeps VMs apart; its token is 0. After an [`super::Unmap`] the
    /// device no longer reaches the range.
    pub const EXTERNAL: u32 = 2;
}

/// Host to firmware: a new, empty address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VmCreate {
    /// Chosen by the host, unique among living VMs, never 0.
    pub vm: u32,
    /// Zero.
    pub pad: u32,
    /// Bus address of the first page table with [`addressing::PAGE_TABLES`], page aligned and not
    /// 0; else 0.
    pub root: u64,
}

/// Host to firmware: forget an address space with all that is mapped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VmDestroy {
    /// Names the VM.
    pub vm: u32,
    /// Zero.
    pub pad: u32,
}

/// The device may only read through the mapping.
pub const MAP_READ_ONLY: u32 = 1 << 0;

/// Host to firmware: pages appear at a device address where nothing is mapped. Not with
/// [`addressing::PAGE_TABLES`].
/// A device that lacks the means leaves the range unmapped, and jobs that need it fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Map {
    /// Names the VM.
    pub vm: u32,
    /// [`MAP_READ_ONLY`] or 0.
    pub flags: u32,
    /// Device address, page aligned.
    pub va: u64,
    /// Bytes, page aligned, not 0.
    pub size: u64,
    /// How the device reaches the pages; its meaning belongs to the transport.
    pub token: u64,
}

/// Host to firmware: pages of a range are no longer to be reached (see [`Sync`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Unmap {
    /// Names the VM.
    pub vm: u32,
    /// Zero.
    pub pad: u32,
    /// Device address, page aligned.
    pub va: u64,
    /// Bytes, page aligned, not 0.
    pub size: u64,
}

/// Host to firmware: answer when all messages before this one have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sync {
    /// Comes back in [`SyncAck`].
    pub cookie: u64,
}

/// Firmware to host: answers [`Sync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SyncAck {
    /// From the [`Sync`].
    pub cookie: u64,
}

/// A range of device addresses that a program sees as one segment.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Segment {
    /// First device address.
    pub va: u64,
    /// Bytes.
    pub size: u64,
}

/// Host to firmware: run a program once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Run {
    /// Chosen by the host, unique among jobs in flight, never 0.
    pub job: u64,
    /// Names the VM.
    pub vm: u32,
    /// Core to run on, below [`HelloAck::core_count`].
    pub core: u16,
    /// How urgent it is among the jobs that wait for the core, a higher number before a lower one.
    pub priority: u16,
    /// Where the program's code lies (see [`crate::program`]).
    pub program: Segment,
    /// Segments in use, at most [`MAX_SEGMENTS`].
    pub segment_count: u16,
    /// From version 4: cores that may work on it together, `core` among them; 0 for that one alone.
    /// Before, zero.
    pub max_cores: u16,
    /// Names the queue that it comes from, never 0. When a job has not ended with
    /// [`status::OK`], those of its queue that come behind it end with [`status::CANCELLED`] and
    /// don't run.
    pub queue: u32,
    /// Constants, arena, inputs, outputs, in the program's order.
    pub segments: [Segment; MAX_SEGMENTS],
}

/// Host to firmware: give a running or waiting job up. Its [`Done`] still comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cancel {
    /// Names the job.
    pub job: u64,
}

/// Host to firmware, from version 4: the device may save power. It has no job, and gets none until
/// a [`Resume`] or a [`Hello`]. It keeps its VMs and answers all else as ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Suspend {
    /// Zero.
    pub pad: u64,
}

/// Host to firmware, from version 4: jobs will come. Ends what [`Suspend`] began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Resume {
    /// Zero.
    pub pad: u64,
}

/// Bytes of a [`Run`] before its segments.
pub const RUN_HEAD: usize = 40;

/// Values of [`Done::status`] and [`Fault::status`].
pub mod status {
    /// The job ran to its end.
    pub const OK: u32 = 0;
    /// Something that the program or job says is wrong; `detail` is a [`super::reject`] code.
    pub const REJECTED: u32 = 1;
    /// An address outside the VM's mappings, or a write to a read-only one; `address` says where.
    pub const ADDRESS_FAULT: u32 = 2;
    /// Given up because of [`super::Cancel`].
    pub const CANCELLED: u32 = 3;
    /// The message names a VM or core that does not exist.
    pub const BAD_HANDLE: u32 = 4;
    /// The program is for another target.
    pub const WRONG_TARGET: u32 = 5;
    /// The device itself failed.
    pub const DEVICE_ERROR: u32 = 6;
}

/// Values of [`Done::detail`] with [`status::REJECTED`]: which rule a program broke.
pub mod reject {
    /// Magic or version of the program header.
    pub const HEADER: u32 = 1;
    /// A required feature that the firmware lacks.
    pub const FEATURE: u32 = 2;
    /// Number or size of segments.
    pub const SEGMENT: u32 = 3;
    /// Unknown opcode.
    pub const OPCODE: u32 = 4;
    /// An operand leaves its segment, or is not as long as the parameters say.
    pub const OPERAND: u32 = 5;
    /// A parameter is out of its range.
    pub const PARAMETER: u32 = 6;
    /// An output lies in a read-only segment or overlaps an operand that is read.
    pub const ALIAS: u32 = 7;
}

/// [`Done::op`] when the failure belongs to no operator.
pub const NO_OP: u32 = u32::MAX;

/// Firmware to host: a job has ended. Exactly one per [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Done {
    /// From the [`Run`].
    pub job: u64,
    /// One of [`status`].
    pub status: u32,
    /// More about the status, see there.
    pub detail: u32,
    /// Index of the program's operator that failed, or [`NO_OP`].
    pub op: u32,
    /// Zero.
    pub pad: u32,
    /// Device address of a fault, else 0.
    pub address: u64,
    /// Device time in nanoseconds when the job began, from an epoch of the device's own.
    pub start_ns: u64,
    /// The same clock when it ended.
    pub end_ns: u64,
    /// From version 4: cycles that its core spent on it, by a counter of the device; 0 if there is
    /// none. Before, the body ends here, after [`DONE_HEAD`] bytes.
    pub cycles: u64,
}

/// Bytes of a [`Done`] before version 4.
pub const DONE_HEAD: usize = 48;

/// Firmware to host: the device itself failed; nothing more comes until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Fault {
    /// One of [`status`].
    pub status: u32,
    /// Number of the message kind that could not be taken, else 0.
    pub kind: u32,
}

/// Values of [`Log::level`].
pub mod log_level {
    /// Something failed.
    pub const ERROR: u32 = 0;
    /// A job or a message was not as it should be.
    pub const WARNING: u32 = 1;
    /// What happens anyway.
    pub const INFO: u32 = 2;
}

/// Firmware to host: a line for whoever looks into a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Log {
    /// When, by the clock of [`Done::start_ns`].
    pub time_ns: u64,
    /// One of [`log_level`].
    pub level: u32,
    /// Zero.
    pub pad: u32,
    /// UTF-8, zero padded.
    pub text: [u8; LOG_TEXT],
}

/// Firmware to host: a core has a job and is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Heartbeat {
    /// The job that runs, from its [`Run`].
    pub job: u64,
    /// How far it is: a number that grows as long as the job gets on, e.g. operators that have
    /// begun.
    pub progress: u64,
}

// Sizes and offsets are the contract: a change here is a new protocol version.
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Header>() == 8);
    assert!(size_of::<Hello>() == 8);
    assert!(size_of::<HelloAck>() == 88);
    assert!(offset_of!(HelloAck, va_start) == 16);
    assert!(offset_of!(HelloAck, target) == 40);
    assert!(offset_of!(HelloAck, vm_max) == 72);
    assert!(offset_of!(HelloAck, addressing) == 80);
    assert!(size_of::<VmCreate>() == 16);
    assert!(offset_of!(VmCreate, root) == 8);
    assert!(size_of::<VmDestroy>() == 8);
    assert!(size_of::<Map>() == 32);
    assert!(size_of::<Unmap>() == 24);
    assert!(size_of::<Sync>() == 8);
    assert!(size_of::<SyncAck>() == 8);
    assert!(size_of::<Segment>() == 16);
    assert!(size_of::<Run>() == RUN_HEAD + 16 * MAX_SEGMENTS);
    assert!(offset_of!(Run, segments) == RUN_HEAD);
    assert!(size_of::<Cancel>() == 8);
    assert!(size_of::<Suspend>() == 8);
    assert!(size_of::<Resume>() == 8);
    assert!(size_of::<Heartbeat>() == 16);
    assert!(size_of::<Done>() == 56);
    assert!(offset_of!(Done, cycles) == DONE_HEAD);
    assert!(offset_of!(Done, start_ns) == 32);
    assert!(size_of::<Fault>() == 8);
    assert!(size_of::<Log>() == 16 + LOG_TEXT);
    assert!(size_of::<Header>() + size_of::<Run>() <= MAX_MESSAGE);
};
