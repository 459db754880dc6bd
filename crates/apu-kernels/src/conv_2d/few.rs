//! A 3x3 window over few input channels, as first layers have (AVX512-VNNI): all weights of up to two blocks of
//! channels stay in registers, and so do the sums until they are bytes.

use super::{
    Conv2d,
    extras::{Extras, extras},
    outliers::Outliers,
    runs::{Run, each_run},
};
use crate::{
    channel_table::{ChannelTable, LANES, Words},
    x86::{
        avx512::{Finish, load, load_words, store_64, sums_of_pairs},
        ramp::{BENT, FINE, Factors, Ramp, STRAIGHT, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Rows of the window.
const ROWS: usize = 3;
/// Groups of four taps in one of them.
const GROUPS: usize = 3;
/// Most blocks of channels.
const BLOCKS: usize = 2;
/// Channels that fill half a block. Two windows share a vector of sums then, and each vector of weights
/// holds two groups of taps.
const PAIRED: usize = LANES / 2;
/// Vectors of sums whose bytes fill a vector.
const SUMS: usize = 4;

/// A convolution that this is for.
pub(super) struct Few<'a> {
    conv: &'a Conv2d,
    weights: &'a [[u8; 64]],
    bias: [__m512i; BLOCKS],
    factors: Factors<BLOCKS>,
    finish: Finish,
    extras: Extras,
}

impl<'a> Few<'a> {
    /// None if the convolution is of another kind.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(
        conv: &'a Conv2d,
        weights: &'a [u8],
        table: &ChannelTable<'_>,
        outliers: Outliers<'_>,
    ) -> Option<Self> {
        let channels = conv.window.out_c;
        let kind = [PAIRED, LANES, BLOCKS * LANES].contains(&channels)
            && (conv.window.kernel_h, conv.pitch) == (ROWS, 4 * GROUPS)
            && conv.weight_zero_point == 0;
        if !kind || table.ramps.is_none() {
            return None;
        }
        // A channel's lanes in the products, and the channels of the lanes of the sums.
        let lanes = if channels == PAIRED { 2 } else { 1 };
        let order = match channels {
            PAIRED => _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7),
            _ => _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        };
        let words = |words: Words<'_>, block: usize| {
            let words = load_words(words.get(block * LANES..).unwrap_or_default());
            _mm512_permutexvar_epi32(order, words)
        };
        Some(Self {
            conv,
            weights: weights.as_chunks().0,
            bias: [words(table.bias, 0), words(table.bias, 1)],
            factors: Factors::new(table, |array| [words(array, 0), words(array, 1)]),
            finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
            extras: extras(outliers, 0..channels, lanes)?,
        })
    }

    /// Computes the output.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn run(&self, input: &[u8], scratch: &mut [u8], output: &mut [u8]) {
        each_run(self.conv, input, scratch, |run| match &self.factors {
            Factors::Straight(ramps) => self.windows::<STRAIGHT>(ramps, run, output),
            Factors::Bent(ramps) => self.windows::<BENT>(ramps, run, output),
            Factors::Fine(ramps) => self.windows::<FINE>(ramps, run, output),
            Factors::Exact(_) => unreachable!("there are ramps"),
        });
    }

    /// A run.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn windows<const KIND: u32>(&self, ramps: &[Ramp; BLOCKS], run: &Run<'_>, output: &mut [u8]) {
        match self.conv.window.out_c {
            PAIRED => self.pairs::<KIND>(ramps, run, output),
            LANES => self.blocks::<1, { SUMS }, KIND>(ramps, run, output),
            _ => self.blocks::<BLOCKS, { SUMS / BLOCKS }, KIND>(ramps, run, output),
        }
    }

    /// A run, `R` windows times `B` blocks at once.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn blocks<const B: usize, const R: usize, const KIND: u32>(
        &self,
        ramps: &[Ramp; BLOCKS],
        run: &Run<'_>,
        output: &mut [u8],
    ) {
        let mut weights = [[[_mm512_setzero_si512(); B]; GROUPS]; ROWS];
        for (kernel_y, weights) in weights.iter_mut().enumerate() {
            for (group, weights) in weights.iter_mut().enumerate() {
                for (block, weights) in weights.iter_mut().enumerate() {
                    let index = (block * ROWS + kernel_y) * GROUPS + group;
                    *weights = load(&self.weights[index]);
                }
            }
        }
        let windows = Windows::<R>::new(self.conv, run);
        for step in windows.steps() {
            let mut sums = [[_mm512_setzero_si512(); B]; R];
            for sums in &mut sums {
                for (sum, bias) in sums.iter_mut().zip(self.bias) {
                    *sum = bias;
                }
            }
            for (kernel_y, weights) in weights.iter().enumerate() {
                for (group, weights) in weights.iter().enumerate() {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let taps = windows.taps(step, row, kernel_y, 4 * group);
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = _mm512_dpbusd_epi32(*sum, taps, *weights);
                        }
                    }
                }
            }
            for extra in self.extras.iter().map_while(Option::as_ref) {
                let weights = extra.weights_of_blocks::<B>();
                for (row, sums) in sums.iter_mut().enumerate() {
                    let taps = windows.taps(step, row, extra.kernel_y, extra.offset);
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
                    }
                }
            }
            let mut flat = [_mm512_setzero_si512(); SUMS];
            for (flat, &sum) in flat.iter_mut().zip(sums.as_flattened()) {
                *flat = sum;
            }
            let each = core::array::from_fn(|index| &ramps[index % B]);
            let bytes = packed_4x16::<KIND>(&self.finish, each, flat);
            let bytes = self.finish.in_rows(bytes);
            store_64(windows.output(step, output), bytes);
        }
    }

    /// A run of [`PAIRED`] channels.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn pairs<const KIND: u32>(&self, ramps: &[Ramp; BLOCKS], run: &Run<'_>, output: &mut [u8]) {
        const R: usize = 2 * SUMS;
        let zero = _mm512_setzero_si512();
        // Each channel's first group, and its second one.
        let order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let mut weights = [[zero; 2]; ROWS];
        for (weights, groups) in weights.iter_mut().zip(self.weights.as_chunks::<GROUPS>().0) {
            let [a, b, c] = groups;
            *weights = [
                _mm512_permutex2var_epi32(load(a), order, load(b)),
                _mm512_permutex2var_epi32(load(c), order, zero),
            ];
        }
        // Of each sixteen bytes, the first window's and then the second one's.
        let windows_apart = _mm512_broadcast_i32x4(_mm_setr_epi8(
            0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
        ));
        let windows = Windows::<R>::new(self.conv, run);
        for step in windows.steps() {
            let mut sums = [zero; R];
            for (kernel_y, [two, one]) in weights.iter().enumerate() {
                for (row, sum) in sums.iter_mut().enumerate() {
                    let taps = windows.two_taps(step, row, kernel_y, 0);
                    *sum = _mm512_dpbusd_epi32(*sum, taps, *two);
                    let taps = windows.taps(step, row, kernel_y, 8);
                    *sum = _mm512_dpbusd_epi32(*sum, taps, *one);
                }
            }
            for extra in self.extras.iter().map_while(Option::as_ref) {
                let weights = extra.weights();
                for (row, sum) in sums.iter_mut().enumerate() {
                    let taps = windows.taps(step, row, extra.kernel_y, extra.offset);
                    *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
                }
            }
            let mut both = [zero; SUMS];
            for (both, &[a, b]) in both.iter_mut().zip(sums.as_chunks().0) {
                *both = _mm512_add_epi32(self.bias[0], sums_of_pairs(a, b));
            }
            let bytes = packed_4x16::<KIND>(&self.finish, [&ramps[0]; SUMS], both);
            let bytes = self.finish.in_rows(bytes);
            let bytes = _mm512_shuffle_epi8(bytes, windows_apart);
            store_64(windows.output(step, output), bytes);
        }
    }
}

