//! The depthwise convolution for sixteen channels of four pixels at once, four taps of a kernel column
//! an instruction (AVX512-VNNI), where windows don't [slide](super::slide).

use super::{
    DepthwiseConv2d,
    lines::{Block, Grid, Lines, ROWS},
    places::{AT_ONCE, Places},
};
use crate::{
    channel_table::ChannelTable,
    x86::{
        avx512::{Finish, load_32, load_64, load_words, quarters, store_16},
        ramp::{BENT, FINE, Factors, STRAIGHT, packed_4x16},
    },
};
use core::{arch::x86_64::*, mem::MaybeUninit};

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
    conv.grid.is_some()
        && conv.is_rounded_by_vectors()
        && window.in_c == window.out_c
        && steps <= MAX_STEPS
        && are_wide(weights).is_some()
}

/// Whether some weights aren't signed bytes; none if some aren't sums of two of those.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn are_wide(weights: &[u8]) -> Option<bool> {
    let (mut least, mut most) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for weights in weights.chunks(64) {
        let weights = load_64(weights, _mm512_setzero_si512());
        least = _mm512_min_epi16(least, weights);
        most = _mm512_max_epi16(most, weights);
    }
    let are_within = |min, max| {
        let below = _mm512_cmplt_epi16_mask(least, _mm512_set1_epi16(min));
        let above = _mm512_cmpgt_epi16_mask(most, _mm512_set1_epi16(max));
        below | above == 0
    };
    are_within(-256, 254).then(|| !are_within(i8::MIN.into(), i8::MAX.into()))
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
    let Some(grid) = conv.grid else {
        unreachable!("not taken");
    };
    let convolution = Convolution {
        conv,
        grid,
        weights: weights.as_chunks().0,
        is_wide: are_wide(weights) != Some(false),
        table,
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    if conv.window.kernel_w * grid.groups <= 3 {
        convolution.run::<6>(input, output);
    } else {
        convolution.run::<MAX_STEPS>(input, output);
    }
}

/// What is the same for all blocks.
struct Convolution<'a> {
    conv: &'a DepthwiseConv2d,
    grid: Grid,
    /// Sixteen channels of a tap each.
    weights: &'a [[u8; 32]],
    /// Whether some aren't signed bytes.
    is_wide: bool,
    table: ChannelTable<'a>,
    finish: Finish,
}

