//! Sums, differences and products of bytes, sixteen at once (NEON).

use super::{
    Operands,
    quantised::{self, Scalars},
};
use crate::{
    aarch64::{
        bytes::{load_16, store_16},
        scale::{Finish, Rescale, Sums},
    },
    byte::{Byte, Clamp},
};
use apu_proto::program::Function;
use core::arch::aarch64::*;

/// Elements worked on at once.
const AT_ONCE: usize = 16;

/// Whether [`run`] takes a function: one with a factor of less than a half, so that no result is too large
/// for the zero point, of rows whose elements lie side by side or are one that is repeated.
pub(super) fn takes(function: u32, scalars: &Scalars, operands: &Operands<'_>) -> bool {
    let (_, shift) = scalars.output.words();
    matches!(function, Function::ADD | Function::SUB | Function::MUL)
        && shift < 0
        && operands.frame.steps().iter().all(|&step| step <= 1)
}

/// Computes what [`takes`] says yes to.
#[target_feature(enable = "neon")]
pub(super) fn run(function: u32, byte: Byte, scalars: &Scalars, operands: Operands<'_>) {
    let (a, b) = (Input::new(byte, &scalars.a), Input::new(byte, &scalars.b));
    let output = Rescale::all(scalars.output);
    match function {
        Function::ADD => each_vector(byte, scalars, operands, |[x, y]| {
            let (x, y) = (a.terms(x), b.terms(y));
            let mut sums = x;
            for (sum, y) in sums.iter_mut().zip(y) {
                *sum = output.apply(vaddq_s32(*sum, y));
            }
            sums
        }),
        Function::SUB => each_vector(byte, scalars, operands, |[x, y]| {
            let (x, y) = (a.terms(x), b.terms(y));
            let mut differences = x;
            for (difference, y) in differences.iter_mut().zip(y) {
                *difference = output.apply(vsubq_s32(*difference, y));
            }
            differences
        }),
        _ => each_vector(byte, scalars, operands, |[x, y]| {
            let ([x_low, x_high], [y_low, y_high]) = (a.differences(x), b.differences(y));
            let mut products = [
                vmull_s16(vget_low_s16(x_low), vget_low_s16(y_low)),
                vmull_high_s16(x_low, y_low),
                vmull_s16(vget_low_s16(x_high), vget_low_s16(y_high)),
                vmull_high_s16(x_high, y_high),
            ];
            for product in &mut products {
                *product = output.apply(*product);
            }
            products
        }),
    }
}

/// Calls `function` with vector after vector of both inputs, as unsigned bytes, and stores what comes out.
#[inline]
#[target_feature(enable = "neon")]
fn each_vector(
    byte: Byte,
    scalars: &Scalars,
    operands: Operands<'_>,
    function: impl Fn([uint8x16_t; 2]) -> Sums,
) {
    let Operands {
        frame,
        a,
        b,
        output,
        ..
    } = operands;
    let clamp = Clamp {
        min: scalars.min,
        max: scalars.max,
    };
    let finish = Finish::new(scalars.output_zero_point, clamp);
    let steps = frame.steps();
    for (row, output) in output.chunks_exact_mut(frame.columns()).enumerate() {
        let starts = frame.starts(row);
        for (index, output) in output.chunks_mut(AT_ONCE).enumerate() {
            let a = elements(byte, &a[starts[0]..], steps[0], index * AT_ONCE);
            let b = elements(byte, &b[starts[1]..], steps[1], index * AT_ONCE);
            store_16(output, finish.bytes(function([a, b])));
        }
    }
}

/// Elements of a row from one on, as unsigned bytes; with a step of 0 the first one each time.
#[inline]
#[target_feature(enable = "neon")]
fn elements(byte: Byte, row: &[u8], step: usize, first: usize) -> uint8x16_t {
    let stored = match step {
        0 => vdupq_n_u8(row[0]),
        _ => load_16(&row[first..]),
    };
    veorq_u8(stored, vdupq_n_u8(byte.flip()))
}

/// An input.
struct Input {
    /// Of bytes taken as unsigned.
    zero_point: uint8x16_t,
    left_shift: int32x4_t,
    rescale: Rescale,
}

impl Input {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(byte: Byte, input: &quantised::Input) -> Self {
        Self {
            zero_point: vdupq_n_u8((input.zero_point - byte.min()) as u8),
            left_shift: vdupq_n_s32(input.left_shift as i32),
            rescale: Rescale::all(input.rescale),
        }
    }

    /// Bytes less the zero point.
    #[inline]
    #[target_feature(enable = "neon")]
    fn differences(&self, bytes: uint8x16_t) -> [int16x8_t; 2] {
        let low = vsubl_u8(vget_low_u8(bytes), vget_low_u8(self.zero_point));
        let high = vsubl_high_u8(bytes, self.zero_point);
        [vreinterpretq_s16_u16(low), vreinterpretq_s16_u16(high)]
    }

    /// The real values in the scale that both inputs share.
    #[inline]
    #[target_feature(enable = "neon")]
    fn terms(&self, bytes: uint8x16_t) -> Sums {
        let [low, high] = self.differences(bytes);
        let mut terms = [
            vmovl_s16(vget_low_s16(low)),
            vmovl_high_s16(low),
            vmovl_s16(vget_low_s16(high)),
            vmovl_high_s16(high),
        ];
        for term in &mut terms {
            *term = self.rescale.apply(vshlq_s32(*term, self.left_shift));
        }
        terms
    }
}