/// The windows of a run, some at once.
///
/// # Invariants
///
/// From the start of each [`Step`] on, each row has `R` windows of `4 * GROUPS` bytes, `apart` bytes from one
/// to the next.
struct Windows<'a, const R: usize> {
    rows: [&'a [u8]; ROWS],
    /// Bytes from one window to the next of the run, and of a step.
    stride: usize,
    apart: usize,
    count: usize,
    /// Windows of a step.
    step: usize,
    /// The run's first byte in the output, and the channels.
    start: usize,
    channels: usize,
}

impl<'a, const R: usize> Windows<'a, R> {
    /// `R` of them at once, or one that many times where the run has too few.
    #[inline(always)]
    fn new(conv: &Conv2d, run: &Run<'a>) -> Self {
        let (mut rows, mut stride) = ([&[][..]; ROWS], 0);
        for (kernel_y, row) in rows.iter_mut().enumerate() {
            (*row, stride) = run.kernel_row(conv, kernel_y);
        }
        let count = run.pixels.len();
        let (step, apart) = match count < R {
            true => (1, 0),
            false => (R, stride),
        };
        let channels = conv.window.out_c;
        for row in rows {
            assert!(count > 0 && row.len() >= (count - 1) * stride + 4 * GROUPS);
        }
        Self {
            rows,
            stride,
            apart,
            count,
            step,
            start: run.pixels.start * channels,
            channels,
        }
    }

    /// The first window of each step. The last one begins earlier if it would reach too far.
    #[inline(always)]
    fn steps(&self) -> impl Iterator<Item = Step> + use<R> {
        let (last, stride) = (self.count - self.step, self.stride);
        (0..self.count).step_by(self.step).map(move |first| {
            let window = first.min(last);
            Step {
                window,
                at: window * stride,
            }
        })
    }

    /// Four taps of a window of a step, again and again.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn taps(&self, step: Step, window: usize, kernel_y: usize, offset: usize) -> __m512i {
        assert!(window < R && offset <= 4 * GROUPS - 4);
        // SAFETY: by the invariants the window has these bytes.
        let taps = unsafe {
            let at = step.at + window * self.apart + offset;
            self.rows[kernel_y]
                .as_ptr()
                .add(at)
                .cast::<i32>()
                .read_unaligned()
        };
        _mm512_set1_epi32(taps)
    }

    /// Eight taps of a window of a step, again and again.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn two_taps(&self, step: Step, window: usize, kernel_y: usize, offset: usize) -> __m512i {
        assert!(window < R && offset <= 4 * GROUPS - 8);
        // SAFETY: by the invariants the window has these bytes.
        let taps = unsafe {
            let at = step.at + window * self.apart + offset;
            self.rows[kernel_y]
                .as_ptr()
                .add(at)
                .cast::<i64>()
                .read_unaligned()
        };
        _mm512_set1_epi64(taps)
    }

    /// Where a step's bytes go.
    #[inline(always)]
    fn output<'o>(&self, step: Step, output: &'o mut [u8]) -> &'o mut [u8] {
        let start = self.start + step.window * self.channels;
        &mut output[start..][..self.step * self.channels]
    }
}

/// Some windows of a run.
#[derive(Clone, Copy)]
struct Step {
    /// The first.
    window: usize,
    /// Where it begins in each row.
    at: usize,
}
