//! Packed weights and channel tables, channel by channel.

use std::borrow::Cow;

use apu_kernels::requant::{Rescale, round_even};
use apu_proto::program::{Conv2d, DType, DepthwiseConv2d, Rounding, opcode};

use super::LANES;
use crate::legalise::{Operand, Record};

/// Taps in a group of packed weights.
const DEPTH: usize = 4;
/// Arrays of a channel table.
const ARRAYS: usize = 3;

/// What int8 activations move up by to be unsigned.
pub(super) fn unsigned(dtype: u32) -> i32 {
    if dtype == DType::Int8 as u32 { 128 } else { 0 }
}

/// A channel table: bias, and two words that are the factor.
pub(super) struct Channels(Vec<[i32; ARRAYS]>);

impl Channels {
    /// The table of a convolution without outliers.
    pub fn of(record: &Record) -> Option<Self> {
        let outliers = match record.opcode {
            opcode::CONV_2D => record.params::<Conv2d>()?.outliers,
            _ => 0,
        };
        let Some(Operand::Packed(table)) = record.operands.get(2).filter(|_| outliers == 0) else {
            return None;
        };
        let words: Vec<i32> = table
            .as_chunks()
            .0
            .iter()
            .map(|&word| i32::from_le_bytes(word))
            .collect();
        let padded = words.len() / ARRAYS;
        let channel = |index| [0, 1, 2].map(|array: usize| words[array * padded + index]);
        Some(Self((0..padded).map(channel).collect()))
    }

    /// What each output is whose weights are all zeros.
    pub fn constants(&self, matrix: &Matrix, params: &Conv2d) -> Option<Vec<Option<i32>>> {
        if params.weight_zero_point != 0 {
            return None;
        }
        let output = |channel| {
            let value = self.output(channel, params.rounding)?;
            let value = value.saturating_add(params.output_zero_point);
            Some(value.clamp(params.clamp_min, params.clamp_max))
        };
        let constant = |channel| match matrix.is_zero(channel) {
            true => output(channel),
            false => None,
        };
        Some((0..params.window.out_c as usize).map(constant).collect())
    }

    /// The table with factors of a quarter for outputs that have values; none if there are no such in fixed point.
    pub fn set(&mut self, values: &[Option<i32>], params: &Conv2d) -> Option<Vec<u8>> {
        const QUARTER: [i32; 2] = [1 << 30, -1];
        if ![Rounding::AWAY, Rounding::UP].contains(&params.rounding) {
            return None;
        }
        for ([bias, factor @ ..], value) in self.0.iter_mut().zip(values) {
            if let Some(value) = value {
                *bias = 4 * (value - params.output_zero_point);
                *factor = QUARTER;
            }
        }
        values.iter().any(Option::is_some).then(|| self.packed())
    }

    /// What each output of a depthwise convolution is where every tap is the input's zero.
    pub fn without_input(&self, params: &DepthwiseConv2d) -> Option<Vec<i32>> {
        let output = |channel| {
            let value = self.output(channel, params.rounding)?;
            let value = value.saturating_add(params.output_zero_point);
            Some(value.clamp(params.clamp_min, params.clamp_max))
        };
        (0..params.window.out_c as usize).map(output).collect()
    }

    /// The bias in steps of the output.
    fn output(&self, channel: usize, rounding: u32) -> Option<i32> {
        let &[bias, multiplier, shift] = self.0.get(channel)?;
        let fixed = Rescale::from_words(multiplier, shift);
        Some(match rounding {
            Rounding::AWAY => fixed.apply(bias),
            Rounding::UP => fixed.apply_up(bias),
            Rounding::EVEN => round_even(bias as f32 * f32::from_bits(multiplier.cast_unsigned())),
            _ => return None,
        })
    }

    /// The table of some channels.
    pub fn only(&self, kept: &[usize]) -> Vec<u8> {
        Self(kept.iter().map(|&channel| self.0[channel]).collect()).packed()
    }

    /// The table with something added to each bias.
    pub fn with_more_bias(mut self, more: &[i32]) -> Vec<u8> {
        for ([bias, ..], more) in self.0.iter_mut().zip(more) {
            *bias = bias.wrapping_add(*more);
        }
        self.packed()
    }

    fn packed(&self) -> Vec<u8> {
        let padded = self.0.len().next_multiple_of(LANES);
        let array = |array: usize| {
            let words = self.0.iter().map(move |channel| channel[array]);
            words.chain(std::iter::repeat(0)).take(padded)
        };
        let words = (0..ARRAYS).flat_map(array);
        words.flat_map(i32::to_le_bytes).collect()
    }
}

