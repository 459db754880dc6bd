//! Columns of the input rows that an output row needs.

use super::{SIDE, VECTOR};
use crate::{depthwise_conv_2d::DepthwiseConv2d, x86::avx512::load_64};
use core::arch::x86_64::*;

/// The bytes of three rows, channel by channel of some pixels: words of one byte of each row, and one more that has no
/// meaning. Their order is that of unpacking, which packing reverses.
pub(super) type Column = [__m512i; 4];

/// A row of the input from some channel on, or of padding.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    bytes: &'a [u8],
    /// Bytes from one pixel to the next.
    step: usize,
}

impl<'a> Row<'a> {
    pub fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step }
    }

    /// The same bytes for all pixels.
    pub fn padding(bytes: &'a [u8; VECTOR]) -> Self {
        Self { bytes, step: 0 }
    }
}

/// Three rows, of which vectors with the same channels of `P` pixels are taken, `S` pixels apart.
///
/// # Invariants
///
/// Each row has `width` pixels, `step` bytes apart, of `VECTOR / P` bytes at least, but that those of a single
/// pixel may be fewer from pixel `whole` on. Where `is_dense`, those of pixels side by side lie side by side.
pub(super) struct Input<'a, const P: usize, const S: usize> {
    rows: [Row<'a>; SIDE],
    width: usize,
    /// Pixels of padding before the first.
    pad: usize,
    /// How many pixels may be the first of `P` whole ones.
    whole: usize,
    is_dense: bool,
    padding: __m512i,
    flip: __m512i,
}

impl<'a, const P: usize, const S: usize> Input<'a, P, S> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(conv: &DepthwiseConv2d, rows: [Row<'a>; SIDE]) -> Self {
        let window = &conv.window;
        let mut whole = window.in_w.saturating_sub((P - 1) * S);
        for row in &rows {
            let last = (window.in_w - 1) * row.step;
            if P > 1 {
                assert!(row.bytes.len() >= last + VECTOR / P);
            } else if row.bytes.len() < last + VECTOR {
                let there = row.bytes.len().checked_sub(VECTOR);
                whole = whole.min(there.map_or(0, |bytes| bytes / row.step + 1));
            }
        }
        Self {
            rows,
            width: window.in_w,
            pad: window.pad_left,
            whole,
            is_dense: window.in_c * P == VECTOR,
            padding: _mm512_set1_epi8(conv.input_zero_point as i8),
            flip: _mm512_set1_epi8(conv.byte.flip() as i8),
        }
    }

    /// The column of the pixels from `first` on, counted from the first of the padding.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn column(&self, first: usize) -> Column {
        let start = first.wrapping_sub(self.pad);
        let mut rows = [self.padding; SIDE];
        if start < self.whole {
            for (bytes, row) in rows.iter_mut().zip(&self.rows) {
                *bytes = if P == 1 || (S == 1 && self.is_dense && row.step > 0) {
                    // SAFETY: by the invariants these are the bytes of all pixels.
                    unsafe { _mm512_loadu_si512(row.bytes.as_ptr().add(start * row.step).cast()) }
                } else {
                    let pixels = core::array::from_fn(|index| start + index * S);
                    // SAFETY: all pixels are the row's.
                    unsafe { gathered::<P>(row, pixels) }
                };
            }
        } else if P > 1 || start < self.width {
            rows = self.edge(start);
        }
        self.interleaved(rows)
    }

    /// The columns of every other one of the pixels from `first` on, and of those between them.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn columns(&self, first: usize) -> [Column; 2] {
        let start = first.wrapping_sub(self.pad);
        if P == 1 || !self.is_dense || start >= self.width || start + 2 * P > self.width {
            return [self.column(first), self.column(first + 1)];
        }
        let (mut even, mut odd) = ([self.padding; SIDE], [self.padding; SIDE]);
        for ((even, odd), row) in even.iter_mut().zip(&mut odd).zip(&self.rows) {
            if row.step == 0 {
                continue;
            }
            // SAFETY: by the invariants these are the bytes of `2 * P` pixels.
            let [low, high] = unsafe {
                let at = row.bytes.as_ptr().add(start * row.step);
                [
                    _mm512_loadu_si512(at.cast()),
                    _mm512_loadu_si512(at.add(VECTOR).cast()),
                ]
            };
            if P == 2 {
                *even = _mm512_shuffle_i64x2::<0b01_00_01_00>(low, high);
                *odd = _mm512_shuffle_i64x2::<0b11_10_11_10>(low, high);
            } else {
                *even = _mm512_shuffle_i64x2::<0b10_00_10_00>(low, high);
                *odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(low, high);
            }
        }
        [self.interleaved(even), self.interleaved(odd)]
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn interleaved(&self, rows: [__m512i; SIDE]) -> Column {
        let [a, b, c] = rows.map(|bytes| _mm512_xor_si512(bytes, self.flip));
        let (low_ab, high_ab) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (low_c, high_c) = (_mm512_unpacklo_epi8(c, c), _mm512_unpackhi_epi8(c, c));
        [
            _mm512_unpacklo_epi16(low_ab, low_c),
            _mm512_unpackhi_epi16(low_ab, low_c),
            _mm512_unpacklo_epi16(high_ab, high_c),
            _mm512_unpackhi_epi16(high_ab, high_c),
        ]
    }

    /// Pixels some of which are in the padding, or one that isn't whole.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn edge(&self, start: usize) -> [__m512i; SIDE] {
        let mut rows = [self.padding; SIDE];
        if P == 1 {
            for (bytes, row) in rows.iter_mut().zip(&self.rows) {
                *bytes = load_64(&row.bytes[start * row.step..], self.padding);
            }
            return rows;
        }
        // What is before the row has wrapped around, and so is beyond it as well.
        if start >= self.width && start.wrapping_add((P - 1) * S) >= start {
            return rows;
        }
        let pixels: [usize; P] = core::array::from_fn(|index| start.wrapping_add(index * S));
        let mut inside = 0;
        for (index, &pixel) in pixels.iter().enumerate() {
            let lanes = ((1u32 << (16 / P)) - 1) << (index * 16 / P);
            inside |= if pixel < self.width { lanes as u16 } else { 0 };
        }
        let pixels = pixels.map(|pixel| if pixel < self.width { pixel } else { 0 });
        for (bytes, row) in rows.iter_mut().zip(&self.rows) {
            // SAFETY: all pixels are the row's.
            let there = unsafe { gathered::<P>(row, pixels) };
            *bytes = _mm512_mask_mov_epi32(*bytes, inside, there);
        }
        rows
    }
}

