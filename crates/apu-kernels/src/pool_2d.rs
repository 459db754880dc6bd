//! AVERAGE_POOL_2D and MAX_POOL_2D.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{bytes, exactly, within},
    window::{Pixel, Window},
};
use apu_proto::program::{self, DType};

/// Most taps of a window: their sum stays within 32 bits.
const MAX_TAPS: i64 = 1 << 22;
/// Likewise of int16.
const MAX_WIDE_TAPS: i64 = 1 << 15;
/// Channels worked on at once, of many and of few.
const BLOCK: usize = 64;
const SMALL_BLOCK: usize = 16;

/// Parameters in range, to be used often; every window has at least one tap on the input.
#[derive(Clone, Copy, Debug)]
pub struct Pool2d {
    pooling: Pooling,
    window: Window,
    elements: Elements,
    clamp: Clamp,
    sizes: Sizes,
}

/// What is pooled.
#[derive(Clone, Copy, Debug)]
enum Elements {
    Bytes(Byte),
    /// int16.
    Words,
    /// float32, with bounds of their own.
    Floats {
        min: f32,
        max: f32,
    },
}

/// What becomes of the taps of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean, rounded half away from zero.
    Average,
    /// The largest.
    Max,
}

impl Pool2d {
    /// Checks parameters.
    ///
    /// # Errors
    ///
    /// One is out of range, or an operand would be too large.
    pub fn new(pooling: Pooling, p: &program::Pool2d) -> Result<Self, Error> {
        let dtype = DType::from_raw(p.dtype);
        let window = Window::new(&p.window)?
            .without_dilation()?
            .with_equal_channels()?;
        within(
            "kernel_h · kernel_w",
            p.window.kernel_h * p.window.kernel_w,
            1,
            match dtype {
                Some(DType::Int16) => MAX_WIDE_TAPS,
                _ => MAX_TAPS,
            },
        )?;
        let (elements, clamp, element) = match dtype {
            Some(DType::Int16) => (Elements::Words, Clamp::wide(p.clamp_min, p.clamp_max)?, 2),
            Some(DType::Float32) => {
                let [min, max] = [p.clamp_min, p.clamp_max].map(|it| f32::from_bits(it as u32));
                let unused = Clamp { min: 0, max: 0 };
                (Elements::Floats { min, max }, unused, 4)
            }
            _ => {
                let byte = Byte::new("dtype", p.dtype)?;
                let clamp = Clamp::new(byte, p.clamp_min, p.clamp_max)?;
                (Elements::Bytes(byte), clamp, 1)
            }
        };
        Ok(Self {
            pooling,
            window,
            elements,
            clamp,
            sizes: Sizes::new([
                bytes("input", &[window.in_bytes(), element])?,
                bytes("output", &[window.out_bytes(), element])?,
            ]),
        })
    }

    /// Taps of one element of the output, those in the padding included.
    pub fn taps(&self) -> usize {
        self.window.kernel_h * self.window.kernel_w
    }

    /// The sizes of input and output.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Computes `output` from `input`.
    ///
    /// # Errors
    ///
    /// When an operand has another size than [`Self::sizes`] says; nothing has been written then.
    pub fn run(&self, isa: Isa, input: &[u8], output: &mut [u8]) -> Result<(), Error> {
        let &[input_size, output_size] = self.sizes.as_slice() else {
            unreachable!("a pooling has two operands");
        };
        exactly("input", input, input_size)?;
        exactly("output", output, output_size)?;
        match self.elements {
            Elements::Bytes(byte) => isa.run(Pixels {
                pool: self,
                byte,
                input,
                output,
            }),
            Elements::Words => {
                let output = output.as_chunks_mut().0;
                self.each_output(output, |pixel, channel| {
                    let pooled = self.wide(pixel, channel, input.as_chunks().0);
                    self.clamp.store_wide(pooled).to_le_bytes()
                });
            }
            Elements::Floats { min, max } => {
                let output = output.as_chunks_mut().0;
                self.each_output(output, |pixel, channel| {
                    let pooled = self.float(pixel, channel, input.as_chunks().0);
                    // In this order NaN stays NaN, as in C's std::min(std::max(x, min), max).
                    let pooled = if pooled < min { min } else { pooled };
                    let pooled = if max < pooled { max } else { pooled };
                    pooled.to_le_bytes()
                });
            }
        }
        Ok(())
    }

    /// Each element of the output by its pixel and channel.
    fn each_output<T>(&self, output: &mut [T], pooled: impl Fn(Pixel, usize) -> T) {
        let pixels = output.chunks_exact_mut(self.window.out_c);
        for (pixel, outputs) in self.window.pixels().zip(pixels) {
            for (channel, out) in outputs.iter_mut().enumerate() {
                *out = pooled(pixel, channel);
            }
        }
    }

    /// One channel of a window of float32, in the order of its rows.
    fn float(&self, pixel: Pixel, channel: usize, input: &[[u8; 4]]) -> f32 {
        let [mut sum, mut count, mut largest] = [0.0, 0.0, f32::MIN];
        self.each_tap(pixel, |at| {
            let tap = f32::from_le_bytes(input[at + channel]);
            sum += tap;
            count += 1.0;
            largest = if largest < tap { tap } else { largest };
        });
        match self.pooling {
            Pooling::Average => sum / count,
            Pooling::Max => largest,
        }
    }

    /// One channel of a window of int16.
    fn wide(&self, pixel: Pixel, channel: usize, input: &[[u8; 2]]) -> i32 {
        let [mut sum, mut count, mut largest] = [0, 0, i32::MIN];
        self.each_tap(pixel, |at| {
            let tap = i32::from(i16::from_le_bytes(input[at + channel]));
            (sum, count, largest) = (sum + tap, count + 1, largest.max(tap));
        });
        match self.pooling {
            Pooling::Average => rounded_mean(sum, count),
            Pooling::Max => largest,
        }
    }

