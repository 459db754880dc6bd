//! Rings: the input rows that an output row needs, copied once each with their padding (AVX-512). Every
//! window is read there as the input's own would be, and no byte needs flipping a second time.

use super::{Conv2d, narrow};
use crate::x86::avx512::{load_64, store_64};
use core::arch::x86_64::*;

/// Bytes of a vector: rows of no more are as long.
const VECTOR: usize = 64;

/// As many rows as a window has, each of `pitch` bytes.
pub(super) struct Ring<'a> {
    conv: &'a Conv2d,
    bytes: &'a mut [u8],
    pitch: usize,
    /// Output columns at once, as many as the ring is wide enough for.
    pub columns: usize,
    /// The first output column.
    column: usize,
    /// The input row that comes next, counted from the first row of padding.
    next: usize,
    /// Which of the ring's rows is the first of the output row's windows.
    first: usize,
}

impl<'a> Ring<'a> {
    /// A ring in scratch of at least the size that the convolution asks for.
    pub fn new(conv: &'a Conv2d, scratch: &'a mut [u8]) -> Self {
        let window = &conv.window;
        let pitch = scratch.len() / window.kernel_h;
        // There is room for many windows, see `takes`.
        let columns = (pitch - conv.pitch) / (window.stride_w * window.in_c) + 1;
        let columns = columns.min(window.out_w);
        let mut pitch = (columns - 1) * window.stride_w * window.in_c + conv.pitch;
        if pitch <= VECTOR && VECTOR * window.kernel_h <= scratch.len() {
            pitch = VECTOR;
        }
        Self {
            conv,
            bytes: scratch,
            pitch,
            columns,
            column: 0,
            next: 0,
            first: 0,
        }
    }

    /// Begins anew at an output column.
    pub fn begin(&mut self, column: usize) {
        (self.column, self.next) = (column, 0);
    }

    /// Copies what output row `y` needs of `image` and isn't there yet; rows are to be asked for in
    /// their order.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn advance(&mut self, image: &[u8], y: usize) {
        let first = y * self.conv.window.stride_h;
        for row in first.max(self.next)..first + self.conv.window.kernel_h {
            self.copy(image, row);
        }
        self.next = first + self.conv.window.kernel_h;
        self.first = first % self.conv.window.kernel_h;
    }

    /// The bytes of the first window from kernel row `kernel_y` on, of the output row that was asked
    /// for last.
    #[inline(always)]
    pub fn kernel_row(&self, kernel_y: usize) -> &[u8] {
        let (row, rows) = (self.first + kernel_y, self.conv.window.kernel_h);
        let row = if row < rows { row } else { row - rows };
        &self.bytes[row * self.pitch..]
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn copy(&mut self, image: &[u8], row: usize) {
        let (conv, window) = (self.conv, &self.conv.window);
        let flip = conv.byte.flip();
        let padding = conv.input_zero_point as u8 ^ flip;
        let start = row % window.kernel_h * self.pitch;
        let target = &mut self.bytes[start..][..self.pitch];
        let y = row.checked_sub(window.pad_top).filter(|&y| y < window.in_h);
        let Some(y) = y else {
            return fill(target, _mm512_set1_epi8(padding as i8));
        };
        let first = self.column * window.stride_w;
        let left = window.pad_left.saturating_sub(first) * window.in_c;
        let x = first.saturating_sub(window.pad_left).min(window.in_w);
        let source = window.at(0, y, x)..window.at(0, y + 1, 0);
        if let Some(target) = target
            .first_chunk_mut::<VECTOR>()
            .filter(|_| self.pitch == VECTOR)
        {
            let size = source.len().min(VECTOR.saturating_sub(left));
            let row = narrow::Row::new(conv, left..left + size);
            return store_64(target, row.load_64(image, Some(source.start)));
        }
        let source = &image[source];
        let (left, rest) = target.split_at_mut(left.min(self.pitch));
        let (middle, right) = rest.split_at_mut(source.len().min(rest.len()));
        let padding = _mm512_set1_epi8(padding as i8);
        fill(left, padding);
        flipped(middle, source, _mm512_set1_epi8(flip as i8));
        fill(right, padding);
    }
}

/// Whether a [`Ring`] can hold what the windows of a convolution read.
pub(super) fn takes(conv: &Conv2d) -> bool {
    (conv.window.dilation_h, conv.window.dilation_w) == (1, 1)
}

/// Fills `target`, which takes a store where it is short.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn fill(target: &mut [u8], bytes: __m512i) {
    for target in target.chunks_mut(64) {
        store_64(target, bytes);
    }
}

/// Copies as much of `source` as `target` has room for.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn flipped(target: &mut [u8], source: &[u8], flip: __m512i) {
    for (target, source) in target.chunks_mut(64).zip(source.chunks(64)) {
        store_64(target, _mm512_xor_si512(load_64(source, flip), flip));
    }
}

/// Flips bytes where they are.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn flip(bytes: &mut [u8], flip: u8) {
    let flip = _mm512_set1_epi8(flip as i8);
    for bytes in bytes.chunks_mut(64) {
        let flipped = _mm512_xor_si512(load_64(bytes, flip), flip);
        store_64(bytes, flipped);
    }
}
