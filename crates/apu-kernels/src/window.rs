//! Where the windows of convolutions and pooling lie on their input.

use crate::{
    Error,
    limits::{agree, bytes, within},
    share::Part,
};
use apu_proto::program;
use core::ops::Range;

/// Most rows or columns of a feature map, and most batches.
const MAX_SIDE: i64 = 65535;
/// Most rows or columns of a kernel; most stride, dilation and padding. Products of two sides with
/// one of these stay in 32-bit signed arithmetic.
const MAX_STEP: i64 = 4095;
/// Most channels.
const MAX_CHANNELS: i64 = 1 << 24;

/// A [`program::Window`] whose numbers are in range: every product of an index with a stride fits
/// `i32`, and no window lies wholly outside the input's bounding rows and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub batch: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub out_c: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    pub stride_h: usize,
    pub stride_w: usize,
    pub dilation_h: usize,
    pub dilation_w: usize,
    pub pad_top: usize,
    pub pad_left: usize,
    in_bytes: u32,
    out_bytes: u32,
}

/// One output pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixel {
    pub batch: usize,
    pub y: usize,
    pub x: usize,
}

impl Window {
    pub fn new(w: &program::Window) -> Result<Self, Error> {
        let limits = [
            ("batch", w.batch, 1, MAX_SIDE),
            ("in_h", w.in_h, 1, MAX_SIDE),
            ("in_w", w.in_w, 1, MAX_SIDE),
            ("in_c", w.in_c, 1, MAX_CHANNELS),
            ("out_h", w.out_h, 1, MAX_SIDE),
            ("out_w", w.out_w, 1, MAX_SIDE),
            ("out_c", w.out_c, 1, MAX_CHANNELS),
            ("kernel_h", w.kernel_h, 1, MAX_STEP),
            ("kernel_w", w.kernel_w, 1, MAX_STEP),
            ("stride_h", w.stride_h, 1, MAX_STEP),
            ("stride_w", w.stride_w, 1, MAX_STEP),
            ("dilation_h", w.dilation_h, 1, MAX_STEP),
            ("dilation_w", w.dilation_w, 1, MAX_STEP),
        ];
        for (field, got, min, max) in limits {
            within(field, got, min, max)?;
        }
        let reach_h = (w.kernel_h - 1) * w.dilation_h;
        let reach_w = (w.kernel_w - 1) * w.dilation_w;
        within("pad_top", w.pad_top, 0, reach_h.into())?;
        within("pad_left", w.pad_left, 0, reach_w.into())?;
        within(
            "out_h",
            w.out_h,
            1,
            windows_at_most(w.in_h, w.pad_top, w.stride_h),
        )?;
        within(
            "out_w",
            w.out_w,
            1,
            windows_at_most(w.in_w, w.pad_left, w.stride_w),
        )?;
        Ok(Self {
            batch: w.batch as usize,
            in_h: w.in_h as usize,
            in_w: w.in_w as usize,
            in_c: w.in_c as usize,
            out_h: w.out_h as usize,
            out_w: w.out_w as usize,
            out_c: w.out_c as usize,
            kernel_h: w.kernel_h as usize,
            kernel_w: w.kernel_w as usize,
            stride_h: w.stride_h as usize,
            stride_w: w.stride_w as usize,
            dilation_h: w.dilation_h as usize,
            dilation_w: w.dilation_w as usize,
            pad_top: w.pad_top as usize,
            pad_left: w.pad_left as usize,
            in_bytes: bytes("input", &[w.batch, w.in_h, w.in_w, w.in_c])?,
            out_bytes: bytes("output", &[w.batch, w.out_h, w.out_w, w.out_c])?,
        })
    }

    /// Refuses dilation, for operators that have none.
    pub fn without_dilation(self) -> Result<Self, Error> {
        within("dilation_h", self.dilation_h as i64, 1, 1)?;
        within("dilation_w", self.dilation_w as i64, 1, 1)?;
        Ok(self)
    }

    /// Refuses a change of the number of channels, for operators that work channel by channel.
    pub fn with_equal_channels(self) -> Result<Self, Error> {
        agree("out_c", self.out_c as i64, "in_c", self.in_c as i64)?;
        Ok(self)
    }

    /// Bytes of the input.
    pub fn in_bytes(&self) -> u32 {
        self.in_bytes
    }

    /// Bytes of the output.
    pub fn out_bytes(&self) -> u32 {
        self.out_bytes
    }

    /// Whether each window is the one input pixel at the place of the output pixel.
    pub fn is_pointwise(&self) -> bool {
        (self.kernel_h, self.kernel_w, self.stride_h, self.stride_w) == (1, 1, 1, 1)
            && (self.in_h, self.in_w) == (self.out_h, self.out_w)
    }

    /// The same with another number of output channels, no more than before.
    pub fn with_outputs(mut self, channels: usize) -> Self {
        self.out_bytes = (self.out_bytes as usize / self.out_c * channels) as u32;
        self.out_c = channels;
        self
    }

    /// How many parts [`Self::part`] can make.
    pub fn parts(&self) -> usize {
        if self.is_pointwise() {
            self.batch * self.out_h * self.out_w
        } else if self.batch > 1 {
            self.batch
        } else {
            self.out_h
        }
    }

