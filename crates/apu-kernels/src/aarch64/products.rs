//! Instructions that add four products and more to each lane. Their intrinsics aren't stable yet.

use core::arch::{aarch64::*, asm};

/// Adds to each lane the products of its four bytes in `a` and `b`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the instruction enabled, and it touches these registers only.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inlateout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds to `sums` the product of two matrices of two rows: lane `2·i + j` has row `i` of `a` times
/// row `j` of `b`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub fn smmla(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the instruction enabled, and it touches these registers only.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inlateout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
