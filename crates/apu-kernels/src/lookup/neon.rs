//! Tables of 256 bytes in registers, sixteen look-ups at once (NEON).

use crate::aarch64::bytes::{load, load_16, store_16};
use core::arch::aarch64::*;

/// Entries that one instruction looks among.
const AT_ONCE: usize = 64;

/// Replaces each byte by its entry of `table`, which has 256.
#[target_feature(enable = "neon")]
pub(super) fn replace(input: &[u8], table: &[u8], output: &mut [u8]) {
    let quarters = quarters(table);
    for (output, input) in output.chunks_mut(16).zip(input.chunks(16)) {
        let mut index = load_16(input);
        let mut found = vdupq_n_u8(0);
        for quarter in quarters {
            // What is beyond the quarter keeps what was found before.
            found = vqtbx4q_u8(found, quarter, index);
            index = vsubq_u8(index, vdupq_n_u8(AT_ONCE as u8));
        }
        store_16(output, found);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn quarters(table: &[u8]) -> [uint8x16x4_t; 4] {
    let zero = vdupq_n_u8(0);
    let mut quarters = [uint8x16x4_t(zero, zero, zero, zero); 4];
    for (quarter, entries) in quarters.iter_mut().zip(table.as_chunks::<AT_ONCE>().0) {
        if let [a, b, c, d] = entries.as_chunks().0 {
            *quarter = uint8x16x4_t(load(a), load(b), load(c), load(d));
        }
    }
    quarters
}
