//! Functions of two quantised inputs: int8, uint8 and int16.

#[cfg(target_arch = "x86_64")]
use super::avx512;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{Combine, Operands};
use crate::{
    Error,
    fixed_point::Reciprocal,
    limits::within,
    requant::{Rescale, doubling_high_mul},
};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::{byte::Byte, isa::Level};
use apu_proto::program::{self, DType, Function};

/// Bits that a difference of two elements may be shifted left by and stay within 32 bits.
const fn most_left_shift(element: Element) -> i64 {
    match element {
        Element::Int16 => 15,
        _ => 22,
    }
}

/// A stored type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Int8,
    UInt8,
    Int16,
}

impl Element {
    fn new(raw: u32) -> Self {
        match DType::from_raw(raw) {
            Some(DType::UInt8) => Self::UInt8,
            Some(DType::Int16) => Self::Int16,
            _ => Self::Int8,
        }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn byte(self) -> Option<Byte> {
        match self {
            Self::Int8 => Some(Byte::Int8),
            Self::UInt8 => Some(Byte::UInt8),
            Self::Int16 => None,
        }
    }

    /// Least and largest value.
    const fn range(self) -> (i32, i32) {
        match self {
            Self::Int8 => (-128, 127),
            Self::UInt8 => (0, 255),
            Self::Int16 => (-32768, 32767),
        }
    }
}

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantised {
    function: u32,
    element: Element,
    scalars: Scalars,
}

/// What the arithmetic needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalars {
    /// Exclusive-or with this, then minus it, makes a stored byte its value.
    flip: i32,
    pub a: Input,
    pub b: Input,
    pub output: Rescale,
    pub output_zero_point: i32,
    pub min: i32,
    pub max: i32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub zero_point: i32,
    pub left_shift: u32,
    pub rescale: Rescale,
}

impl Input {
    /// The real value in the scale that both inputs share.
    #[inline(always)]
    fn term(&self, value: i32) -> i32 {
        self.rescale
            .apply((value - self.zero_point) << self.left_shift)
    }
}

impl Quantised {
    pub fn new(p: &program::Elementwise) -> Result<Self, Error> {
        let element = Element::new(p.dtype);
        let (least, largest) = element.range();
        for (field, zero_point) in [
            ("a_zero_point", p.a_zero_point),
            ("b_zero_point", p.b_zero_point),
            ("output_zero_point", p.output_zero_point),
        ] {
            within(field, zero_point, least.into(), largest.into())?;
        }
        within("function", p.function, 0, Function::DIV.into())?;
        within("left_shift", p.left_shift, 0, most_left_shift(element))?;
        within("clamp_min", p.clamp_min, least.into(), largest.into())?;
        within("clamp_max", p.clamp_max, p.clamp_min.into(), largest.into())?;
        let input = |zero_point, rescale| Input {
            zero_point,
            left_shift: p.left_shift,
            rescale,
        };
        let a = Rescale::new(["a_multiplier", "a_shift"], p.a_multiplier, p.a_shift)?;
        let b = Rescale::new(["b_multiplier", "b_shift"], p.b_multiplier, p.b_shift)?;
        let output = ["output_multiplier", "output_shift"];
        Ok(Self {
            function: p.function,
            element,
            scalars: Scalars {
                flip: if element == Element::Int8 { 0x80 } else { 0 },
                a: input(p.a_zero_point, a),
                b: input(p.b_zero_point, b),
                output: Rescale::new(output, p.output_multiplier, p.output_shift)?,
                output_zero_point: p.output_zero_point,
                min: p.clamp_min,
                max: p.clamp_max,
            },
        })
    }

    pub fn run(self, operands: Operands) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(byte), Function::ADD, Level::Avx512Vnni) =
            (self.element.byte(), self.function, operands.isa.level())
            && avx512::takes(&self.scalars, &operands)
        {
            // SAFETY: the level is a proof that the processor has these instructions.
            return unsafe { avx512::add(byte, &self.scalars, operands) };
        }
        #[cfg(target_arch = "aarch64")]
        if let (Some(byte), Level::Neon(_)) = (self.element.byte(), operands.isa.level())
            && neon::takes(self.function, &self.scalars, &operands)
        {
            // SAFETY: the level is a proof that the processor has NEON.
            return unsafe { neon::run(self.function, byte, &self.scalars, operands) };
        }
        match self.element {
            Element::Int16 => self.dispatch::<2>(operands),
            _ => self.dispatch::<1>(operands),
        }
    }

    fn dispatch<const N: usize>(self, operands: Operands)
    where
        Scalars: Stored<N>,
    {
        let s = self.scalars;
        match self.function {
            Function::ADD => operands.apply(value(s, |s, a, b| {
                s.finish(s.a.term(a).wrapping_add(s.b.term(b)))
            })),
            Function::SUB => operands.apply(value(s, |s, a, b| {
                s.finish(s.a.term(a).wrapping_sub(s.b.term(b)))
            })),
            Function::MUL => operands.apply(value(s, |s, a, b| s.finish(s.product(a, b)))),
            Function::DIV => operands.apply(value(s, |s, a, b| s.clamp(s.quotient(a, b)))),
            Function::MINIMUM => operands.apply(value(s, |_, a, b| a.min(b))),
            Function::MAXIMUM => operands.apply(value(s, |_, a, b| a.max(b))),
            Function::SQUARED_DIFFERENCE => operands.apply(value(s, |s, a, b| {
                let difference = s.a.term(a).wrapping_sub(s.b.term(b));
                s.finish(difference.wrapping_mul(difference))
            })),
            Function::PRELU => operands.apply(value(s, |s, a, b| {
                let positive = s.a.rescale.apply(a - s.a.zero_point);
                let negative = s.output.apply(s.product(a, b));
                let scaled = if a >= s.a.zero_point {
                    positive
                } else {
                    negative
                };
                s.clamp(scaled)
            })),
            Function::EQUAL => operands.apply(truth(s, |a, b| a == b)),
            Function::NOT_EQUAL => operands.apply(truth(s, |a, b| a != b)),
            Function::LESS => operands.apply(truth(s, |a, b| a < b)),
            Function::LESS_EQUAL => operands.apply(truth(s, |a, b| a <= b)),
            Function::GREATER => operands.apply(truth(s, |a, b| a > b)),
            _ => operands.apply(truth(s, |a, b| a >= b)),
        }
    }
}