    /// As many channels of a window, from a channel on, as `output` has room for.
    #[inline(always)]
    fn block(&self, byte: Byte, (pixel, channel): (Pixel, usize), input: &[u8], output: &mut [u8]) {
        match self.pooling {
            Pooling::Average => self.average(byte, pixel, channel, input, output),
            Pooling::Max => self.max(byte, pixel, channel, input, output),
        }
    }

    #[inline(always)]
    fn average(&self, byte: Byte, pixel: Pixel, channel: usize, input: &[u8], output: &mut [u8]) {
        let mut sums = [0i32; BLOCK];
        let mut count = 0i32;
        self.each_tap(pixel, |at| {
            let taps = &input[at + channel..][..output.len()];
            sums.iter_mut()
                .zip(taps)
                .for_each(|(sum, &x)| *sum += byte.widen(x));
            count += 1;
        });
        let divisor = Divisor::new(count as u32);
        for (out, sum) in output.iter_mut().zip(sums) {
            let mean = divisor.divide(sum.unsigned_abs() + count as u32 / 2) as i32;
            *out = self.clamp.store(if sum < 0 { -mean } else { mean });
        }
    }

    #[inline(always)]
    fn max(&self, byte: Byte, pixel: Pixel, channel: usize, input: &[u8], output: &mut [u8]) {
        let flip = byte.flip();
        let mut largest = [0u8; BLOCK];
        self.each_tap(pixel, |at| {
            let taps = &input[at + channel..][..output.len()];
            largest
                .iter_mut()
                .zip(taps)
                .for_each(|(largest, &x)| *largest = (*largest).max(x ^ flip));
        });
        for (out, largest) in output.iter_mut().zip(largest) {
            *out = self.clamp.store(byte.widen(largest ^ flip));
        }
    }

    /// Calls with the place of each tap on the input.
    #[inline(always)]
    fn each_tap(&self, pixel: Pixel, mut tap: impl FnMut(usize)) {
        let (rows, y) = self.window.rows(pixel);
        let (columns, x) = self.window.columns(pixel);
        for row in 0..rows.len() {
            for column in 0..columns.len() {
                tap(self.window.at(pixel.batch, y + row, x + column));
            }
        }
    }
}

/// Divides numbers below 2³¹ by a multiplication (Granlund and Montgomery, Division by Invariant Integers using
/// Multiplication, 1994, theorem 4.2), which vectors have an instruction for.
#[derive(Clone, Copy)]
struct Divisor {
    /// 2^shift / divisor, rounded up: below 2³².
    multiplier: u32,
    shift: u32,
}

impl Divisor {
    /// Of 1 to 2³¹.
    fn new(divisor: u32) -> Self {
        let shift = 31 + divisor.next_power_of_two().trailing_zeros();
        Self {
            multiplier: (1u64 << shift).div_ceil(u64::from(divisor)) as u32,
            shift,
        }
    }

    #[inline(always)]
    fn divide(self, number: u32) -> u32 {
        ((u64::from(number) * u64::from(self.multiplier)) >> self.shift) as u32
    }
}

/// Rounded half away from zero.
#[inline(always)]
fn rounded_mean(sum: i32, count: i32) -> i32 {
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    (sum + half) / count
}

struct Pixels<'a> {
    pool: &'a Pool2d,
    byte: Byte,
    input: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Pixels<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            pool,
            byte,
            input,
            output,
        } = self;
        let channels = pool.window.out_c;
        for (pixel, output) in pool.window.pixels().zip(output.chunks_exact_mut(channels)) {
            // Where the number of channels is known, their sums stay in registers.
            let (large, rest) = output.as_chunks_mut::<BLOCK>();
            let mut channel = 0;
            for output in large {
                pool.block(byte, (pixel, channel), input, output);
                channel += BLOCK;
            }
            let (small, rest) = rest.as_chunks_mut::<SMALL_BLOCK>();
            for output in small {
                pool.block(byte, (pixel, channel), input, output);
                channel += SMALL_BLOCK;
            }
            if !rest.is_empty() {
                pool.block(byte, (pixel, channel), input, rest);
            }
        }
    }
}

/// As [`Pool2d::sizes`].
///
/// # Errors
///
/// As [`Pool2d::new`].
pub fn sizes(params: &program::Pool2d) -> Result<Sizes, Error> {
    // Both kinds have the same.
    Ok(Pool2d::new(Pooling::Max, params)?.sizes)
}

/// As [`Pool2d::run`].
///
/// # Errors
///
/// As [`Pool2d::new`] and [`Pool2d::run`].
pub fn run(
    isa: Isa,
    pooling: Pooling,
    params: &program::Pool2d,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    Pool2d::new(pooling, params)?.run(isa, input, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_multiplication_is_exact() {
        for divisor in (1..2000).chain([MAX_TAPS as u32 - 1, MAX_TAPS as u32]) {
            let divide = |number| Divisor::new(divisor).divide(number);
            let most = i32::MAX as u32 / divisor * divisor;
            for multiple in [divisor, 2 * divisor, 255 * divisor, most] {
                assert_eq!(
                    divide(multiple),
                    multiple / divisor,
                    "{multiple} / {divisor}"
                );
                assert_eq!(
                    divide(multiple - 1),
                    (multiple - 1) / divisor,
                    "{multiple} - 1 / {divisor}"
                );
            }
            assert_eq!(divide(i32::MAX as u32), i32::MAX as u32 / divisor);
        }
    }
}
