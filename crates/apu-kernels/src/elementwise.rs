//! Functions of two inputs, elementwise with broadcasting.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod even;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
mod quantised;

use crate::{
    Error, Isa, Sizes,
    broadcast::Broadcast,
    isa::Kernel,
    limits::{bytes, exactly, within},
    requant::is_even,
    share::{Cut, MAX_SHARES, Part},
};
use apu_proto::program::{self, DType, Function};

/// Parameters in range, to be used often.
#[derive(Clone, Copy, Debug)]
pub struct Elementwise {
    frame: Broadcast,
    operation: Operation,
    sizes: Sizes,
}

/// Elements that are worth a share of their own.
const SHARE: usize = 4 << 10;

/// What is computed, by how the inputs are stored.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack of one call, where no heap is"
)]
#[derive(Clone, Copy, Debug)]
enum Operation {
    Quantised(quantised::Quantised),
    Even(even::Even),
    Float(plain::Plain<f32>),
    Int32(plain::Plain<i32>),
    Int64(plain::Plain<i64>),
}

impl Elementwise {
    /// Checks parameters.
    ///
    /// # Errors
    ///
    /// One is out of range, or an operand would be too large.
    pub fn new(p: &program::Elementwise) -> Result<Self, Error> {
        within(
            "function",
            p.function,
            Function::ADD.into(),
            Function::FLOOR_MOD.into(),
        )?;
        let operation = Operation::new(p)?;
        let (frame, [a, b, output]) = Broadcast::new(p)?;
        let element = DType::from_raw(p.dtype).map_or(1, |dtype| dtype.size() as u32);
        let compares = (Function::EQUAL..=Function::GREATER_EQUAL).contains(&p.function);
        let sizes = Sizes::new([
            bytes("a", &[a, element])?,
            bytes("b", &[b, element])?,
            bytes("output", &[output, if compares { 1 } else { element }])?,
        ]);
        Ok(Self {
            frame,
            operation,
            sizes,
        })
    }

    /// The most shares that there can be: one, if an input is repeated.
    pub fn most_shares(&self) -> usize {
        self.frame.flat().unwrap_or(1).min(MAX_SHARES)
    }

    /// In how many shares it is worth being computed.
    pub fn shares(&self) -> usize {
        (self.frame.columns() / SHARE).clamp(1, self.most_shares())
    }

    /// The bytes of share `index` of `of`, which is no more than [`Self::most_shares`].
    pub fn cut(&self, index: usize, of: usize) -> Cut {
        let &[a, b, output] = self.sizes.as_slice() else {
            unreachable!("a function of two inputs has three operands");
        };
        let count = self.frame.columns();
        let range = Part { index, of }.range(count);
        let bytes = |size: u32| match (of, size as usize) {
            (1, size) => 0..size,
            (_, size) => range.start * (size / count)..range.end * (size / count),
        };
        Cut {
            reads: [a, b].map(bytes),
            output: bytes(output),
            scratch: 0,
        }
    }

    /// What computes the share of [`Self::cut`].
    pub fn share(&self, index: usize, of: usize) -> Self {
        if of == 1 {
            return *self;
        }
        let cut = self.cut(index, of);
        let [a, b] = cut.reads;
        let count = Part { index, of }.range(self.frame.columns()).len();
        Self {
            frame: self.frame.of_flat(count),
            sizes: Sizes::new([&a, &b, &cut.output].map(|range| range.len() as u32)),
            ..*self
        }
    }

    /// The sizes of a, b and output.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Computes `output` from `a` and `b`.
    ///
    /// # Errors
    ///
    /// When an operand has another size than [`Self::sizes`] says; nothing has been written then.
    pub fn run(&self, isa: Isa, a: &[u8], b: &[u8], output: &mut [u8]) -> Result<(), Error> {
        let &[a_size, b_size, output_size] = self.sizes.as_slice() else {
            unreachable!("a function of two inputs has three operands");
        };
        exactly("a", a, a_size)?;
        exactly("b", b, b_size)?;
        exactly("output", output, output_size)?;
        let operands = Operands {
            isa,
            frame: self.frame,
            a,
            b,
            output,
        };
        match self.operation {
            Operation::Quantised(operation) => operation.run(operands),
            Operation::Even(operation) => operation.run(operands),
            Operation::Float(operation) => operation.run(operands),
            Operation::Int32(operation) => operation.run(operands),
            Operation::Int64(operation) => operation.run(operands),
        }
        Ok(())
    }
}

