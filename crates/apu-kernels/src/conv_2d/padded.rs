//! Small inputs, of which all rows are copied with their padding before anything is multiplied (AVX512-VNNI). Each group
//! of taps is as far from the first one then in every window, and no window is unfolded.

use super::{
    Conv2d,
    avx512::load_4,
    narrow,
    outliers::Outliers,
    store::{again, factors},
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::{
        avx512::{Finish, load, load_words, store_16, store_64},
        ramp::{BENT, FINE, Factors, Ramp, STRAIGHT, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Most groups of taps of a window.
const MAX_GROUPS: usize = 64;
/// Most groups of a row of it: longer ones are worth a loop of their own.
const MAX_ROW_GROUPS: usize = 4;
/// Most windows at once, which there must be.
const MOST_AT_ONCE: usize = 8;
/// Sums that become a vector of bytes.
const SUMS: usize = 4;
/// Bytes of a padded row: of one that a short vector has room for, and of others.
const PITCHES: [usize; 2] = [16, 64];

/// Where the windows are in a padded image.
struct Layout {
    /// Bytes from one row to the next.
    pitch: usize,
    rows: usize,
}

impl Layout {
    /// None if rows are too long.
    fn new(conv: &Conv2d) -> Option<Self> {
        let window = &conv.window;
        let width = (window.out_w - 1) * window.stride_w * window.in_c + conv.pitch;
        Some(Self {
            pitch: PITCHES.into_iter().find(|&pitch| width <= pitch)?,
            rows: (window.out_h - 1) * window.stride_h + window.kernel_h,
        })
    }
}

/// Whether [`run`] takes a convolution, with that much scratch.
pub(super) fn takes(
    conv: &Conv2d,
    table: &ChannelTable<'_>,
    outliers: Outliers<'_>,
    scratch: usize,
) -> bool {
    let window = &conv.window;
    conv.unfolds
        && conv.depth <= 4 * MAX_GROUPS
        && conv.pitch <= 4 * MAX_ROW_GROUPS
        && (window.dilation_h, window.dilation_w) == (1, 1)
        && [1, 2, 4]
            .map(|blocks| blocks * LANES)
            .contains(&window.out_c)
        && window.out_h * window.out_w >= MOST_AT_ONCE
        && conv.weight_zero_point == 0
        && table.ramps.is_some()
        && outliers.of(0..window.out_c).next().is_none()
        && Layout::new(conv).is_some_and(|it| it.pitch * it.rows <= scratch)
}

/// Computes what it [`takes`].
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    let Some(layout) = Layout::new(conv) else {
        return;
    };
    let operands = (input, output, scratch);
    match conv.window.out_c / LANES {
        4 => Column::<4>::new(conv, &layout, weights, &table).images::<3>(operands),
        2 => Column::<2>::new(conv, &layout, weights, &table).images::<8>(operands),
        _ => Column::<1>::new(conv, &layout, weights, &table).images::<8>(operands),
    }
}

/// Copies the rows of an image with their padding, as unsigned bytes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn copy(conv: &Conv2d, layout: &Layout, batch: usize, input: &[u8], scratch: &mut [u8]) {
    let window = &conv.window;
    let left = window.pad_left * window.in_c;
    let size = window.in_w * window.in_c;
    let row = narrow::Row::new(conv, left..(left + size).min(layout.pitch));
    let targets = scratch.chunks_exact_mut(layout.pitch);
    for (y, target) in targets.take(layout.rows).enumerate() {
        let y = y.checked_sub(window.pad_top).filter(|&y| y < window.in_h);
        let start = y.map(|y| window.at(batch, y, 0));
        if target.len() == PITCHES[0] {
            store_16(target, row.load_16(input, start));
        } else {
            store_64(target, row.load_64(input, start));
        }
    }
}

/// A padded image.
struct Image<'a> {
    conv: &'a Conv2d,
    layout: &'a Layout,
    bytes: &'a [u8],
}

/// Where one window after the other begins.
struct Walk {
    x: usize,
    row: usize,
    at: usize,
}

impl Image<'_> {
    /// From a window on.
    fn walk(&self, window: usize) -> Walk {
        let columns = self.conv.window.out_w;
        let x = window % columns;
        let row = window / columns * self.conv.window.stride_h * self.layout.pitch;
        Walk {
            x,
            row,
            at: row + x * self.conv.window.stride_w * self.conv.window.in_c,
        }
    }

    #[inline(always)]
    fn next(&self, walk: &mut Walk) -> usize {
        let window = &self.conv.window;
        let at = walk.at;
        walk.x += 1;
        walk.at += window.stride_w * window.in_c;
        if walk.x == window.out_w {
            walk.row += window.stride_h * self.layout.pitch;
            (walk.x, walk.at) = (0, walk.row);
        }
        at
    }
}

