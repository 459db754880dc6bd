//! ADD and MUL of bytes as XNNPACK computes them.

use super::{Combine, Operands};
use crate::{
    Error,
    byte::{Byte, Clamp},
    limits::within,
    requant::round_even_near,
};
use apu_proto::program::{self, Function};

/// Most that a factor of ADD is: two products with differences of bytes stay within 32 bits.
const MAX_FACTOR: i64 = 1 << 21;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Even {
    function: u32,
    byte: Byte,
    zero_points: [i32; 2],
    factors: [i32; 2],
    right_shift: u32,
    scale: f32,
    output_zero_point: i32,
    clamp: Clamp,
}

impl Even {
    pub fn new(p: &program::Elementwise) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        byte.zero_point("a_zero_point", p.a_zero_point)?;
        byte.zero_point("b_zero_point", p.b_zero_point)?;
        byte.zero_point("output_zero_point", p.output_zero_point)?;
        let shifts = match p.function {
            Function::ADD => (-30, -1),
            _ => (0, 0),
        };
        if p.function != Function::ADD {
            within(
                "function",
                p.function,
                Function::MUL.into(),
                Function::MUL.into(),
            )?;
        }
        within("a_multiplier", p.a_multiplier, -MAX_FACTOR, MAX_FACTOR)?;
        within("b_multiplier", p.b_multiplier, -MAX_FACTOR, MAX_FACTOR)?;
        within("output_shift", p.output_shift, shifts.0, shifts.1)?;
        Ok(Self {
            function: p.function,
            byte,
            zero_points: [p.a_zero_point, p.b_zero_point],
            factors: [p.a_multiplier, p.b_multiplier],
            right_shift: p.output_shift.unsigned_abs(),
            scale: f32::from_bits(p.output_multiplier as u32),
            output_zero_point: p.output_zero_point,
            clamp: Clamp::new(byte, p.clamp_min, p.clamp_max)?,
        })
    }

    pub fn run(self, operands: Operands) {
        match self.function {
            Function::ADD => operands.apply(Bytes(self, |s: &Self, a, b| {
                let sum = a * s.factors[0] + b * s.factors[1];
                (sum + (1 << (s.right_shift - 1))) >> s.right_shift
            })),
            _ => operands.apply(Bytes(self, |s: &Self, a, b| {
                round_even_near((a * b) as f32 * s.scale)
            })),
        }
    }
}

/// A function of two bytes less their zero points.
struct Bytes<F>(Even, F);

impl<F: Fn(&Even, i32, i32) -> i32> Combine<1, 1> for Bytes<F> {
    #[inline(always)]
    fn combine(&self, [a]: [u8; 1], [b]: [u8; 1]) -> [u8; 1] {
        let Self(s, function) = self;
        let [a, b] = [
            s.byte.widen(a) - s.zero_points[0],
            s.byte.widen(b) - s.zero_points[1],
        ];
        let scaled = function(s, a, b);
        [s.clamp.store(scaled.saturating_add(s.output_zero_point))]
    }
}