impl Convolution<'_> {
    /// Everything, with at most `N` steps.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn run<const N: usize>(&self, input: &[u8], output: &mut [u8]) {
        let (conv, grid) = (self.conv, &self.grid);
        let mut lines = Lines::new();
        let mut places = Places::new();
        for block in grid.blocks() {
            let mut room = [const { MaybeUninit::uninit() }; MAX_VECTORS];
            let mut kernels = [None; MAX_VECTORS];
            let vectors = room.iter_mut().zip((0..block.channels).step_by(16));
            for (kernel, (room, first)) in kernels.iter_mut().zip(vectors) {
                *kernel = Some(self.kernel::<N>(block, first, room));
            }
            for tile in grid.tiles() {
                lines.fill(conv, grid, block, &tile, input);
                places.set(&conv.window, grid, block, &tile);
                for kernel in kernels.into_iter().flatten() {
                    self.multiply((kernel, &places, lines.words()), output);
                }
            }
        }
    }

    /// The channels from `first` on of a block, in `room`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn kernel<'k, const N: usize>(
        &self,
        block: Block,
        first: usize,
        room: &'k mut MaybeUninit<Kernel<N>>,
    ) -> &'k Kernel<N> {
        let lanes = Lanes::new(self, block.channel + first);
        let kernel = room.write(Kernel {
            first,
            start: lanes.words(self.table.bias),
            weights: [_mm512_setzero_si512(); N],
            offsets: [0; N],
            steps: 0,
            furthest: 0,
            factors: lanes.factors(self),
        });
        let (conv, grid) = (self.conv, &self.grid);
        let mut sums = _mm512_setzero_si512();
        for group in 0..grid.groups {
            for kernel_x in 0..conv.window.kernel_w {
                let column = kernel_x * conv.window.dilation_w * grid.width;
                let offset = group * grid.pitch + column;
                let taps = lanes.taps(self, group, kernel_x);
                let (near, rest) = if self.is_wide {
                    split(taps)
                } else {
                    (taps, None)
                };
                for part in [Some(near), rest].into_iter().flatten() {
                    let weights = _mm512_permutexvar_epi32(lanes.packed_order, interleaved(part));
                    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), weights);
                    kernel.push(offset, weights);
                }
            }
        }
        // The zero point of the input is the same in every tap, so it goes into the bias.
        let zero_point = _mm512_set1_epi32(self.conv.input_zero_point - self.conv.byte.min());
        kernel.start = _mm512_sub_epi32(kernel.start, _mm512_mullo_epi32(sums, zero_point));
        kernel
    }

    /// One vector of channels of all positions of a tile.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply<const N: usize>(&self, place: Place<'_, N>, output: &mut [u8]) {
        let finish = self.finish;
        match place.0.factors {
            Factors::Straight([ramp]) => self.multiply_by(place, output, move |sums| {
                finish.in_rows(packed_4x16::<STRAIGHT>(&finish, [&ramp; AT_ONCE], sums))
            }),
            Factors::Bent([ramp]) => self.multiply_by(place, output, move |sums| {
                finish.in_rows(packed_4x16::<BENT>(&finish, [&ramp; AT_ONCE], sums))
            }),
            Factors::Fine([ramp]) => self.multiply_by(place, output, move |sums| {
                finish.in_rows(packed_4x16::<FINE>(&finish, [&ramp; AT_ONCE], sums))
            }),
            Factors::Exact([factors]) => self.multiply_by(place, output, move |mut sums| {
                for sum in &mut sums {
                    *sum = factors.apply(*sum);
                }
                finish.bytes_4x16(sums)
            }),
        }
    }

    /// As [`Self::multiply`], with what makes bytes of sums.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply_by<const N: usize>(
        &self,
        (kernel, places, words): Place<'_, N>,
        output: &mut [u8],
        bytes: impl Fn([__m512i; AT_ONCE]) -> __m512i,
    ) {
        let words = &words[kernel.first..];
        assert!(words.len() >= places.furthest + kernel.furthest + 16);
        let place = (kernel, places, words);
        // The weights of a 3x3 window stay in registers.
        match (kernel.steps, self.grid.rows) {
            (3, 2) => multiply_steps::<N, 3, 2>(place, output, bytes),
            (3, _) => multiply_steps::<N, 3, 1>(place, output, bytes),
            (_, 2) => multiply_steps::<N, N, 2>(place, output, bytes),
            _ => multiply_steps::<N, N, 1>(place, output, bytes),
        }
    }
}

/// A kernel, and where its taps are.
type Place<'a, const N: usize> = (&'a Kernel<N>, &'a Places, &'a [MaybeUninit<u32>]);

/// `STEPS` or fewer steps of a kernel, for `ROWS` rows of the output at once.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn multiply_steps<const N: usize, const STEPS: usize, const ROWS: usize>(
    (kernel, places, words): Place<'_, N>,
    output: &mut [u8],
    bytes: impl Fn([__m512i; AT_ONCE]) -> __m512i,
) {
    let (start, weights, offsets) = (kernel.start, kernel.weights, kernel.offsets);
    let output = &mut output[places.output + kernel.first..];
    let whole = places.channels >= kernel.first + 16;
    let count = places.count.next_multiple_of(AT_ONCE);
    assert!(!whole || output.len() >= places.last + 16);
    for places in places.list[..count].as_chunks::<AT_ONCE>().0 {
        let mut sums = [[start; AT_ONCE]; ROWS];
        for step in 0..STEPS.min(kernel.steps) {
            for (index, place) in places.iter().enumerate() {
                // SAFETY: the furthest place and step leave room for a vector, which is of a
                // column of the tile and so has been written.
                let taps = unsafe {
                    let at = place.line as usize + offsets[step];
                    _mm512_loadu_si512(words.as_ptr().add(at).cast())
                };
                // The rows of the window below are the second, the third and the fourth.
                let mut weights = weights[step];
                for sums in &mut sums {
                    sums[index] = _mm512_dpbusd_epi32(sums[index], taps, weights);
                    weights = _mm512_slli_epi32::<8>(weights);
                }
            }
        }
        let mut store = |row: usize, sums| {
            let quarters = quarters(bytes(sums));
            for (bytes, place) in quarters.into_iter().zip(places) {
                let start = place.output as usize + row * place.below as usize;
                if whole {
                    // SAFETY: the last of all places has room for a vector.
                    unsafe { _mm_storeu_si128(output.as_mut_ptr().add(start).cast(), bytes) };
                } else {
                    let size = place.channels as usize - kernel.first;
                    store_16(&mut output[start..][..size.min(16)], bytes);
                }
            }
        };
        // The first row comes last: where there is no second one, that is stored in its place.
        if ROWS > 1 {
            store(1, sums[ROWS - 1]);
        }
        store(0, sums[0]);
    }
}

