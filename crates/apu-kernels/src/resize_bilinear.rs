//! RESIZE_BILINEAR: each output pixel is a mean of four input pixels, weighted by its place between
//! them.

use crate::{
    Error, Isa, Sizes,
    byte::Byte,
    limits::{MAX_BYTES, bytes, exactly, within},
    requant::{is_even, round_even},
};
use apu_proto::program::{self, DType};

/// Fractional bits of positions and weights in integers.
const BITS: u32 = 10;
const ONE: i32 = 1 << BITS;
/// Likewise where they are rounded to even.
const EVEN_BITS: u32 = 11;
const EVEN_ONE: i32 = 1 << EVEN_BITS;
/// Most rows or columns: a position with its fraction stays within 32 bits.
const MAX_SIDE: i64 = 65535;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Resize {
    kind: DType,
    half_pixel_centers: bool,
    even: bool,
    rows: Side,
    columns: Side,
    channels: usize,
    sizes: Sizes,
}

/// Rows or columns.
#[derive(Clone, Copy, Debug)]
struct Side {
    input: usize,
    output: usize,
    scale: u32,
}

/// Between which two rows or columns an output row or column lies, and how near to each.
#[derive(Clone, Copy, Debug)]
struct Between<W> {
    lower: usize,
    upper: usize,
    /// Weight of the lower one, then of the upper one.
    weights: [W; 2],
}

impl Resize {
    fn new(p: &program::ResizeBilinear) -> Result<Self, Error> {
        let kind = match DType::from_raw(p.dtype) {
            Some(kind @ (DType::Int8 | DType::Int16 | DType::UInt8 | DType::Float32)) => kind,
            _ => {
                return Err(Error::Type {
                    field: "dtype",
                    got: p.dtype,
                    allowed: "int8 (1), uint8 (2), int16 (3) or float32 (6)",
                });
            }
        };
        for (field, side) in [
            ("in_h", p.in_h),
            ("in_w", p.in_w),
            ("out_h", p.out_h),
            ("out_w", p.out_w),
        ] {
            within(field, side, 1, MAX_SIDE)?;
        }
        within("batch", p.batch, 1, MAX_BYTES.into())?;
        within("channels", p.channels, 1, MAX_BYTES.into())?;
        within("half_pixel_centers", p.half_pixel_centers, 0, 1)?;
        let even = is_even(p.rounding)?;
        if even {
            Byte::new("dtype", p.dtype)?;
        }
        let side = |field, input: u32, output: u32, scale| {
            check_scale(field, kind, even, output, scale)?;
            Ok(Side {
                input: input as usize,
                output: output as usize,
                scale,
            })
        };
        let element = kind.size() as u32;
        Ok(Self {
            kind,
            half_pixel_centers: p.half_pixel_centers == 1,
            even,
            rows: side("scale_h", p.in_h, p.out_h, p.scale_h)?,
            columns: side("scale_w", p.in_w, p.out_w, p.scale_w)?,
            channels: p.channels as usize,
            sizes: Sizes::new([
                bytes("input", &[p.batch, p.in_h, p.in_w, p.channels, element])?,
                bytes("output", &[p.batch, p.out_h, p.out_w, p.channels, element])?,
            ]),
        })
    }

    fn integer_between(&self, side: &Side, at: usize) -> Between<i32> {
        let scale = side.scale as i32;
        let start = if self.half_pixel_centers {
            scale / 2 - ONE / 2
        } else {
            0
        };
        let position = at as i32 * scale + start;
        // As in C, a division rounds towards zero.
        let lower = (position / ONE).clamp(0, side.input as i32 - 1);
        let upper = ((position + ONE - 1) / ONE).clamp(0, side.input as i32 - 1);
        let above = position - lower * ONE;
        Between {
            lower: lower as usize,
            upper: upper as usize,
            weights: [ONE - above, above],
        }
    }

    /// The position in float32, the weight of the upper one in 11 fractional bits.
    fn even_between(&self, side: &Side, at: usize) -> Between<i32> {
        let scale = f32::from_bits(side.scale);
        let position = if self.half_pixel_centers {
            at as f32 * scale + (0.5 * scale - 0.5)
        } else {
            at as f32 * scale
        };
        let last = side.input - 1;
        let position = position.max(0.0).min(last as f32);
        let lower = position as usize;
        let above = round_even((position - lower as f32) * EVEN_ONE as f32);
        Between {
            lower,
            upper: (lower + 1).min(last),
            weights: [EVEN_ONE - above, above],
        }
    }

    fn float_between(&self, side: &Side, at: usize) -> Between<f32> {
        let scale = f32::from_bits(side.scale);
        let position = if self.half_pixel_centers {
            (at as f32 + 0.5) * scale - 0.5
        } else {
            at as f32 * scale
        };
        let last = side.input as i32 - 1;
        let lower = (libm::floorf(position) as i32).clamp(0, last);
        let upper = (libm::ceilf(position) as i32).clamp(0, last);
        let above = position - lower as f32;
        Between {
            lower: lower as usize,
            upper: upper as usize,
            weights: [1.0 - above, above],
        }
    }