/// The first bytes of some pixels.
///
/// # Safety
///
/// The row has these pixels, of `VECTOR / P` bytes each.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
unsafe fn gathered<const P: usize>(row: &Row<'_>, pixels: [usize; P]) -> __m512i {
    let start = row.bytes.as_ptr();
    // SAFETY: the caller's contract.
    unsafe {
        let at = |index: usize| start.add(pixels[index] * row.step);
        match P {
            1 => _mm512_loadu_si512(at(0).cast()),
            2 => {
                let first = _mm512_castsi256_si512(_mm256_loadu_si256(at(0).cast()));
                _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(at(1).cast()))
            }
            _ => {
                let first = _mm512_castsi128_si512(_mm_loadu_si128(at(0).cast()));
                let two = _mm512_inserti32x4::<1>(first, _mm_loadu_si128(at(1).cast()));
                let three = _mm512_inserti32x4::<2>(two, _mm_loadu_si128(at(2).cast()));
                _mm512_inserti32x4::<3>(three, _mm_loadu_si128(at(3).cast()))
            }
        }
    }
}

/// The pixels of two columns from pixel `by` of `P` on.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn shifted<const P: usize>(first: Column, next: Column, by: usize) -> Column {
    let mut column = next;
    for (column, first) in column.iter_mut().zip(first) {
        *column = match (P, by) {
            (4, 1) => _mm512_alignr_epi64::<2>(*column, first),
            (4, _) | (2, 1) => _mm512_alignr_epi64::<4>(*column, first),
            _ => *column,
        };
    }
    column
}
