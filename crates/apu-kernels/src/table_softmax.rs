//! SOFTMAX and LOG_SOFTMAX over the innermost dimension, with exponentials from a table: of bytes in float32, of
//! int16 in fixed point.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    limits::{bytes, exactly, within},
    requant::{Rescale, round_away, round_even},
};
use apu_proto::program::{self, DType};

/// Entries of each table of int16: one a 128 steps, and the end.
pub const WIDE_ENTRIES: usize = 513;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct TableSoftmax {
    columns: usize,
    arithmetic: Arithmetic,
    sizes: Sizes,
}

#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    Bytes(Bytes),
    Wide(Rescale),
}

#[derive(Clone, Copy, Debug)]
struct Bytes {
    byte: Byte,
    /// The scale of the input, if the output is a logarithm.
    logarithm: Option<f32>,
    output_scale: f32,
}

impl TableSoftmax {
    fn new(p: &program::TableSoftmax) -> Result<Self, Error> {
        within("columns", p.columns, 1, i32::MAX.into())?;
        within("logarithm", p.logarithm, 0, 1)?;
        let (arithmetic, element, table) = if p.dtype == DType::Int16 as u32 {
            let rescale = Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?;
            (Arithmetic::Wide(rescale), 2, 2 * WIDE_ENTRIES as u32 * 2)
        } else {
            let bytes = Bytes {
                byte: Byte::new("dtype", p.dtype)?,
                logarithm: (p.logarithm == 1).then(|| f32::from_bits(p.input_scale)),
                output_scale: f32::from_bits(p.output_scale),
            };
            (Arithmetic::Bytes(bytes), 1, 256 * 4)
        };
        let size = bytes("input", &[p.rows, p.columns, element])?;
        Ok(Self {
            columns: p.columns as usize,
            arithmetic,
            sizes: Sizes::new([size, table, size]),
        })
    }
}

impl Bytes {
    fn row(self, exps: &[[u8; 4]; 256], input: &[u8], output: &mut [u8]) {
        let byte = self.byte;
        let max = input
            .iter()
            .fold(byte.min(), |max, &x| max.max(byte.widen(x)));
        let exp = |x: u8| f32::from_le_bytes(exps[(max - byte.widen(x)) as usize & 255]);
        let sum = input.iter().fold(0.0, |sum: f32, &x| sum + exp(x));
        let clamp = Clamp::whole(byte);
        let outputs = output.iter_mut().zip(input);
        if let Some(input_scale) = self.logarithm {
            let logarithm = libm::log(sum.into()) as f32;
            let scale = input_scale / self.output_scale;
            let offset = (input_scale * max as f32 + logarithm) / self.output_scale;
            outputs.for_each(|(out, &x)| {
                let steps = round_even(scale * byte.widen(x) as f32 - offset);
                *out = clamp.store(steps.saturating_add(byte.max()));
            });
        } else {
            let inverse = 1.0 / (sum * self.output_scale);
            outputs.for_each(|(out, &x)| {
                let share = exp(x) * inverse;
                let steps = match byte {
                    Byte::Int8 => round_away(share),
                    Byte::UInt8 => (share + 0.5) as i32,
                };
                *out = clamp.store(steps.saturating_add(byte.min()));
            });
        }
    }
}

/// Both tables of int16.
struct Tables<'a> {
    exps: &'a [[u8; 2]],
    reciprocals: &'a [[u8; 2]],
}

impl Tables<'_> {
    /// An entry, or what lies between two.
    fn at(table: &[[u8; 2]], x: i32) -> i32 {
        let x = x.clamp(i16::MIN.into(), i16::MAX.into()) - i32::from(i16::MIN);
        let entry = |index: usize| i32::from(i16::from_le_bytes(table[index]));
        let (index, offset) = ((x >> 7) as usize, x & 127);
        let (base, next) = (entry(index), entry(index + 1));
        // Steps are of 16 bits.
        let step = i32::from((next - base) as i16);
        i32::from((base + ((step * offset + 64) >> 7)) as i16)
    }

    fn row(&self, rescale: Rescale, input: &[[u8; 2]], output: &mut [[u8; 2]]) {
        let value = |&x: &[u8; 2]| i32::from(i16::from_le_bytes(x));
        let max = input.iter().map(value).max().unwrap_or(0);
        let mut sum = 0i32;
        for (out, x) in output.iter_mut().zip(input) {
            let distance = rescale.apply(value(x) - max);
            let exp = Self::at(self.exps, distance.saturating_add(i16::MAX.into()));
            sum = sum.wrapping_add(exp);
            *out = (exp as i16).to_le_bytes();
        }
        // The sum of a row is at least the exponential of 0, unless the table is no table of them.
        let headroom = sum.max(1).leading_zeros();
        let shifted = ((i64::from(sum.max(1)) << (headroom - 1)) + (1 << 13)) >> 14;
        let reciprocal = Self::at(self.reciprocals, shifted as i32 - (1 << 15) - (1 << 16));
        let shift = 31 - headroom;
        let half = (1 << shift) >> 1;
        for out in output {
            let share = (i64::from(value(out)) * i64::from(reciprocal) + half) >> shift;
            *out = (share.clamp(0, i16::MAX.into()) as i16).to_le_bytes();
        }
    }
}

/// The sizes of input, table and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::TableSoftmax) -> Result<Sizes, Error> {
    Ok(TableSoftmax::new(params)?.sizes)
}

/// Computes `output` from `input` by `table`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::TableSoftmax,
    input: &[u8],
    table: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let softmax = TableSoftmax::new(params)?;
    let &[input_size, table_size, output_size] = softmax.sizes.as_slice() else {
        unreachable!("a softmax by table has three operands");
    };
    exactly("input", input, input_size)?;
    exactly("table", table, table_size)?;
    exactly("output", output, output_size)?;
    let columns = softmax.columns;
    match softmax.arithmetic {
        Arithmetic::Bytes(bytes) => {
            let Ok(exps) = table.as_chunks().0.try_into() else {
                return Ok(());
            };
            let rows = input.chunks_exact(columns);
            rows.zip(output.chunks_exact_mut(columns))
                .for_each(|(input, output)| bytes.row(exps, input, output));
        }
        Arithmetic::Wide(rescale) => {
            let (exps, reciprocals) = table.as_chunks().0.split_at(WIDE_ENTRIES);
            let tables = Tables { exps, reciprocals };
            let rows = input.as_chunks().0.chunks_exact(columns);
            rows.zip(output.as_chunks_mut().0.chunks_exact_mut(columns))
                .for_each(|(input, output)| tables.row(rescale, input, output));
        }
    }
    Ok(())
}