/// A vector of channels: what its sums begin with, what is added to them, how they are rescaled.
struct Kernel<const N: usize> {
    /// The first channel within the block.
    first: usize,
    start: __m512i,
    /// Four weights of a kernel column each.
    weights: [__m512i; N],
    /// Where their taps are, from the first one on.
    offsets: [usize; N],
    steps: usize,
    /// The largest offset.
    furthest: usize,
    factors: Factors<1>,
}

impl<const N: usize> Kernel<N> {
    #[inline]
    fn push(&mut self, offset: usize, weights: __m512i) {
        self.weights[self.steps] = weights;
        self.offsets[self.steps] = offset;
        self.steps += 1;
        self.furthest = self.furthest.max(offset);
    }
}

/// The channels of a vector's lanes: one after the other, or a few again and again.
struct Lanes {
    channel: usize,
    order: __m512i,
    /// The same of channels whose second and third quarter have changed places.
    packed_order: __m512i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(convolution: &Convolution<'_>, channel: usize) -> Self {
        let (channels, repeat) = (convolution.conv.window.out_c, convolution.grid.repeat);
        let period = if repeat > 1 { channels } else { 16 };
        let ascending = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let packed = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15);
        // A period is a power of two.
        let order = _mm512_and_si512(ascending, _mm512_set1_epi32(period as i32 - 1));
        Self {
            channel,
            order,
            packed_order: _mm512_permutexvar_epi32(order, packed),
        }
    }

    /// Words of the channel table.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn words(&self, words: &[[u8; 4]]) -> __m512i {
        let words = load_words(words.get(self.channel..).unwrap_or_default());
        _mm512_permutexvar_epi32(self.order, words)
    }

    /// The weights of four rows of a kernel column, zeros behind its end.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn taps(
        &self,
        convolution: &Convolution<'_>,
        group: usize,
        kernel_x: usize,
    ) -> [__m256i; ROWS] {
        let window = &convolution.conv.window;
        let blocks = convolution.table.bias.len() / 16;
        let mut taps = [_mm256_setzero_si256(); ROWS];
        for (tap, kernel_y) in taps.iter_mut().zip(group * ROWS..window.kernel_h) {
            let at = (kernel_y * window.kernel_w + kernel_x) * blocks + self.channel / 16;
            *tap = load_32(&convolution.weights[at]);
        }
        taps
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn factors(&self, convolution: &Convolution<'_>) -> Factors<1> {
        Factors::new(&convolution.table, |words| [self.words(words)])
    }
}

/// The nearest signed bytes of weights, and what is missing then, if anything is.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn split(taps: [__m256i; ROWS]) -> ([__m256i; ROWS], Option<[__m256i; ROWS]>) {
    let (low, high) = (_mm256_set1_epi16(-128), _mm256_set1_epi16(127));
    let (mut near, mut rest) = (taps, taps);
    let mut any = _mm256_setzero_si256();
    for (near, rest) in near.iter_mut().zip(&mut rest) {
        *near = _mm256_min_epi16(_mm256_max_epi16(*near, low), high);
        *rest = _mm256_sub_epi16(*rest, *near);
        any = _mm256_or_si256(any, *rest);
    }
    (near, (_mm256_testz_si256(any, any) == 0).then_some(rest))
}

/// Four signed bytes of each of sixteen channels, from words, side by side. The second and the third quarter
/// of the channels change places.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn interleaved([a, b, c, d]: [__m256i; ROWS]) -> __m512i {
    let low = _mm256_set1_epi16(0xff);
    let pair = |a, b| _mm256_or_si256(_mm256_and_si256(a, low), _mm256_slli_epi16::<8>(b));
    let (ab, cd) = (pair(a, b), pair(c, d));
    let even = _mm512_castsi256_si512(_mm256_unpacklo_epi16(ab, cd));
    _mm512_inserti64x4::<1>(even, _mm256_unpackhi_epi16(ab, cd))
}
