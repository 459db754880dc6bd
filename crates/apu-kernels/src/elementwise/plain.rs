//! Functions of two inputs without scales: float32, int32 and int64.

use super::{Combine, Operands};
use crate::Isa;
use apu_proto::program::{self, Function};
use core::marker::PhantomData;

/// What is computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<T> {
    function: u32,
    min: T,
    max: T,
}

/// A number of `N` stored bytes.
pub(super) trait Number<const N: usize>: Copy + PartialOrd {
    const ZERO: Self;
    fn load(stored: [u8; N]) -> Self;
    fn store(self) -> [u8; N];
    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn floor_div(self, b: Self) -> Self;
    fn floor_mod(self, b: Self) -> Self;
}

impl Plain<f32> {
    pub fn new(p: &program::Elementwise) -> Self {
        Self {
            function: p.function,
            min: f32::from_bits(p.clamp_min as u32),
            max: f32::from_bits(p.clamp_max as u32),
        }
    }
}

impl Plain<i32> {
    pub fn new(p: &program::Elementwise) -> Self {
        Self {
            function: p.function,
            min: p.clamp_min,
            max: p.clamp_max,
        }
    }
}

impl Plain<i64> {
    /// The ends of the 32-bit range stand for those of the 64-bit one.
    pub fn new(p: &program::Elementwise) -> Self {
        let end = |bound: i32| match bound {
            i32::MIN => i64::MIN,
            i32::MAX => i64::MAX,
            bound => bound.into(),
        };
        Self {
            function: p.function,
            min: end(p.clamp_min),
            max: end(p.clamp_max),
        }
    }
}

impl<T> Plain<T> {
    pub fn run<const N: usize>(self, mut operands: Operands)
    where
        T: Number<N>,
    {
        // Glue at the ends of a graph: not worth a copy for each instruction set.
        operands.isa = Isa::plain();
        match self.function {
            Function::ADD => operands.apply(self.value(T::add)),
            Function::SUB => operands.apply(self.value(T::sub)),
            Function::MUL => operands.apply(self.value(T::mul)),
            Function::MINIMUM => operands.apply(self.value(|a, b| if b < a { b } else { a })),
            Function::MAXIMUM => operands.apply(self.value(|a, b| if b > a { b } else { a })),
            Function::SQUARED_DIFFERENCE => {
                operands.apply(self.value(|a: T, b| a.sub(b).mul(a.sub(b))));
            }
            Function::PRELU => {
                operands.apply(self.value(|a: T, b| if a >= T::ZERO { a } else { a.mul(b) }));
            }
            Function::EQUAL => operands.apply(truth(|a: T, b| a == b)),
            Function::NOT_EQUAL => operands.apply(truth(|a: T, b| a != b)),
            Function::LESS => operands.apply(truth(|a: T, b| a < b)),
            Function::LESS_EQUAL => operands.apply(truth(|a: T, b| a <= b)),
            Function::GREATER => operands.apply(truth(|a: T, b| a > b)),
            Function::GREATER_EQUAL => operands.apply(truth(|a: T, b| a >= b)),
            Function::DIV => operands.apply(self.value(T::div)),
            Function::FLOOR_DIV => operands.apply(self.value(T::floor_div)),
            _ => operands.apply(self.value(T::floor_mod)),
        }
    }

    fn value<F: Fn(T, T) -> T>(self, function: F) -> Value<T, F> {
        Value {
            min: self.min,
            max: self.max,
            function,
        }
    }
}

struct Value<T, F> {
    min: T,
    max: T,
    function: F,
}

impl<const N: usize, T: Number<N>, F: Fn(T, T) -> T> Combine<N, N> for Value<T, F> {
    #[inline(always)]
    fn combine(&self, a: [u8; N], b: [u8; N]) -> [u8; N] {
        let result = (self.function)(T::load(a), T::load(b));
        // In this order NaN stays NaN, as in C's std::min(std::max(x, min), max).
        let result = if result < self.min { self.min } else { result };
        let result = if self.max < result { self.max } else { result };
        result.store()
    }
}

struct Truth<T, F> {
    compare: F,
    of: PhantomData<T>,
}

fn truth<T, F: Fn(T, T) -> bool>(compare: F) -> Truth<T, F> {
    Truth {
        compare,
        of: PhantomData,
    }
}

impl<const N: usize, T: Number<N>, F: Fn(T, T) -> bool> Combine<N, 1> for Truth<T, F> {
    #[inline(always)]
    fn combine(&self, a: [u8; N], b: [u8; N]) -> [u8; 1] {
        [(self.compare)(T::load(a), T::load(b)).into()]
    }
}

impl Number<4> for f32 {
    const ZERO: Self = 0.0;

    fn load(stored: [u8; 4]) -> Self {
        Self::from_le_bytes(stored)
    }

    fn store(self) -> [u8; 4] {
        self.to_le_bytes()
    }

    fn add(self, b: Self) -> Self {
        self + b
    }

    fn sub(self, b: Self) -> Self {
        self - b
    }

    fn mul(self, b: Self) -> Self {
        self * b
    }

    fn div(self, b: Self) -> Self {
        self / b
    }

    fn floor_div(self, b: Self) -> Self {
        libm::floorf(self / b)
    }

    fn floor_mod(self, b: Self) -> Self {
        let rest = libm::fmodf(self, b);
        if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
            rest + b
        } else {
            rest
        }
    }
}

macro_rules! integer {
    ($($type:ty: $size:literal),*) => {$(
        impl Number<$size> for $type {
            const ZERO: Self = 0;

            fn load(stored: [u8; $size]) -> Self {
                Self::from_le_bytes(stored)
            }

            fn store(self) -> [u8; $size] {
                self.to_le_bytes()
            }

            fn add(self, b: Self) -> Self {
                self.wrapping_add(b)
            }

            fn sub(self, b: Self) -> Self {
                self.wrapping_sub(b)
            }

            fn mul(self, b: Self) -> Self {
                self.wrapping_mul(b)
            }

            fn div(self, b: Self) -> Self {
                if b == 0 { 0 } else { self.wrapping_div(b) }
            }

            fn floor_div(self, b: Self) -> Self {
                let below = self.floor_mod(b) != 0 && (self < 0) != (b < 0);
                self.div(b).wrapping_sub(below.into())
            }

            fn floor_mod(self, b: Self) -> Self {
                if b == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(b);
                if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
            }
        }
    )*};
}

integer!(i32: 4, i64: 8);
