//! AVERAGE_POOL_2D and MAX_POOL_2D.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{exactly, within},
    window::{Pixel, Window},
};
use apu_proto::program;

/// Most taps of a window: their sum stays within 32 bits.
const MAX_TAPS: i64 = 1 << 22;
/// Channels worked on at once.
const BLOCK: usize = 64;

/// Parameters in range; every window has at least one tap on the input.
#[derive(Clone, Copy, Debug)]
struct Pool2d {
    window: Window,
    byte: Byte,
    clamp: Clamp,
    sizes: Sizes,
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
    fn new(p: &program::Pool2d) -> Result<Self, Error> {
        let byte = Byte::new("dtype", p.dtype)?;
        let window = Window::new(&p.window)?
            .without_dilation()?
            .with_equal_channels()?;
        within(
            "kernel_h · kernel_w",
            p.window.kernel_h * p.window.kernel_w,
            1,
            MAX_TAPS,
        )?;
        Ok(Self {
            window,
            byte,
            clamp: Clamp::new(byte, p.clamp_min, p.clamp_max)?,
            sizes: Sizes::new([window.in_bytes(), window.out_bytes()]),
        })
    }

    #[inline(always)]
    fn average(&self, pixel: Pixel, channel: usize, input: &[u8], output: &mut [u8]) {
        let mut sums = [0i32; BLOCK];
        let mut count = 0i32;
        self.each_tap(pixel, |at| {
            let taps = &input[at + channel..][..output.len()];
            sums.iter_mut()
                .zip(taps)
                .for_each(|(sum, &x)| *sum += self.byte.widen(x));
            count += 1;
        });
        for (out, sum) in output.iter_mut().zip(sums) {
            let half = if sum > 0 { count / 2 } else { -(count / 2) };
            *out = self.clamp.store((sum + half) / count);
        }
    }

    #[inline(always)]
    fn max(&self, pixel: Pixel, channel: usize, input: &[u8], output: &mut [u8]) {
        let flip = self.byte.flip();
        let mut largest = [0u8; BLOCK];
        self.each_tap(pixel, |at| {
            let taps = &input[at + channel..][..output.len()];
            largest
                .iter_mut()
                .zip(taps)
                .for_each(|(largest, &x)| *largest = (*largest).max(x ^ flip));
        });
        for (out, largest) in output.iter_mut().zip(largest) {
            *out = self.clamp.store(self.byte.widen(largest ^ flip));
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

struct Pixels<'a> {
    pool: Pool2d,
    pooling: Pooling,
    input: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Pixels<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            pool,
            pooling,
            input,
            output,
        } = self;
        let channels = pool.window.out_c;
        for (pixel, pixel_output) in pool.window.pixels().zip(output.chunks_exact_mut(channels)) {
            for (index, block_output) in pixel_output.chunks_mut(BLOCK).enumerate() {
                let channel = index * BLOCK;
                match pooling {
                    Pooling::Average => pool.average(pixel, channel, input, block_output),
                    Pooling::Max => pool.max(pixel, channel, input, block_output),
                }
            }
        }
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Pool2d) -> Result<Sizes, Error> {
    Ok(Pool2d::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    pooling: Pooling,
    params: &program::Pool2d,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let pool = Pool2d::new(params)?;
    let &[input_size, output_size] = pool.sizes.as_slice() else {
        unreachable!("a pooling has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    isa.run(Pixels {
        pool,
        pooling,
        input,
        output,
    });
    Ok(())
}