/// Packed weights of a convolution.
pub(super) struct Matrix<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// The padded K.
    depth: usize,
    /// Bytes of a kernel row, with their padding.
    pitch: usize,
    kernel: [usize; 2],
    channels: usize,
}

impl<'a> Matrix<'a> {
    /// The weights of a CONV_2D.
    pub fn of(record: &'a Record) -> Option<Self> {
        let window = record.params::<Conv2d>()?.window;
        let Some(Operand::Packed(bytes)) = record.operands.get(1) else {
            return None;
        };
        let [rows, columns] = [window.kernel_h, window.kernel_w].map(|size| size as usize);
        let pitch = (columns * window.in_c as usize).next_multiple_of(DEPTH);
        Some(Self {
            bytes: Cow::Borrowed(bytes),
            depth: rows * pitch,
            pitch,
            kernel: [rows, columns],
            channels: window.out_c as usize,
        })
    }

    /// Zeros for as many inputs.
    fn zeros(&self, inputs: usize) -> Matrix<'static> {
        let [rows, columns] = self.kernel;
        let pitch = (columns * inputs).next_multiple_of(DEPTH);
        Matrix {
            bytes: vec![0; self.channels.next_multiple_of(LANES) * rows * pitch].into(),
            depth: rows * pitch,
            pitch,
            ..*self
        }
    }

    /// Where the weight of an output is.
    fn at(&self, channel: usize, k: usize) -> usize {
        let block = channel / LANES * self.depth * LANES;
        block + (k / DEPTH * LANES + channel % LANES) * DEPTH + k % DEPTH
    }

    /// Whether all weights of an output are zeros.
    pub fn is_zero(&self, channel: usize) -> bool {
        (0..self.depth).all(|k| self.bytes[self.at(channel, k)] == 0)
    }

    /// Packed weights of some of the outputs.
    pub fn of_channels(&self, kept: &[usize]) -> Vec<u8> {
        let mut only = vec![0; kept.len().next_multiple_of(LANES) * self.depth];
        for (channel, &from) in kept.iter().enumerate() {
            for k in 0..self.depth {
                only[self.at(channel, k)] = self.bytes[self.at(from, k)];
            }
        }
        only
    }

    /// Packed weights of some of `inputs` inputs.
    pub fn of_inputs(&self, inputs: usize, kept: &[usize]) -> Vec<u8> {
        let only = self.zeros(kept.len());
        let mut bytes = only.bytes.to_vec();
        for channel in 0..self.channels {
            self.each_tap(|row, column| {
                for (input, &from) in kept.iter().enumerate() {
                    let at = only.at(channel, row * only.pitch + column * kept.len() + input);
                    let from = self.at(channel, row * self.pitch + column * inputs + from);
                    bytes[at] = self.bytes[from];
                }
            });
        }
        bytes
    }

    /// For each output the sum of its weights times what the inputs are that are gone.
    pub fn products(&self, inputs: usize, gone: impl Fn(usize) -> Option<i32>) -> Vec<i32> {
        let product = |channel| {
            let mut sum = 0i32;
            self.each_tap(|row, column| {
                for input in 0..inputs {
                    let at = self.at(channel, row * self.pitch + column * inputs + input);
                    let weight = i32::from(self.bytes[at].cast_signed());
                    sum = sum.wrapping_add(weight.wrapping_mul(gone(input).unwrap_or(0)));
                }
            });
            sum
        };
        (0..self.channels).map(product).collect()
    }

    /// Calls with each row and column of the kernel.
    fn each_tap(&self, mut tap: impl FnMut(usize, usize)) {
        let [rows, columns] = self.kernel;
        for row in 0..rows {
            (0..columns).for_each(|column| tap(row, column));
        }
    }
}

/// Packed depthwise weights of some of `channels` channels.
pub(super) fn depthwise(weights: &[u8], channels: usize, kept: &[usize]) -> Vec<u8> {
    let padded = channels.next_multiple_of(LANES);
    let taps = weights.as_chunks::<2>().0.chunks_exact(padded);
    let spare = kept.len().next_multiple_of(LANES) - kept.len();
    let only = taps.flat_map(|tap| {
        let weights = kept.iter().map(|&channel| tap[channel]);
        weights.chain(std::iter::repeat_n([0; 2], spare))
    });
    only.flatten().collect()
}