    /// A part of the output, with the bytes of the input that it needs and those of the output that
    /// it is: some pixels where each needs no other, else some images, else some rows.
    pub fn part(&self, part: Part) -> (Self, [Range<usize>; 2]) {
        let mut window = *self;
        let range = part.range(self.parts());
        let mut input = range.clone();
        if self.is_pointwise() {
            let count = range.len();
            (window.batch, window.in_h, window.out_h) = (1, 1, 1);
            (window.in_w, window.out_w) = (count, count);
            input = scaled(input, self.in_c);
        } else if self.batch > 1 {
            window.batch = range.len();
            input = scaled(input, self.at(1, 0, 0));
        } else {
            let start = range.start * self.stride_h;
            input = self.rows_under(&range);
            (window.in_h, window.out_h) = (input.len(), range.len());
            window.pad_top = self.pad_top.saturating_sub(start);
            input = scaled(input, self.at(0, 1, 0));
        }
        let output = scaled(range, self.out_bytes as usize / self.parts());
        window.in_bytes = input.len() as u32;
        window.out_bytes = output.len() as u32;
        (window, [input, output])
    }

    /// The input rows under the windows of some output rows.
    fn rows_under(&self, rows: &Range<usize>) -> Range<usize> {
        let start = (rows.start * self.stride_h).saturating_sub(self.pad_top);
        let last = (rows.end - 1) * self.stride_h + (self.kernel_h - 1) * self.dilation_h;
        start..self.in_h.min(last + 1 - self.pad_top)
    }

    /// All output pixels in the order of the output.
    pub fn pixels(&self) -> impl Iterator<Item = Pixel> + use<> {
        let Self {
            batch,
            out_h,
            out_w,
            ..
        } = *self;
        (0..batch).flat_map(move |batch| {
            (0..out_h).flat_map(move |y| (0..out_w).map(move |x| Pixel { batch, y, x }))
        })
    }

    /// Where the tap of a window begins in the input; `None` in the padding.
    #[inline]
    pub fn tap(&self, pixel: Pixel, kernel_y: usize, kernel_x: usize) -> Option<usize> {
        let y = self.row(pixel, kernel_y)?;
        let x =
            (pixel.x * self.stride_w + kernel_x * self.dilation_w).checked_sub(self.pad_left)?;
        (x < self.in_w).then(|| self.at(pixel.batch, y, x))
    }

    /// The input row of a kernel row; `None` in the padding.
    #[inline]
    pub fn row(&self, pixel: Pixel, kernel_y: usize) -> Option<usize> {
        let y = (pixel.y * self.stride_h + kernel_y * self.dilation_h).checked_sub(self.pad_top)?;
        (y < self.in_h).then_some(y)
    }

    /// Where an input pixel begins.
    #[inline]
    pub fn at(&self, batch: usize, y: usize, x: usize) -> usize {
        ((batch * self.in_h + y) * self.in_w + x) * self.in_c
    }

    /// The kernel rows of an undilated window that lie on the input, and the input row of the first.
    pub fn rows(&self, pixel: Pixel) -> (Range<usize>, usize) {
        clip(
            pixel.y * self.stride_h,
            self.pad_top,
            self.kernel_h,
            self.in_h,
        )
    }

    /// The kernel columns of an undilated window that lie on the input, and the input column of the
    /// first.
    pub fn columns(&self, pixel: Pixel) -> (Range<usize>, usize) {
        clip(
            pixel.x * self.stride_w,
            self.pad_left,
            self.kernel_w,
            self.in_w,
        )
    }
}

/// A range of things of `size` bytes in bytes.
fn scaled(range: Range<usize>, size: usize) -> Range<usize> {
    range.start * size..range.end * size
}

/// The most windows along one side that begin on the input or in the padding before it.
fn windows_at_most(side: u32, pad: u32, stride: u32) -> i64 {
    i64::from((side + pad - 1) / stride) + 1
}

/// The taps of a window of `kernel` taps, beginning `pad` before `start`, that lie in `0..side`.
fn clip(start: usize, pad: usize, kernel: usize, side: usize) -> (Range<usize>, usize) {
    let first = pad.saturating_sub(start);
    let end = kernel.min((side + pad).saturating_sub(start));
    (first..end.max(first), start + first - pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_to_the_input() {
        // (start, pad, kernel, side) → (taps, first input index)
        let cases = [
            ((0, 1, 3, 5), (1..3, 0)),
            ((2, 1, 3, 5), (0..3, 1)),
            ((4, 1, 3, 5), (0..2, 3)),
            ((0, 2, 5, 1), (2..3, 0)),
            ((3, 0, 2, 5), (0..2, 3)),
        ];
        for ((start, pad, kernel, side), want) in cases {
            assert_eq!(
                clip(start, pad, kernel, side),
                want,
                "{start} {pad} {kernel} {side}"
            );
        }
    }

    #[test]
    fn refuses_windows_outside_the_input() {
        let one = program::Window {
            batch: 1,
            in_h: 4,
            in_w: 4,
            in_c: 1,
            out_h: 4,
            out_w: 4,
            out_c: 1,
            kernel_h: 3,
            kernel_w: 3,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 1,
            pad_left: 1,
        };
        assert!(Window::new(&one).is_ok());
        let refused = [
            ("pad_top", program::Window { pad_top: 3, ..one }),
            ("out_h", program::Window { out_h: 6, ..one }),
            (
                "out_w",
                program::Window {
                    stride_w: 2,
                    out_w: 4,
                    ..one
                },
            ),
            ("stride_h", program::Window { stride_h: 0, ..one }),
            (
                "in_c",
                program::Window {
                    in_c: u32::MAX,
                    ..one
                },
            ),
        ];
        for (name, window) in refused {
            let error = Window::new(&window).unwrap_err();
            assert!(
                matches!(error, Error::Field { field, .. } if field == name),
                "{name}: {error}"
            );
        }
        let huge = program::Window {
            in_c: 1 << 24,
            in_h: 65535,
            ..one
        };
        assert!(matches!(
            Window::new(&huge),
            Err(Error::TooLarge {
                operand: "input",
                ..
            })
        ));
    }
}
