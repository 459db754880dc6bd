//! Constants in the layouts that [`apu_proto::program`] describes.

use apu_proto::program::{MAX_OUTLIERS, Outlier};

/// Output channels are padded to a multiple of this.
const CHANNELS: usize = 16;
/// Each kernel row of a filter is padded to a multiple of this.
const DEPTH: usize = 4;

/// Bytes of weights as stored.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub data: &'a [u8],
    /// Whether they are int8, else uint8.
    pub signed: bool,
}

impl Weights<'_> {
    fn value(&self, index: usize) -> i32 {
        let byte = self.data[index];
        if self.signed {
            i32::from(byte.cast_signed())
        } else {
            i32::from(byte)
        }
    }
}

/// Matrix weights in the layout "k4n16": `[N/16][K/4][16][4]`, padded with zeros.
pub(crate) struct Matrix {
    pub bytes: Vec<u8>,
    /// What weights have beyond a signed byte; one more than [`MAX_OUTLIERS`] stands for more.
    pub outliers: Vec<Outlier>,
    /// The unpadded K.
    pub depth: usize,
    /// The sum of the weights of each output channel, modulo 2³².
    pub sums: Vec<i32>,
}

impl Matrix {
    /// Packs `[channels][kernel rows][K / kernel rows]` weights, each less `offset`.
    pub fn pack(weights: Weights, channels: usize, kernel_rows: usize, offset: i32) -> Self {
        let depth = weights.data.len() / channels.max(1);
        let row = depth / kernel_rows.max(1);
        let pitch = row.next_multiple_of(DEPTH);
        let padded_depth = kernel_rows * pitch;
        let mut bytes = vec![0; channels.next_multiple_of(CHANNELS) * padded_depth];
        let mut sums = vec![0i32; channels];
        let mut outliers = Vec::new();
        for (n, sum) in sums.iter_mut().enumerate() {
            let block = (n / CHANNELS) * padded_depth * CHANNELS + (n % CHANNELS) * DEPTH;
            for k in 0..depth {
                let weight = weights.value(n * depth + k) - offset;
                *sum = sum.wrapping_add(weight);
                let k = k / row * pitch + k % row;
                let near = weight.clamp(i8::MIN.into(), i8::MAX.into());
                bytes[block + (k / DEPTH) * DEPTH * CHANNELS + k % DEPTH] = near as u8;
                if weight != near && outliers.len() <= MAX_OUTLIERS {
                    outliers.push(Outlier {
                        channel: n as u32,
                        tap: k as u32,
                        rest: weight - near,
                    });
                }
            }
        }
        Self {
            bytes,
            outliers,
            depth,
            sums,
        }
    }
}

/// `b − za·Σw + K·za·zw`, modulo 2³²: what the sum over unsigned activations and signed weights
/// lacks.
pub(crate) fn folded_bias(
    bias: i32,
    sum: i32,
    depth: usize,
    input_zero_point: i32,
    weight_zero_point: i32,
) -> i32 {
    let zero_points = input_zero_point.wrapping_mul(weight_zero_point);
    bias.wrapping_sub(input_zero_point.wrapping_mul(sum))
        .wrapping_add((depth as i32).wrapping_mul(zero_points))
}

/// Depthwise weights `[kernel row][kernel column][C]` less their zero point as i16, C padded with
/// zeros.
pub(crate) fn depthwise(weights: Weights, channels: usize, zero_point: i32) -> Vec<u8> {
    let taps = weights.data.len() / channels.max(1);
    let padded = channels.next_multiple_of(CHANNELS);
    let mut bytes = vec![0; taps * padded * size_of::<i16>()];
    for tap in 0..taps {
        for channel in 0..channels {
            let weight = (weights.value(tap * channels + channel) - zero_point) as i16;
            let at = (tap * padded + channel) * size_of::<i16>();
            bytes[at..at + size_of::<i16>()].copy_from_slice(&weight.to_le_bytes());
        }
    }
    bytes
}

