//! Runs: output pixels whose windows lie at equal distances in memory, so that a matrix product can
//! read them where they are. Only windows that reach into the padding are unfolded, and all where
//! an output row is short.

use super::{
    Conv2d,
    narrow::{self, unfold_narrow},
    unfold::unfold_pixel,
};
use crate::window::{Pixel, Window};
use apu_proto::program::CONV_TILE;
use core::ops::Range;

/// Most pixels of a run.
pub(super) const MAX_RUN: usize = 192;
/// Fewest pixels of an output row that are worth a run of their own, or else all are unfolded.
const MIN_RUN: usize = 6;
/// The same where that is cheap.
const MIN_NARROW_RUN: usize = 12;
/// Bytes of a run that are to stay in the nearest cache.
const NEAR: usize = 24 << 10;

/// Output pixels in one matrix product.
pub(super) struct Run<'a> {
    windows: Windows<'a>,
    /// Output pixels, at most [`MAX_RUN`].
    pub pixels: Pixels<'a>,
}

/// Which output pixels belong to a run.
#[derive(Clone, Copy)]
pub(super) enum Pixels<'a> {
    /// So many from this one on.
    Row(usize, usize),
    /// These.
    List(&'a [u32]),
}

impl Pixels<'_> {
    /// How many there are.
    #[inline(always)]
    pub fn count(&self) -> usize {
        match self {
            Self::Row(_, count) => *count,
            Self::List(list) => list.len(),
        }
    }

    /// The number of a pixel within the output.
    #[inline(always)]
    pub fn place(&self, index: usize) -> usize {
        match self {
            Self::Row(first, _) => first + index,
            Self::List(list) => list[index] as usize,
        }
    }
}

/// Where the windows are.
#[derive(Clone, Copy)]
enum Windows<'a> {
    /// Side by side, each as long as the padded K.
    Unfolded(&'a [u8]),
    /// On an image.
    Image {
        conv: &'a Conv2d,
        image: &'a [u8],
        /// The output row.
        y: usize,
        /// Bytes from the beginning of an input row to the first window.
        start: usize,
        /// One kernel row of padding.
        padding: &'a [u8],
    },
}

impl<'a> Run<'a> {
    /// The bytes from the first window's kernel row on, and how far one window's row is from the next.
    #[inline(always)]
    pub fn kernel_row(&self, conv: &Conv2d, kernel_y: usize) -> (&'a [u8], usize) {
        match self.windows {
            Windows::Unfolded(bytes) => (&bytes[kernel_y * conv.pitch..], conv.depth),
            Windows::Image {
                conv,
                image,
                y,
                start,
                padding,
            } => {
                let window = &conv.window;
                let pixel = Pixel { batch: 0, y, x: 0 };
                match window.row(pixel, kernel_y) {
                    Some(y) => (
                        &image[window.at(0, y, 0) + start..],
                        window.stride_w * window.in_c,
                    ),
                    None => (padding, 0),
                }
            }
        }
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
    if conv.unfolds {
        Unfolding::new(conv, input, scratch).each_run(&mut multiply);
        return;
    }
    let most = (NEAR / conv.depth).clamp(24, MAX_RUN) / 24 * 24;
    for (index, windows) in input.chunks(most * conv.depth).enumerate() {
        multiply(&Run {
            windows: Windows::Unfolded(windows),
            pixels: Pixels::Row(index * most, windows.len() / conv.depth),
        });
    }
}

/// Windows in scratch: those that reach into the padding, gathered until there are many.
struct Unfolding<'a> {
    conv: &'a Conv2d,
    input: &'a [u8],
    /// One kernel row of padding.
    padding: &'a [u8],
    panel: &'a mut [u8],
    list: [u32; CONV_TILE - 1],
    count: usize,
}

