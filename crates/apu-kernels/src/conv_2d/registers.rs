//! Tiles whose sums stay in registers until they are bytes (AVX512-VNNI). Where a column has few weights, what follows
//! the multiplications takes longer than those, and sums that go through memory longer still.

use super::{
    Conv2d,
    avx512::{Column, MAX_BLOCKS, Product, load_4},
    extras::Extras,
    runs::Run,
    store::{Targets, again},
};
use crate::{
    channel_table::LANES,
    x86::{
        avx512::{load, store_64},
        ramp::{Ramp, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Most vectors of weights of a column for which that is faster: of a single block, for which taps are
/// loaded two groups at once otherwise, and of more.
const FEW_WEIGHTS: [usize; 2] = [16, 128];

/// Sums of a tile whose windows slide over their taps.
const SLIDING_SUMS: usize = 16;
/// Columns of windows that do.
const SLIDING_COLUMNS: usize = 3;

/// How many windows of a run are multiplied at once.
#[derive(Clone, Copy)]
pub(super) enum Tile {
    /// As many as there are [`SLIDING_SUMS`] for: they are one pixel apart, and so share most of their taps, each
    /// of which is loaded once.
    Sliding,
    Of(usize),
}

impl Tile {
    /// None if run and column are not of a size for tiles in registers.
    #[inline(always)]
    pub fn new<const B: usize>(
        conv: &Conv2d,
        run: &Run<'_>,
        column: &Column<'_, B>,
    ) -> Option<Self> {
        let count = run.pixels.len();
        // Windows of the last tile that are done already cost as much as others.
        let fits = |rows: usize| count >= rows && 4 * count.next_multiple_of(rows) <= 5 * count;
        let rows = match count {
            5 if B > 2 => 5,
            _ if B > 2 => 4,
            _ => 8,
        };
        if run.slides(conv, SLIDING_COLUMNS) && fits(SLIDING_SUMS / B) {
            Some(Self::Sliding)
        } else if fits(rows) && column.weights.len() <= FEW_WEIGHTS[usize::from(B > 1)] {
            Some(Self::Of(rows))
        } else {
            None
        }
    }
}

impl<const FLIP: bool> Product<'_, FLIP> {
    /// A run times a column, tile after tile.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub(super) fn tiles<const B: usize, const KIND: u32>(
        &self,
        run: &Run<'_>,
        tile: Tile,
        column: &Column<'_, B>,
        (ramps, extras): (&[Ramp; B], &Extras),
        output: &mut [u8],
    ) {
        let factors = (ramps, extras);
        match tile {
            Tile::Sliding => {
                self.in_registers::<SLIDING_SUMS, B, KIND, true>(run, column, factors, output);
            }
            Tile::Of(8) => self.in_registers::<8, B, KIND, false>(run, column, factors, output),
            Tile::Of(5) => self.in_registers::<5, B, KIND, false>(run, column, factors, output),
            Tile::Of(_) => self.in_registers::<4, B, KIND, false>(run, column, factors, output),
        }
    }

    /// As [`Self::tiles`], `R` windows at once or, if they slide, windows with `R` sums.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn in_registers<const R: usize, const B: usize, const KIND: u32, const SLIDES: bool>(
        &self,
        run: &Run<'_>,
        column: &Column<'_, B>,
        (ramps, extras): (&[Ramp; B], &Extras),
        output: &mut [u8],
    ) {
        let rows = const { if SLIDES { R / B } else { R } };
        let finish = self.finish;
        let zero = _mm512_setzero_si512();
        let (count, groups) = (run.pixels.len(), self.conv.pitch / 4);
        assert!(count >= rows && column.weights.len() >= B * self.depth);
        let channels = self.conv.window.out_c;
        let width = (B * LANES).min(channels - column.store.channel);
        // Rows whose bytes fill a vector.
        let most = const { MAX_BLOCKS / B };
        let is_dense = most == 1 || (width == B * LANES && width == channels);
        for first in (0..count).step_by(rows) {
            let first = first.min(count - rows);
            let mut sums = [[zero; B]; R];
            sums.fill(column.bias);
            for kernel_y in 0..self.conv.window.kernel_h {
                let (bytes, stride) = run.kernel_row(self.conv, kernel_y);
                let bytes = &bytes[first * stride..];
                let start = kernel_y * groups;
                if SLIDES {
                    let groups = stride / 4;
                    assert!(SLIDING_COLUMNS * groups == self.conv.pitch / 4);
                    assert!(bytes.len() >= (rows + SLIDING_COLUMNS - 1) * stride);
                    for group in 0..groups {
                        // SAFETY: a kernel row has three columns of `groups` groups each, and ends within `depth`.
                        let [left_weights, middle_weights, right_weights] = unsafe {
                            [
                                self.weights(column, start + group),
                                self.weights(column, start + groups + group),
                                self.weights(column, start + 2 * groups + group),
                            ]
                        };
                        // SAFETY: `rows` pixels and two more, `stride` apart, have `groups` groups of four bytes each.
                        let taps = |pixel| unsafe { load_4(bytes, pixel * stride + 4 * group) };
                        let (mut left, mut middle) = (self.taps(taps(0)), self.taps(taps(1)));
                        for (row, sums) in sums.iter_mut().enumerate().take(rows) {
                            let right = self.taps(taps(row + 2));
                            self.add_products(sums, left, left_weights);
                            self.add_products(sums, middle, middle_weights);
                            self.add_products(sums, right, right_weights);
                            (left, middle) = (middle, right);
                        }
                    }
                    continue;
                }
                assert!(bytes.len() >= (rows - 1) * stride + 4 * groups);
                for group in 0..groups {
                    let mut weights = [zero; B];
                    for (block, weights) in weights.iter_mut().enumerate() {
                        let index = block * self.depth + start + group;
                        // SAFETY: there are `B` times `depth` weights, and a kernel row's groups end within `depth`.
                        *weights = load(unsafe { column.weights.get_unchecked(index) });
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the last of `R` rows, `stride` apart, has `groups` groups of four bytes.
                        let taps = unsafe { load_4(bytes, row * stride + 4 * group) };
                        self.add_products(sums, self.taps(taps), weights);
                    }
                }
            }
            for extra in extras.iter().map_while(Option::as_ref) {
                let (bytes, stride) = run.kernel_row(self.conv, extra.kernel_y);
                let bytes = &bytes[first * stride + extra.offset..];
                assert!(bytes.len() >= (rows - 1) * stride + 4);
                let weights = extra.weights_of_blocks::<B>();
                for (row, sums) in sums.iter_mut().enumerate() {
                    if row < rows {
                        // SAFETY: the last of the rows, `stride` apart, has four bytes.
                        let taps = unsafe { load_4(bytes, row * stride) };
                        self.add_products(sums, self.taps(taps), weights);
                    }
                }
            }
            let start = (run.pixels.start + first) * channels + column.store.channel;
            let mut targets = Targets {
                bytes: &mut output[start..][..(rows - 1) * channels + width],
                width,
                step: channels,
            };
            let per = most * B;
            // Each by itself, so that no sum needs an address.
            macro_rules! store {
                ($index:literal) => {
                    if $index * per < rows * B {
                        let mut some = [zero; MAX_BLOCKS];
                        for (lane, sum) in some.iter_mut().enumerate().take(per) {
                            *sum = sums[($index * per + lane) / B][lane % B];
                        }
                        let bytes = packed_4x16::<KIND>(&finish, again(ramps), some);
                        let bytes = finish.in_rows(bytes);
                        let row = $index * most;
                        if is_dense {
                            store_64(&mut targets.bytes[row * channels..][..most * width], bytes);
                        } else {
                            targets.store::<B>(bytes, row, most);
                        }
                    }
                };
            }
            store!(0);
            store!(1);
            store!(2);
            store!(3);
            store!(4);
        }
    }

    /// A group of taps' weights for all blocks.
    ///
    /// # Safety
    ///
    /// `index` is below `depth`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    unsafe fn weights<const B: usize>(&self, column: &Column<'_, B>, index: usize) -> [__m512i; B] {
        let mut weights = [_mm512_setzero_si512(); B];
        for (block, weights) in weights.iter_mut().enumerate() {
            // SAFETY: a column has `B` times `depth` weights.
            *weights = load(unsafe { column.weights.get_unchecked(block * self.depth + index) });
        }
        weights
    }

    /// Four taps again and again.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn taps(&self, taps: i32) -> __m512i {
        let taps = _mm512_set1_epi32(taps);
        if FLIP {
            _mm512_xor_si512(taps, self.flip)
        } else {
            taps
        }
    }

    /// Adds the products of four taps and the weights of some blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add_products<const B: usize>(
        &self,
        sums: &mut [__m512i; B],
        taps: __m512i,
        weights: [__m512i; B],
    ) {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
        }
    }
}
