//! REDUCE_MAX, REDUCE_MIN, and SUM of numbers without scales, over any set of dimensions.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, exactly, within},
};
use apu_proto::program::{self, DType, OP_RANK, Reduction};

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Reduce {
    function: u32,
    kind: DType,
    in_shape: [usize; OP_RANK],
    /// Step of the output in elements along each input dimension, 0 where it is reduced.
    out_stride: [usize; OP_RANK],
    sizes: Sizes,
}

impl Reduce {
    fn new(p: &program::Reduce) -> Result<Self, Error> {
        let kind = DType::from_raw(p.dtype)
            .filter(|&kind| kind != DType::Bool)
            .ok_or(Error::Type {
                field: "dtype",
                got: p.dtype,
                allowed: "int8 (1) to float32 (6)",
            })?;
        within("function", p.function, 0, Reduction::SUM.into())?;
        if p.function == Reduction::SUM && kind.size() < 4 {
            return Err(Error::Type {
                field: "dtype",
                got: p.dtype,
                allowed: "int32 (4), int64 (5) or float32 (6) for a sum",
            });
        }
        within("reduced", p.reduced, 0, (1 << OP_RANK) - 1)?;
        let mut outputs = 1u32;
        let mut out_stride = [0; OP_RANK];
        for dim in (0..OP_RANK).rev() {
            within("in_shape", p.in_shape[dim], 1, MAX_BYTES.into())?;
            if p.reduced >> dim & 1 == 0 {
                out_stride[dim] = outputs as usize;
                outputs = bytes("output", &[outputs, p.in_shape[dim]])?;
            }
        }
        let element = kind.size() as u32;
        Ok(Self {
            function: p.function,
            kind,
            in_shape: p.in_shape.map(|size| size as usize),
            out_stride,
            sizes: Sizes::new([
                bytes("input", &[bytes("input", &p.in_shape)?, element])?,
                bytes("output", &[outputs, element])?,
            ]),
        })
    }

    /// Where the result of the innermost input row `row` begins.
    fn start(&self, row: usize) -> usize {
        let [mut start, mut rest] = [0, row];
        for dim in (0..OP_RANK - 1).rev() {
            start += rest % self.in_shape[dim] * self.out_stride[dim];
            rest /= self.in_shape[dim];
        }
        start
    }

    /// Folds each element into its result, in the order in which they are stored.
    fn fold<const N: usize, T: Copy>(
        &self,
        input: &[u8],
        output: &mut [u8],
        number: Number<N, T>,
        join: fn(T, T) -> T,
        first: T,
    ) {
        let output = output.as_chunks_mut::<N>().0;
        output.fill((number.store)(first));
        let columns = self.in_shape[OP_RANK - 1];
        let step = self.out_stride[OP_RANK - 1];
        for (row, inputs) in input.as_chunks::<N>().0.chunks_exact(columns).enumerate() {
            let outputs = &mut output[self.start(row)..];
            for (column, &x) in inputs.iter().enumerate() {
                let out = &mut outputs[column * step];
                *out = (number.store)(join((number.load)(*out), (number.load)(x)));
            }
        }
    }
}

/// How a number is stored.
#[derive(Clone, Copy)]
struct Number<const N: usize, T> {
    load: fn([u8; N]) -> T,
    store: fn(T) -> [u8; N],
}

/// The functions on one type: `$least` is the neutral element of the maximum, `$most` of the minimum.
macro_rules! by_function {
    ($reduce:expr, $input:expr, $output:expr, $type:ty, $least:expr, $most:expr, $add:expr) => {{
        let number = Number {
            load: <$type>::from_le_bytes,
            store: <$type>::to_le_bytes,
        };
        match $reduce.function {
            Reduction::MAX => {
                let join = |a: $type, b: $type| if b > a { b } else { a };
                $reduce.fold($input, $output, number, join, $least);
            }
            Reduction::MIN => {
                let join = |a: $type, b: $type| if b < a { b } else { a };
                $reduce.fold($input, $output, number, join, $most);
            }
            _ => $reduce.fold($input, $output, number, $add, <$type>::default()),
        }
    }};
    ($reduce:expr, $input:expr, $output:expr, $type:ty) => {
        by_function!(
            $reduce,
            $input,
            $output,
            $type,
            <$type>::MIN,
            <$type>::MAX,
            <$type>::wrapping_add
        )
    };
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Reduce) -> Result<Sizes, Error> {
    Ok(Reduce::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Reduce,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let reduce = Reduce::new(params)?;
    let &[input_size, output_size] = reduce.sizes.as_slice() else {
        unreachable!("a reduction has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    match reduce.kind {
        DType::Int8 => by_function!(reduce, input, output, i8),
        DType::UInt8 | DType::Bool => by_function!(reduce, input, output, u8),
        DType::Int16 => by_function!(reduce, input, output, i16),
        DType::Int32 => by_function!(reduce, input, output, i32),
        DType::Int64 => by_function!(reduce, input, output, i64),
        DType::Float32 => by_function!(
            reduce,
            input,
            output,
            f32,
            f32::MIN,
            f32::MAX,
            core::ops::Add::add
        ),
    }
    Ok(())
}