impl Scalars {
    /// The same with the inputs the other way round.
    #[cfg(target_arch = "x86_64")]
    pub fn swapped(self) -> Self {
        Self {
            a: self.b,
            b: self.a,
            ..self
        }
    }

    #[inline(always)]
    fn product(&self, a: i32, b: i32) -> i32 {
        (a - self.a.zero_point).wrapping_mul(b - self.b.zero_point)
    }

    /// `a / b` in steps of the output, by a reciprocal in fixed point; 0 where b is.
    #[inline(always)]
    fn quotient(&self, a: i32, b: i32) -> i32 {
        let (a, b) = (a - self.a.zero_point, b - self.b.zero_point);
        if a == 0 || b == 0 {
            return 0;
        }
        let a = if b < 0 { -a } else { a };
        let reciprocal = Reciprocal::of(b.abs(), 31);
        // Bits that only repeat the sign.
        let headroom = (a ^ (a >> 31)).leading_zeros() as i32 - 1;
        let quotient = doubling_high_mul(a.wrapping_shl(headroom as u32), reciprocal.scale);
        self.output
            .shifted(-reciprocal.bits_over_unit - headroom)
            .apply(quotient)
    }

    /// The output for a sum or product.
    #[inline(always)]
    fn finish(&self, x: i32) -> i32 {
        self.clamp(self.output.apply(x))
    }

    #[inline(always)]
    fn clamp(&self, scaled: i32) -> i32 {
        scaled
            .wrapping_add(self.output_zero_point)
            .max(self.min)
            .min(self.max)
    }
}

/// How values are stored in `N` bytes.
trait Stored<const N: usize> {
    fn load(&self, stored: [u8; N]) -> i32;
    fn store(value: i32) -> [u8; N];
}

impl Stored<1> for Scalars {
    #[inline(always)]
    fn load(&self, [stored]: [u8; 1]) -> i32 {
        (i32::from(stored) ^ self.flip) - self.flip
    }

    #[inline(always)]
    fn store(value: i32) -> [u8; 1] {
        [value as u8]
    }
}

impl Stored<2> for Scalars {
    #[inline(always)]
    fn load(&self, stored: [u8; 2]) -> i32 {
        i16::from_le_bytes(stored).into()
    }

    #[inline(always)]
    fn store(value: i32) -> [u8; 2] {
        (value as i16).to_le_bytes()
    }
}

struct Value<F> {
    scalars: Scalars,
    function: F,
}

/// A function whose result is stored as the inputs are.
fn value<F: Fn(&Scalars, i32, i32) -> i32>(scalars: Scalars, function: F) -> Value<F> {
    Value { scalars, function }
}

impl<const N: usize, F: Fn(&Scalars, i32, i32) -> i32> Combine<N, N> for Value<F>
where
    Scalars: Stored<N>,
{
    #[inline(always)]
    fn combine(&self, a: [u8; N], b: [u8; N]) -> [u8; N] {
        let s = &self.scalars;
        Scalars::store((self.function)(s, s.load(a), s.load(b)))
    }
}

struct Truth<F> {
    scalars: Scalars,
    compare: F,
}

/// A comparison of the values in their common scale.
fn truth<F: Fn(i32, i32) -> bool>(scalars: Scalars, compare: F) -> Truth<F> {
    Truth { scalars, compare }
}

impl<const N: usize, F: Fn(i32, i32) -> bool> Combine<N, 1> for Truth<F>
where
    Scalars: Stored<N>,
{
    #[inline(always)]
    fn combine(&self, a: [u8; N], b: [u8; N]) -> [u8; 1] {
        let s = &self.scalars;
        [(self.compare)(s.a.term(s.load(a)), s.b.term(s.load(b))).into()]
    }
}