impl Operation {
    fn new(p: &program::Elementwise) -> Result<Self, Error> {
        if is_even(p.rounding)? {
            return Ok(Self::Even(even::Even::new(p)?));
        }
        Ok(match DType::from_raw(p.dtype) {
            Some(DType::Int8 | DType::UInt8 | DType::Int16) => {
                Self::Quantised(quantised::Quantised::new(p)?)
            }
            Some(DType::Float32) => Self::Float(plain::Plain::<f32>::new(p)),
            Some(DType::Int32) => Self::Int32(plain::Plain::<i32>::new(p)),
            Some(DType::Int64) => Self::Int64(plain::Plain::<i64>::new(p)),
            _ => {
                return Err(Error::Type {
                    field: "dtype",
                    got: p.dtype,
                    allowed: "int8 (1), uint8 (2), int16 (3), int32 (4), int64 (5) or float32 (6)",
                });
            }
        })
    }
}

/// What the result for elements of `I` stored bytes is, in `O` stored bytes.
trait Combine<const I: usize, const O: usize> {
    /// To be `#[inline(always)]`, as it runs within [`Rows`].
    fn combine(&self, a: [u8; I], b: [u8; I]) -> [u8; O];
}

struct Rows<'a, C, const I: usize, const O: usize> {
    frame: Broadcast,
    a: &'a [[u8; I]],
    b: &'a [[u8; I]],
    output: &'a mut [[u8; O]],
    function: C,
}

impl<C: Combine<I, O>, const I: usize, const O: usize> Kernel for Rows<'_, C, I, O> {
    #[inline(always)]
    fn run(self) {
        let columns = self.frame.columns();
        for (row, output) in self.output.chunks_exact_mut(columns).enumerate() {
            let [a, b] = self.frame.starts(row);
            combine_row(
                &self.function,
                self.frame.steps(),
                &self.a[a..],
                &self.b[b..],
                output,
            );
        }
    }
}

/// One innermost row; a step of 0 repeats the first element.
#[inline(always)]
fn combine_row<const I: usize, const O: usize>(
    function: &impl Combine<I, O>,
    steps: [usize; 2],
    a: &[[u8; I]],
    b: &[[u8; I]],
    output: &mut [[u8; O]],
) {
    match steps {
        [1, 1] => {
            for ((out, &a), &b) in output.iter_mut().zip(a).zip(b) {
                *out = function.combine(a, b);
            }
        }
        [1, 0] => {
            for (out, &a) in output.iter_mut().zip(a) {
                *out = function.combine(a, b[0]);
            }
        }
        [0, 1] => {
            for (out, &b) in output.iter_mut().zip(b) {
                *out = function.combine(a[0], b);
            }
        }
        [a_step, b_step] => {
            for (index, out) in output.iter_mut().enumerate() {
                *out = function.combine(a[index * a_step], b[index * b_step]);
            }
        }
    }
}

/// The operands of one run.
struct Operands<'a> {
    isa: Isa,
    frame: Broadcast,
    a: &'a [u8],
    b: &'a [u8],
    output: &'a mut [u8],
}

impl Operands<'_> {
    fn apply<const I: usize, const O: usize>(self, function: impl Combine<I, O>) {
        self.isa.run(Rows {
            frame: self.frame,
            a: self.a.as_chunks().0,
            b: self.b.as_chunks().0,
            output: self.output.as_chunks_mut().0,
            function,
        });
    }
}

/// As [`Elementwise::sizes`].
///
/// # Errors
///
/// As [`Elementwise::new`].
pub fn sizes(params: &program::Elementwise) -> Result<Sizes, Error> {
    Ok(Elementwise::new(params)?.sizes)
}

/// As [`Elementwise::run`].
///
/// # Errors
///
/// As [`Elementwise::new`] and [`Elementwise::run`].
pub fn run(
    isa: Isa,
    params: &program::Elementwise,
    a: &[u8],
    b: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    Elementwise::new(params)?.run(isa, a, b, output)
}
