//! Vectors of 16 bytes, to and from memory.

use core::arch::aarch64::*;

/// Loads a whole vector.
#[inline]
#[target_feature(enable = "neon")]
pub fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference covers 16 readable bytes, and the load asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// Loads the first 16 bytes, or as many as there are, and zeros for the rest.
#[inline]
#[target_feature(enable = "neon")]
pub fn load_16(bytes: &[u8]) -> uint8x16_t {
    match bytes.first_chunk() {
        Some(bytes) => load(bytes),
        None => {
            let mut whole = [0; 16];
            whole[..bytes.len()].copy_from_slice(bytes);
            load(&whole)
        }
    }
}

/// Stores the first bytes of a vector: 16, or as many as `bytes` has.
#[inline]
#[target_feature(enable = "neon")]
pub fn store_16(bytes: &mut [u8], vector: uint8x16_t) {
    let mut whole = [0; 16];
    let part = bytes.len() < 16;
    let target = bytes.first_chunk_mut::<16>().unwrap_or(&mut whole);
    // SAFETY: the reference covers 16 writable bytes, and the store asks for no alignment.
    unsafe { vst1q_u8(target.as_mut_ptr(), vector) };
    if part {
        bytes.copy_from_slice(&whole[..bytes.len()]);
    }
}

/// Loads four 32-bit words, or zeros if the slice has fewer.
#[inline]
#[target_feature(enable = "neon")]
pub fn load_words(words: &[[u8; 4]]) -> int32x4_t {
    match words.as_flattened().first_chunk() {
        Some(bytes) => vreinterpretq_s32_u8(load(bytes)),
        None => vdupq_n_s32(0),
    }
}
