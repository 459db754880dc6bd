//! Tables of 256 bytes in registers, 64 look-ups at once (AVX-512 VBMI).

use crate::x86::avx512::{load, load_64, store_64};
use core::arch::x86_64::*;

/// Replaces each byte by its entry of `table`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi")]
pub(super) fn replace(input: &[u8], table: &[u8; 256], output: &mut [u8]) {
    let (quarters, _) = table.as_chunks();
    let &[a, b, c, d] = quarters else {
        unreachable!("256 bytes are four times 64");
    };
    let [a, b, c, d] = [a, b, c, d].map(|quarter| load(&quarter));
    let zero = _mm512_setzero_si512();
    for (output, input) in output.chunks_mut(64).zip(input.chunks(64)) {
        let index = load_64(input, zero);
        // Each instruction looks at the lower seven bits; the upper one says in which half.
        let lower = _mm512_permutex2var_epi8(a, index, b);
        let upper = _mm512_permutex2var_epi8(c, index, d);
        let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), lower, upper);
        store_64(output, found);
    }
}
