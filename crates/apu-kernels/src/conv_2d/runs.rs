//! Runs: output pixels whose windows lie at equal distances in memory, so that a matrix product can
//! read them where they are: on the input, in a [`Ring`] of its rows or, where output rows are short,
//! unfolded. Bytes that were copied are unsigned.

use super::{
    Conv2d,
    narrow::{self, unfold_narrow},
    ring::{self, Ring},
    unfold::unfold_pixel,
};
use crate::window::Pixel;
use core::ops::Range;

/// Most pixels of a run.
pub(super) const MAX_RUN: usize = 192;
/// Fewest pixels of an output row that are worth a run of their own, or else all are unfolded.
const MIN_RUN: usize = 5;
/// Bytes of a run that are to stay in the nearest cache.
const NEAR: usize = 24 << 10;

/// Output pixels in one matrix product.
pub(super) struct Run<'a> {
    windows: Windows<'a>,
    /// Output pixels, at most [`MAX_RUN`].
    pub pixels: Range<usize>,
}

/// Where the windows are.
#[derive(Clone, Copy)]
enum Windows<'a> {
    /// Side by side, each as long as the padded K.
    Unfolded(&'a [u8]),
    /// In a ring, from a column on.
    Ring(&'a Ring<'a>, usize),
}

impl<'a> Run<'a> {
    /// The bytes from the first window's kernel row on, and how far one window's row is from the next.
    #[inline(always)]
    pub fn kernel_row(&self, conv: &Conv2d, kernel_y: usize) -> (&'a [u8], usize) {
        match self.windows {
            Windows::Unfolded(bytes) => (&bytes[kernel_y * conv.pitch..], conv.depth),
            Windows::Ring(ring, x) => {
                let stride = conv.window.stride_w * conv.window.in_c;
                (&ring.kernel_row(kernel_y)[x * stride..], stride)
            }
        }
    }

    /// Whether windows of that many columns are one pixel apart, and pixels whole groups of four taps.
    #[inline(always)]
    pub fn slides(&self, conv: &Conv2d, columns: usize) -> bool {
        let window = &conv.window;
        matches!(self.windows, Windows::Ring(..))
            && (window.kernel_w, window.stride_w) == (columns, 1)
            && window.in_c.is_multiple_of(4)
    }
}

/// Calls `multiply` with run after run until every output pixel has been in one.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn each_run(
    conv: &Conv2d,
    input: &[u8],
    scratch: &mut [u8],
    mut multiply: impl FnMut(&Run<'_>),
) {
    if !conv.unfolds {
        let most = (NEAR / conv.depth).clamp(24, MAX_RUN) / 24 * 24;
        for (index, windows) in input.chunks(most * conv.depth).enumerate() {
            multiply(&Run {
                windows: Windows::Unfolded(windows),
                pixels: index * most..index * most + windows.len() / conv.depth,
            });
        }
        return;
    }
    if ring::takes(conv) && conv.window.out_w >= MIN_RUN {
        in_ring(conv, input, Ring::new(conv, scratch), &mut multiply);
    } else {
        unfolded(conv, input, scratch, &mut multiply);
    }
}

/// Output row after output row.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn in_ring(conv: &Conv2d, input: &[u8], mut ring: Ring<'_>, multiply: &mut impl FnMut(&Run<'_>)) {
    let window = &conv.window;
    for (batch, image) in input.chunks_exact(window.at(1, 0, 0)).enumerate() {
        for first in (0..window.out_w).step_by(ring.columns) {
            ring.begin(first);
            let end = window.out_w.min(first + ring.columns);
            for y in 0..window.out_h {
                ring.advance(image, y);
                let row = (batch * window.out_h + y) * window.out_w;
                for x in (first..end).step_by(MAX_RUN) {
                    multiply(&Run {
                        windows: Windows::Ring(&ring, x - first),
                        pixels: row + x..row + end.min(x + MAX_RUN),
                    });
                }
            }
        }
    }
}

/// Windows side by side, as many as scratch has room for.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn unfolded(conv: &Conv2d, input: &[u8], scratch: &mut [u8], multiply: &mut impl FnMut(&Run<'_>)) {
    let pixels = conv.window.out_bytes() as usize / conv.window.out_c;
    let mut windows = conv.window.pixels();
    for first in (0..pixels).step_by(conv.tile) {
        let count = conv.tile.min(pixels - first);
        for (index, pixel) in windows.by_ref().take(count).enumerate() {
            unfold(conv, pixel, input, &mut scratch[index * conv.depth..]);
        }
        multiply(&Run {
            windows: Windows::Unfolded(scratch),
            pixels: first..first + count,
        });
    }
}

/// Writes the window of `pixel` to the beginning of `target`, and perhaps more behind it.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn unfold(conv: &Conv2d, pixel: Pixel, input: &[u8], target: &mut [u8]) {
    if narrow::takes(conv) {
        unfold_narrow(conv, pixel, input, target);
    } else {
        unfold_pixel(conv, pixel, input, target);
        ring::flip(&mut target[..conv.depth], conv.byte.flip());
    }
}