/// All channels, in `B` blocks.
struct Column<'a, const B: usize> {
    conv: &'a Conv2d,
    layout: &'a Layout,
    weights: &'a [[u8; 64]],
    bias: [__m512i; B],
    factors: Factors<B>,
    finish: Finish,
    /// Where each group of taps is from the first one on.
    offsets: [u32; MAX_GROUPS],
    groups: usize,
}

impl<'a, const B: usize> Column<'a, B> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(
        conv: &'a Conv2d,
        layout: &'a Layout,
        weights: &'a [u8],
        table: &ChannelTable<'_>,
    ) -> Self {
        let mut bias = [_mm512_setzero_si512(); B];
        for (bias, words) in bias.iter_mut().zip(table.bias.chunks(LANES)) {
            *bias = load_words(words);
        }
        let mut offsets = [0; MAX_GROUPS];
        let of_rows = offsets.chunks_exact_mut(conv.pitch / 4);
        for (kernel_y, offsets) in of_rows.enumerate().take(conv.window.kernel_h) {
            for (group, offset) in offsets.iter_mut().enumerate() {
                *offset = (kernel_y * layout.pitch + 4 * group) as u32;
            }
        }
        Self {
            conv,
            layout,
            weights: weights.as_chunks().0,
            bias,
            factors: factors(table, 0),
            finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
            offsets,
            groups: conv.depth / 4,
        }
    }

    /// All windows of all images, `R` at once.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn images<const R: usize>(&self, (input, output, scratch): (&[u8], &mut [u8], &mut [u8])) {
        let (conv, layout) = (self.conv, self.layout);
        let size = conv.window.out_h * conv.window.out_w * conv.window.out_c;
        for (batch, output) in output.chunks_exact_mut(size).enumerate() {
            copy(conv, layout, batch, input, scratch);
            let image = Image {
                conv,
                layout,
                bytes: scratch,
            };
            self.image::<R>(&image, output);
        }
    }

    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn image<const R: usize>(&self, image: &Image<'_>, output: &mut [u8]) {
        match &self.factors {
            Factors::Straight(ramps) => self.tiles::<R, STRAIGHT>(image, ramps, output),
            Factors::Bent(ramps) => self.tiles::<R, BENT>(image, ramps, output),
            Factors::Fine(ramps) => self.tiles::<R, FINE>(image, ramps, output),
            Factors::Exact(_) => unreachable!("`takes` asks for ramps"),
        }
    }

    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn tiles<const R: usize, const KIND: u32>(
        &self,
        image: &Image<'_>,
        ramps: &[Ramp; B],
        output: &mut [u8],
    ) {
        let finish = self.finish;
        let zero = _mm512_setzero_si512();
        let count = output.len() / (B * LANES);
        let offsets = &self.offsets[..self.groups];
        let reach = offsets.last().map_or(0, |&last| last as usize + 4);
        let mut walk = image.walk(0);
        assert!(self.weights.len() >= B * self.groups && count >= R);
        assert!(offsets.iter().all(|&offset| offset as usize + 4 <= reach));
        for first in (0..count).step_by(R) {
            let start = first.min(count - R);
            if start < first {
                walk = image.walk(start);
            }
            let mut windows = [image.bytes; R];
            for window in &mut windows {
                *window = &image.bytes[image.next(&mut walk)..][..reach];
            }
            let mut sums = [[zero; B]; R];
            sums.fill(self.bias);
            for (group, &offset) in offsets.iter().enumerate() {
                let mut weights = [zero; B];
                for (block, weights) in weights.iter_mut().enumerate() {
                    // SAFETY: there are `groups` weights of each of `B` blocks.
                    *weights =
                        load(unsafe { self.weights.get_unchecked(block * self.groups + group) });
                }
                for (window, sums) in windows.iter().zip(&mut sums) {
                    // SAFETY: no group of taps ends behind `reach`, the size of each window.
                    let taps = _mm512_set1_epi32(unsafe { load_4(window, offset as usize) });
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
                    }
                }
            }
            let output = &mut output[start * B * LANES..][..R * B * LANES];
            // Each by itself, so that no sum needs an address.
            macro_rules! store {
                ($index:literal) => {
                    if $index * SUMS < R * B {
                        let mut some = [zero; SUMS];
                        for (lane, sum) in some.iter_mut().enumerate() {
                            *sum = sums[($index * SUMS + lane) / B][lane % B];
                        }
                        let bytes = packed_4x16::<KIND>(&finish, again(ramps), some);
                        store_64(&mut output[64 * $index..][..64], finish.in_rows(bytes));
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
}