/// What turns one output channel's sum into its output.
pub(crate) struct Channel {
    pub bias: i32,
    /// Multiplier and shift, or the halves of a float scale: what the record's rounding says.
    pub factor: [i32; 2],
}

/// Three arrays of words, each padded to a multiple of 16: bias, multiplier, shift.
pub(crate) fn channel_table(channels: impl ExactSizeIterator<Item = Channel>) -> Vec<u8> {
    let padded = channels.len().next_multiple_of(CHANNELS);
    let mut words = vec![0i32; 3 * padded];
    for (index, Channel { bias, factor }) in channels.enumerate() {
        words[index] = bias;
        words[padded + index] = factor[0];
        words[2 * padded + index] = factor[1];
    }
    words.into_iter().flat_map(i32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_blocks_of_16_channels_by_4_deep() {
        let data: Vec<u8> = (0..17 * 5).collect();
        let packed = Matrix::pack(
            Weights {
                data: &data,
                signed: true,
            },
            17,
            1,
            0,
        );
        assert_eq!((packed.depth, packed.bytes.len()), (5, 32 * 8));
        assert_eq!(packed.bytes[..8], [0, 1, 2, 3, 5, 6, 7, 8]); // k 0..4 of channels 0 and 1
        assert_eq!(packed.bytes[64..69], [4, 0, 0, 0, 9]); // k 4 and its padding
        assert_eq!(packed.bytes[128..136], [80, 81, 82, 83, 0, 0, 0, 0]); // channel 16, then padding
        assert_eq!(packed.sums[16], 80 + 81 + 82 + 83 + 84);
    }

    #[test]
    fn each_kernel_row_begins_a_group_of_four() {
        let weights = Weights {
            data: &[1, 2, 3, 4, 5, 6],
            signed: true,
        };
        let packed = Matrix::pack(weights, 1, 2, 0);
        assert_eq!((packed.depth, packed.bytes.len()), (6, 16 * 8));
        assert_eq!(packed.bytes[..4], [1, 2, 3, 0]);
        assert_eq!(packed.bytes[64..68], [4, 5, 6, 0]);
    }

    #[test]
    fn uint8_weights_become_signed() {
        let packed = Matrix::pack(
            Weights {
                data: &[0, 128, 255],
                signed: false,
            },
            1,
            1,
            128,
        );
        assert_eq!(packed.bytes[..3], [0x80, 0, 0x7f]);
        assert_eq!(packed.sums, [-1]);
    }

    #[test]
    fn what_a_byte_cannot_hold_is_an_outlier() {
        let data = &[0, 10, 20, 255, 30, 40];
        let weights = Weights {
            data,
            signed: false,
        };
        let packed = Matrix::pack(weights, 2, 1, 100);
        assert_eq!(packed.bytes[..8], [156, 166, 176, 0, 127, 186, 196, 0]);
        let outlier = Outlier {
            channel: 1,
            tap: 0,
            rest: 28,
        };
        assert_eq!(packed.outliers, [outlier]);
        assert_eq!(packed.sums, [-270, 25]);
    }

    #[test]
    fn the_folded_bias_gives_the_sum_over_shifted_operands() {
        let (a, w) = ([3i32, 250, 17], [-100i32, 7, 90]);
        let (za, zw, bias) = (128, -5, 1000);
        let want = bias + (0..3).map(|i| (a[i] - za) * (w[i] - zw)).sum::<i32>();
        let products: i32 = (0..3).map(|i| a[i] * w[i]).sum();
        let got =
            products - zw * a.iter().sum::<i32>() + folded_bias(bias, w.iter().sum(), 3, za, zw);
        assert_eq!(got, want);
    }

    #[test]
    fn depthwise_weights_are_16_bit_and_padded() {
        let bytes = depthwise(
            Weights {
                data: &[0, 255, 3, 4],
                signed: false,
            },
            2,
            130,
        );
        assert_eq!(bytes.len(), 2 * 16 * 2);
        assert_eq!(bytes[..4], [126, 255, 125, 0]); // −130 and 125
        assert_eq!(bytes[32..36], [129, 255, 130, 255]); // −127 and −126
    }
}