    /// One image.
    fn image<const N: usize, W: Copy>(
        &self,
        input: &[[u8; N]],
        output: &mut [[u8; N]],
        between: impl Fn(&Side, usize) -> Between<W>,
        mix: impl Fn([[u8; N]; 4], [W; 2], [W; 2]) -> [u8; N],
    ) {
        let pixel = |y: usize, x: usize| {
            &input[(y * self.columns.input + x) * self.channels..][..self.channels]
        };
        let mut pixels = output.chunks_exact_mut(self.channels);
        for y in 0..self.rows.output {
            let row = between(&self.rows, y);
            for (x, out) in (0..self.columns.output).zip(&mut pixels) {
                let column = between(&self.columns, x);
                let corners = [
                    pixel(row.lower, column.lower),
                    pixel(row.upper, column.lower),
                    pixel(row.lower, column.upper),
                    pixel(row.upper, column.upper),
                ];
                for (channel, out) in out.iter_mut().enumerate() {
                    let values = corners.map(|corner| corner[channel]);
                    *out = mix(values, row.weights, column.weights);
                }
            }
        }
    }

    fn integers<const N: usize>(
        &self,
        input: &[u8],
        output: &mut [u8],
        load: fn([u8; N]) -> i32,
        store: fn(i64) -> [u8; N],
    ) {
        self.image(
            input.as_chunks().0,
            output.as_chunks_mut().0,
            |side, at| self.integer_between(side, at),
            |corners, row, column| store(mix_integers(corners.map(load), row, column)),
        );
    }

    fn even(&self, input: &[u8], output: &mut [u8], byte: Byte) {
        self.image(
            input.as_chunks().0,
            output.as_chunks_mut().0,
            |side, at| self.even_between(side, at),
            |corners, row, column| {
                let corners = corners.map(|[x]: [u8; 1]| byte.widen(x));
                let sum = weighted(corners, row, column) + (1 << (2 * EVEN_BITS - 1));
                [(sum >> (2 * EVEN_BITS)) as u8]
            },
        );
    }

    fn floats<const N: usize>(
        &self,
        input: &[u8],
        output: &mut [u8],
        load: fn([u8; N]) -> f32,
        store: fn(f32) -> [u8; N],
    ) {
        self.image(
            input.as_chunks().0,
            output.as_chunks_mut().0,
            |side, at| self.float_between(side, at),
            |corners, row, column| store(mix_floats(corners.map(load), row, column)),
        );
    }
}

/// A scale that keeps all positions within 32 bits.
fn check_scale(
    field: &'static str,
    kind: DType,
    even: bool,
    output: u32,
    scale: u32,
) -> Result<(), Error> {
    let most = match kind {
        DType::Int8 | DType::Int16 if !even => i64::from(i32::MAX - ONE) / (i64::from(output) + 1),
        _ => (MAX_SIDE as f32).to_bits().into(),
    };
    within(field, scale, 0, most)
}

#[inline(always)]
fn weighted(corners: [i32; 4], row: [i32; 2], column: [i32; 2]) -> i64 {
    let term = |corner: usize, r: usize, c: usize| {
        i64::from(corners[corner]) * i64::from(row[r]) * i64::from(column[c])
    };
    term(0, 0, 0) + term(1, 1, 0) + term(2, 0, 1) + term(3, 1, 1)
}

/// The weighted sum in 20 fractional bits, rounded half away from zero.
#[inline(always)]
fn mix_integers(corners: [i32; 4], row: [i32; 2], column: [i32; 2]) -> i64 {
    let sum = weighted(corners, row, column);
    let half = 1i64 << (2 * BITS - 1);
    (sum + if sum > 0 { half } else { -half }) / (1 << (2 * BITS))
}

#[inline(always)]
fn mix_floats(corners: [f32; 4], row: [f32; 2], column: [f32; 2]) -> f32 {
    corners[0] * row[0] * column[0]
        + corners[1] * row[1] * column[0]
        + corners[2] * row[0] * column[1]
        + corners[3] * row[1] * column[1]
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::ResizeBilinear) -> Result<Sizes, Error> {
    Ok(Resize::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::ResizeBilinear,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let resize = Resize::new(params)?;
    let &[input_size, output_size] = resize.sizes.as_slice() else {
        unreachable!("a resize has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    let images = input
        .chunks_exact(input.len() / params.batch as usize)
        .zip(output.chunks_exact_mut(output.len() / params.batch as usize));
    for (input, output) in images {
        match resize.kind {
            DType::Int8 if resize.even => resize.even(input, output, Byte::Int8),
            DType::UInt8 if resize.even => resize.even(input, output, Byte::UInt8),
            DType::Int8 => resize.integers(
                input,
                output,
                |[x]: [u8; 1]| (x as i8).into(),
                |x| [x as u8],
            ),
            DType::Int16 => resize.integers(
                input,
                output,
                |x| i16::from_le_bytes(x).into(),
                |x| (x as i16).to_le_bytes(),
            ),
            // The cast truncates, which rounds a value that is not negative half up.
            DType::UInt8 => resize.floats(
                input,
                output,
                |[x]: [u8; 1]| x.into(),
                |x| [(x + 0.5) as u8],
            ),
            _ => resize.floats(input, output, f32::from_le_bytes, f32::to_le_bytes),
        }
    }
    Ok(())
}
