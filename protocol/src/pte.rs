// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Page tables that the host writes and a device walks.
//!
//! A table is one page of [`ENTRIES`] little-endian entries of 64 bits. A walk begins at the VM's
//! root and takes [`LEVELS`] steps; each uses [`INDEX_BITS`] bits of the device address, from the
//! top, to choose an entry:
//!
//! ```text
//!  63      39 38      30 29      21 20      12 11       0
//! +----------+----------+----------+----------+----------+
//! |    0     | level 0  | level 1  | level 2  |  offset  |   a device address
//! +----------+----------+----------+----------+----------+
//!  63      52 51                            12 11  2  1  0
//! +----------+--------------------------------+-----+--+--+
//! |    0     |   bus address of the next page |  0  |RO| V|   an entry
//! +----------+--------------------------------+-----+--+--+
//! ```
//!
//! An entry without [`VALID`] ends the walk with an address fault, whatever else is in it. In the
//! last level the address is that of the mapped page, and [`READ_ONLY`] forbids the device to write
//! there; in the others it is that of the next table. An entry is written at once. The device reads
//! it whenever it likes, so the host clears entries before it sends the `Unmap` that invalidates
//! what the device remembers of them, and frees neither page nor table before the `Sync` after that
//! is answered.

/// Tables on the way to a page.
pub const LEVELS: u32 = 3;
/// Bits of a device address that choose an entry of one table.
pub const INDEX_BITS: u32 = 9;
/// Entries of a table.
pub const ENTRIES: usize = 1 << INDEX_BITS;
/// Bits of a device address within a page.
pub const PAGE_BITS: u32 = 12;
/// First device address that no walk reaches.
pub const VA_END: u64 = 1 << (PAGE_BITS + LEVELS * INDEX_BITS);

/// The entry means something.
pub const VALID: u64 = 1 << 0;
/// The device may only read the page.
pub const READ_ONLY: u64 = 1 << 1;
/// The bits of an entry that are a bus address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The entry of a table of `level`, counted from the root, that the walk to `va` uses.
pub const fn index(va: u64, level: u32) -> usize {
    let shift = PAGE_BITS + (LEVELS - 1 - level) * INDEX_BITS;
    // CAST: less than `ENTRIES`.
    (va >> shift) as usize & (ENTRIES - 1)
}

// Offsets are the contract: a change here is a new protocol version.
const _: () = {
    assert!(VA_END == 1 << 39);
    assert!(ENTRIES * 8 == 1 << PAGE_BITS);
    assert!(index(0x7f_ffff_f000, 0) == 511);
    assert!(index(3 << 30 | 2 << 21 | 1 << 12, 0) == 3);
    assert!(index(3 << 30 | 2 << 21 | 1 << 12, 1) == 2);
    assert!(index(3 << 30 | 2 << 21 | 1 << 12, 2) == 1);
};
