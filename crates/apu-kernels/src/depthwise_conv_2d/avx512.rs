//! The depthwise convolution for sixteen channels of four pixels at once, four taps of a kernel column
//! an instruction (AVX512-VNNI).

use super::{
    DepthwiseConv2d,
    lines::{Block, Grid, Lines, MAX_POSITIONS, ROWS, Tile},
};
use crate::{
    channel_table::ChannelTable,
    requant::Ties,
    window::Window,
    x86::avx512::{Even, Finish, Folded, Rescale, Rounds, load_32, load_words, quarters, store_16},
};
use core::{arch::x86_64::*, mem::MaybeUninit};

/// Output positions worked on at once.
const AT_ONCE: usize = 4;
/// Most steps of a kernel: those of a 5x5 window, in two parts.
const MAX_STEPS: usize = 20;
/// Most vectors of a block.
const MAX_VECTORS: usize = 4;

/// Whether [`run`] takes a convolution: one with a channel multiplier of 1, a kernel of
/// usual size and weights that are sums of two int8.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn takes(conv: &DepthwiseConv2d, weights: &[u8]) -> bool {
    let window = &conv.window;
    let steps = 2 * window.kernel_w * window.kernel_h.div_ceil(ROWS);
    let beyond = |bytes: &[u8; 2]| !(-256..=254).contains(&i16::from_le_bytes(*bytes));
    let halves: &[[u8; 2]] = weights.as_chunks().0;
    matches!(conv.ties, Ties::Away | Ties::Even)
        && window.in_c == window.out_c
        && steps <= MAX_STEPS
        && Lines::hold(window)
        && !halves.iter().fold(false, |any, half| any | beyond(half))
}

/// Computes the output of what [`takes`] says yes to.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let grid = Grid::new(conv.window);
    let convolution = Convolution {
        conv,
        grid,
        weights: weights.as_chunks().0,
        table,
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let mut lines = Lines::new();
    let mut places = Places::new();
    for block in grid.blocks() {
        let mut kernels = [const { None }; MAX_VECTORS];
        for (index, kernel) in kernels.iter_mut().enumerate() {
            if index * 16 < block.channels {
                *kernel = Some(Kernel::new(&convolution, block, index * 16));
            }
        }
        for tile in grid.tiles() {
            lines.fill(conv, &grid, block, &tile, input);
            places.set(&conv.window, &grid, block, &tile);
            for kernel in kernels.iter().flatten() {
                convolution.multiply(kernel, &places, lines.words(), output);
            }
        }
    }
}

/// What is the same for all blocks.
struct Convolution<'a> {
    conv: &'a DepthwiseConv2d,
    grid: Grid,
    weights: &'a [[u8; 2]],
    table: ChannelTable<'a>,
    finish: Finish,
}