impl<'a> Unfolding<'a> {
    fn new(conv: &'a Conv2d, input: &'a [u8], scratch: &'a mut [u8]) -> Self {
        let (padding, panel) = scratch.split_at_mut(conv.pitch);
        padding.fill(conv.input_zero_point as u8);
        Self {
            conv,
            input,
            padding,
            panel,
            list: [0; CONV_TILE - 1],
            count: 0,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn each_run(mut self, multiply: &mut impl FnMut(&Run<'_>)) {
        let conv = self.conv;
        let window = &conv.window;
        let columns = unless_few(conv, inner_columns(window, conv.pitch));
        let images = self.input.chunks_exact(window.at(1, 0, 0));
        for (batch, image) in images.enumerate() {
            for y in 0..window.out_h {
                for x in (0..columns.start).chain(columns.end..window.out_w) {
                    self.unfold(Pixel { batch, y, x }, multiply);
                }
                let row = (batch * window.out_h + y) * window.out_w;
                for x in columns.clone().step_by(MAX_RUN) {
                    multiply(&Run {
                        windows: Windows::Image {
                            conv,
                            image,
                            y,
                            start: (x * window.stride_w - window.pad_left) * window.in_c,
                            padding: self.padding,
                        },
                        pixels: Pixels::Row(row + x, MAX_RUN.min(columns.end - x)),
                    });
                }
            }
        }
        self.flush(multiply);
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn unfold(&mut self, pixel: Pixel, multiply: &mut impl FnMut(&Run<'_>)) {
        let window = &self.conv.window;
        let place = (pixel.batch * window.out_h + pixel.y) * window.out_w + pixel.x;
        let target = &mut self.panel[self.count * self.conv.depth..];
        if narrow::takes(self.conv) {
            unfold_narrow(self.conv, pixel, self.input, target);
        } else {
            unfold_pixel(self.conv, pixel, self.input, target);
        }
        self.list[self.count] = place as u32;
        self.count += 1;
        if self.count == self.conv.tile - 1 {
            self.flush(multiply);
        }
    }

    #[inline(always)]
    fn flush(&mut self, multiply: &mut impl FnMut(&Run<'_>)) {
        if self.count > 0 {
            multiply(&Run {
                windows: Windows::Unfolded(self.panel),
                pixels: Pixels::List(&self.list[..self.count]),
            });
        }
        self.count = 0;
    }
}

/// Output columns whose windows lie within the rows of the input, even if each of their rows is read
/// up to `pitch` bytes.
fn inner_columns(window: &Window, pitch: usize) -> Range<usize> {
    let first = window.pad_left.div_ceil(window.stride_w).min(window.out_w);
    let reach = pitch.div_ceil(window.in_c);
    let end = match (window.in_w + window.pad_left).checked_sub(reach) {
        Some(last) if window.dilation_w == 1 => last / window.stride_w + 1,
        _ => 0,
    };
    first..end.clamp(first, window.out_w)
}

/// No columns if they are few.
fn unless_few(conv: &Conv2d, columns: Range<usize>) -> Range<usize> {
    let out_w = conv.window.out_w;
    let fewest = match narrow::takes(conv) {
        true => MIN_NARROW_RUN,
        false => MIN_RUN.min(out_w),
    };
    if columns.len() < fewest {
        return out_w..out_w;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use apu_proto::program;

    fn window(in_w: u32, in_c: u32, kernel_w: u32, stride_w: u32, pad_left: u32) -> Window {
        let out_w = (in_w + 2 * pad_left - kernel_w) / stride_w + 1;
        Window::new(&program::Window {
            batch: 1,
            in_h: 1,
            in_w,
            in_c,
            out_h: 1,
            out_w,
            out_c: 1,
            kernel_h: 1,
            kernel_w,
            stride_h: 1,
            stride_w,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left,
        })
        .unwrap()
    }

    #[test]
    fn inner_columns_touch_no_padding() {
        assert_eq!(inner_columns(&window(8, 4, 3, 1, 1), 12), 1..7);
        assert_eq!(inner_columns(&window(8, 4, 3, 2, 1), 12), 1..4);
        // Nine bytes a row are read as twelve: the last window would leave the row.
        assert_eq!(inner_columns(&window(8, 3, 3, 1, 0), 12), 0..5);
        assert_eq!(inner_columns(&window(2, 4, 3, 1, 1), 12), 1..1);
    }
}
