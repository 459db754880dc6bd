//! Convolutions of int16 by int8 weights, in groups: CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED alike.

use crate::{
    Error, Isa, Sizes,
    limits::{agree, bytes, exactly, within},
    requant::{Rescale, Ties},
    window::{Pixel, Window},
};
use apu_proto::program;

/// Bytes of a channel's bias, multiplier and shift.
const CHANNEL: usize = 16;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct WideConv2d {
    window: Window,
    /// Channels that a filter sees.
    depth: usize,
    /// Filters of a group.
    filters: usize,
    ties: Ties,
    clamp: (i16, i16),
    sizes: Sizes,
}

impl WideConv2d {
    fn new(p: &program::WideConv2d) -> Result<Self, Error> {
        let window = Window::new(&p.window)?;
        let w = &p.window;
        within("depth", p.depth, 1, w.in_c.into())?;
        let groups = w.in_c / p.depth;
        agree("in_c", w.in_c, "a multiple of depth", groups * p.depth)?;
        let filters = w.out_c / groups;
        agree(
            "out_c",
            w.out_c,
            "a multiple of the groups",
            groups * filters,
        )?;
        let ties = Ties::new("rounding", p.rounding)?;
        if !matches!(ties, Ties::Up | Ties::AwayFloat) {
            agree("rounding", p.rounding, "up or float", program::Rounding::UP)?;
        }
        within("clamp_min", p.clamp_min, i16::MIN.into(), i16::MAX.into())?;
        within(
            "clamp_max",
            p.clamp_max,
            p.clamp_min.into(),
            i16::MAX.into(),
        )?;
        Ok(Self {
            window,
            depth: p.depth as usize,
            filters: filters as usize,
            ties,
            clamp: (p.clamp_min as i16, p.clamp_max as i16),
            sizes: Sizes::new([
                bytes("input", &[window.in_bytes(), 2])?,
                bytes("weights", &[w.out_c, w.kernel_h, w.kernel_w, p.depth])?,
                bytes("channel table", &[w.out_c, CHANNEL as u32])?,
                bytes("output", &[window.out_bytes(), 2])?,
            ]),
        })
    }

    /// `Σ x·w` of one filter, of which no window leaves 64 bits.
    fn sum(&self, pixel: Pixel, filter: usize, input: &[[u8; 2]], weights: &[u8]) -> i64 {
        let window = &self.window;
        let first = filter / self.filters * self.depth;
        let mut taps = weights.chunks_exact(self.depth);
        let mut sum = 0i64;
        for kernel_y in 0..window.kernel_h {
            for (kernel_x, tap) in (0..window.kernel_w).zip(&mut taps) {
                let Some(at) = window.tap(pixel, kernel_y, kernel_x) else {
                    continue;
                };
                let values = input[at + first..].iter().zip(tap);
                let products =
                    values.map(|(&x, &w)| i64::from(i16::from_le_bytes(x)) * i64::from(w as i8));
                sum += products.sum::<i64>();
            }
        }
        sum
    }

    fn store(&self, channel: &Channel, sum: i64) -> [u8; 2] {
        let (least, largest) = (self.clamp.0.into(), self.clamp.1.into());
        let scaled = channel.rescale(self.ties, sum);
        (scaled.clamp(least, largest) as i16).to_le_bytes()
    }
}

/// What turns one channel's sum into its output.
struct Channel {
    bias: i64,
    words: [[u8; 4]; 2],
}

impl Channel {
    fn read(stored: &[u8; CHANNEL]) -> Self {
        let (bias, words) = stored.split_at(8);
        let mut channel = Self {
            bias: 0,
            words: [[0; 4]; 2],
        };
        channel.bias = bias
            .first_chunk()
            .map_or(0, |&bias| i64::from_le_bytes(bias));
        channel.words.as_flattened_mut().copy_from_slice(words);
        channel
    }

    /// By a multiplier of 16 bits, ties up; or in f64, ties away from zero.
    fn rescale(&self, ties: Ties, sum: i64) -> i64 {
        let sum = sum.wrapping_add(self.bias);
        let [low, high] = self.words.map(u32::from_le_bytes);
        if ties == Ties::AwayFloat {
            let scale = f64::from_bits(u64::from(high) << 32 | u64::from(low));
            return libm::round(sum as f64 * scale) as i64;
        }
        let rescale = Rescale::from_words(low as i32, high as i32);
        rescale.apply_wide(sum).into()
    }
}

/// The sizes of input, weights, channel table and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::WideConv2d) -> Result<Sizes, Error> {
    Ok(WideConv2d::new(params)?.sizes)
}

/// Computes `output` from `input`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::WideConv2d,
    input: &[u8],
    weights: &[u8],
    table: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let conv = WideConv2d::new(params)?;
    let &[input_size, weights_size, table_size, output_size] = conv.sizes.as_slice() else {
        unreachable!("a convolution of int16 has four operands");
    };
    exactly("input", input, input_size)?;
    exactly("weights", weights, weights_size)?;
    exactly("channel table", table, table_size)?;
    exactly("output", output, output_size)?;
    let (input, channels) = (input.as_chunks().0, table.as_chunks().0);
    let pixels = output.as_chunks_mut().0.chunks_exact_mut(conv.window.out_c);
    let filter_size = weights.len() / conv.window.out_c;
    for (pixel, output) in conv.window.pixels().zip(pixels) {
        let filters = weights.chunks_exact(filter_size).zip(channels);
        for (filter, (out, (weights, channel))) in output.iter_mut().zip(filters).enumerate() {
            let sum = conv.sum(pixel, filter, input, weights);
            *out = conv.store(&Channel::read(channel), sum);
        }
    }
    Ok(())
}