impl Convolution<'_> {
    /// One vector of channels of all positions of a tile.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply(
        &self,
        kernel: &Kernel,
        places: &Places,
        words: &[MaybeUninit<u32>],
        output: &mut [u8],
    ) {
        assert!(words.len() >= places.furthest + kernel.furthest + 16);
        match kernel.steps {
            // The weights of a 3x3 window stay in registers.
            3 => self.multiply_steps::<3>(kernel, places, words, output),
            _ => self.multiply_steps::<MAX_STEPS>(kernel, places, words, output),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply_steps<const STEPS: usize>(
        &self,
        kernel: &Kernel,
        places: &Places,
        words: &[MaybeUninit<u32>],
        output: &mut [u8],
    ) {
        let weights = kernel.weights;
        let offsets = kernel.offsets;
        let output = &mut output[kernel.first..];
        let whole = places.channels >= kernel.first + 16;
        let count = places.count;
        for places in places.list[..count.next_multiple_of(AT_ONCE)]
            .as_chunks::<AT_ONCE>()
            .0
        {
            let mut sums = [kernel.start; AT_ONCE];
            for step in 0..STEPS.min(kernel.steps) {
                for (sum, place) in sums.iter_mut().zip(places) {
                    // SAFETY: the furthest place and step leave room for a vector, which is of a
                    // column of the tile and so has been written.
                    let taps = unsafe {
                        let at = place.line as usize + offsets[step];
                        _mm512_loadu_si512(words.as_ptr().add(at).cast())
                    };
                    *sum = _mm512_dpbusd_epi32(*sum, taps, weights[step]);
                }
            }
            let quarters = quarters(kernel.factors.bytes(&self.finish, sums));
            for (bytes, place) in quarters.into_iter().zip(places) {
                let start = place.output as usize;
                let size = if whole {
                    16
                } else {
                    place.channels as usize - kernel.first
                };
                store_16(&mut output[start..][..size.min(16)], bytes);
            }
        }
    }
}

/// Where the positions of a tile are.
struct Places {
    /// What is behind the last position repeats it.
    list: [Place; MAX_POSITIONS + AT_ONCE],
    count: usize,
    /// The largest `line`.
    furthest: usize,
    /// The smallest `channels`.
    channels: usize,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// Where the first tap of the window is in the lines.
    line: u32,
    /// Where the first channel of the block is in the output.
    output: u32,
    /// Channels from there on that belong to the block and to the row.
    channels: u32,
}

impl Places {
    fn new() -> Self {
        Self {
            list: [Place::default(); MAX_POSITIONS + AT_ONCE],
            count: 0,
            furthest: 0,
            channels: 0,
        }
    }

    fn set(&mut self, window: &Window, grid: &Grid, block: Block, tile: &Tile) {
        let across = tile.x.len();
        let pixel_step = window.stride_w * grid.repeat * grid.width;
        let mut places = self.list.iter_mut();
        for (row, y) in tile.y.clone().enumerate() {
            let line = row * grid.groups * grid.pitch;
            let output = (tile.batch * window.out_h + y) * window.out_w * window.out_c;
            let row_end = output + window.out_w * window.out_c;
            for (index, place) in places.by_ref().take(across).enumerate() {
                let x = (tile.x.start + index) * grid.repeat;
                let output = output + x * window.out_c + block.channel;
                let channels = (block.channels * grid.repeat).min(row_end - output);
                *place = Place {
                    line: (line + index * pixel_step) as u32,
                    output: output as u32,
                    channels: channels as u32,
                };
                self.channels = channels;
            }
        }
        self.count = tile.y.len() * across;
        let last = self.list[self.count - 1];
        self.list[self.count..][..AT_ONCE].fill(last);
        self.furthest = last.line as usize;
    }
}

/// A vector of channels: what its sums begin with, what is added to them, how they are rescaled.
struct Kernel {
    /// The first channel within the block.
    first: usize,
    start: __m512i,
    /// Four weights of a kernel column each.
    weights: [__m512i; MAX_STEPS],
    /// Where their taps are, from the first one on.
    offsets: [usize; MAX_STEPS],
    steps: usize,
    /// The largest offset.
    furthest: usize,
    factors: Factors,
}

impl Kernel {
    /// The channels from `first` on of a block.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(convolution: &Convolution<'_>, block: Block, first: usize) -> Self {
        let Convolution { conv, grid, .. } = convolution;
        let lanes = Lanes::new(convolution, block.channel + first);
        let mut kernel = Self {
            first,
            start: lanes.words(convolution.table.bias),
            weights: [_mm512_setzero_si512(); MAX_STEPS],
            offsets: [0; MAX_STEPS],
            steps: 0,
            furthest: 0,
            factors: lanes.factors(convolution),
        };
        let mut sums = _mm512_setzero_si512();
        for group in 0..grid.groups {
            for kernel_x in 0..conv.window.kernel_w {
                let column = kernel_x * conv.window.dilation_w * grid.width;
                let offset = group * grid.pitch + column + first;
                let taps = lanes.taps(convolution, group, kernel_x);
                for tap in taps {
                    sums = _mm512_add_epi32(sums, tap);
                }
                let (weights, rest) = split(taps);
                kernel.push(offset, weights);
                if _mm512_test_epi32_mask(rest, rest) != 0 {
                    kernel.push(offset, rest);
                }
            }
        }
        // The zero point of the input is the same in every tap, so it goes into the bias.
        let zero_point = _mm512_set1_epi32(conv.input_zero_point - conv.byte.min());
        kernel.start = _mm512_sub_epi32(kernel.start, _mm512_mullo_epi32(sums, zero_point));
        kernel
    }

    #[inline]
    fn push(&mut self, offset: usize, weights: __m512i) {
        self.weights[self.steps] = weights;
        self.offsets[self.steps] = offset;
        self.steps += 1;
        self.furthest = self.furthest.max(offset);
    }
}

/// Four weights of each channel as bytes, in two parts whose sum they are.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn split(taps: [__m512i; ROWS]) -> (__m512i, __m512i) {
    let (low, high) = (_mm512_set1_epi32(-128), _mm512_set1_epi32(127));
    let byte = _mm512_set1_epi32(0xff);
    let (mut first, mut second) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for tap in taps.into_iter().rev() {
        let near = _mm512_min_epi32(_mm512_max_epi32(tap, low), high);
        let rest = _mm512_sub_epi32(tap, near);
        first = _mm512_or_si512(_mm512_slli_epi32::<8>(first), _mm512_and_si512(near, byte));
        second = _mm512_or_si512(_mm512_slli_epi32::<8>(second), _mm512_and_si512(rest, byte));
    }
    (first, second)
}

/// The channels of a vector's lanes: one after the other, or a few again and again.
struct Lanes {
    channel: usize,
    /// Lanes with a channel.
    count: usize,
    order: __m512i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(convolution: &Convolution<'_>, channel: usize) -> Self {
        let (channels, repeat) = (convolution.conv.window.out_c, convolution.grid.repeat);
        let period = if repeat > 1 { channels } else { 16 };
        let ascending = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        // A period is a power of two.
        let order = _mm512_and_si512(ascending, _mm512_set1_epi32(period as i32 - 1));
        Self {
            channel,
            count: ((channels - channel) * repeat).min(16),
            order,
        }
    }

    /// Words of the channel table.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn words(&self, words: &[[u8; 4]]) -> __m512i {
        let words = load_words(words.get(self.channel..).unwrap_or_default());
        _mm512_permutexvar_epi32(self.order, words)
    }

    /// The weights of a kernel column, zeros behind its end.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn taps(
        &self,
        convolution: &Convolution<'_>,
        group: usize,
        kernel_x: usize,
    ) -> [__m512i; ROWS] {
        let window = &convolution.conv.window;
        let padded = convolution.table.bias.len();
        let mut taps = [_mm512_setzero_si512(); ROWS];
        for (tap, kernel_y) in taps.iter_mut().zip(group * ROWS..window.kernel_h) {
            let at = (kernel_y * window.kernel_w + kernel_x) * padded + self.channel;
            let weights = load_32(convolution.weights[at..][..16].as_flattened());
            *tap = _mm512_permutexvar_epi32(self.order, _mm512_cvtepi16_epi32(weights));
        }
        taps
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn factors(&self, convolution: &Convolution<'_>) -> Factors {
        let (conv, table) = (convolution.conv, &convolution.table);
        let multiplier = self.words(table.multiplier);
        if conv.ties == Ties::Even {
            return Factors::Even(Even::from_words(multiplier));
        }
        let factors = Rescale::from_words(multiplier, self.words(table.shift));
        let folded = Folded::new(&factors, conv.byte, conv.output_zero_point);
        // Where negative results are clamped to the zero point, it doesn't matter how they are rounded.
        match (
            factors.can_fold(self.count),
            conv.clamp.min >= conv.output_zero_point,
        ) {
            (true, true) => Factors::Up(folded),
            (true, false) => Factors::Away(folded),
            _ => Factors::Any(factors),
        }
    }
}

/// How sums are rescaled.
enum Factors {
    /// The usual case, with ties up.
    Up(Folded),
    /// The usual case, with ties away from zero.
    Away(Folded),
    /// Anything in fixed point.
    Any(Rescale),
    /// In f32.
    Even(Even),
}

impl Factors {
    /// The bytes of sixteen channels of four positions.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn bytes(&self, finish: &Finish, mut sums: [__m512i; AT_ONCE]) -> __m512i {
        match self {
            Self::Up(folded) => {
                for sum in &mut sums {
                    *sum = Rounds::<false>::new().apply(folded, *sum);
                }
            }
            Self::Away(folded) => {
                for sum in &mut sums {
                    *sum = Rounds::<true>::new().apply(folded, *sum);
                }
            }
            Self::Any(factors) => {
                for sum in &mut sums {
                    *sum = factors.apply(*sum);
                }
                return finish.bytes_4x16(sums);
            }
            Self::Even(factors) => {
                for sum in &mut sums {
                    *sum = factors.apply(*sum);
                }
                return finish.bytes_4x16(sums);
            }
        }
        finish.folded_4x16(sums)
    }
}
