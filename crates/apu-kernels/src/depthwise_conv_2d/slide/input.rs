//! Columns of the input rows that an output row needs.

use super::{SIDE, VECTOR};
use crate::{
    depthwise_conv_2d::DepthwiseConv2d,
    window::{Pixel, Window},
    x86::avx512::load_64,
};
use core::{arch::x86_64::*, ops::Range};

/// The bytes of three rows, channel by channel of some pixels: words of one byte of each row, and one more that has no
/// meaning. Their order is that of unpacking, which packing reverses.
pub(super) type Column = [__m512i; 4];

/// A row of the input from some channel on.
#[derive(Clone, Copy)]
struct Row<'a> {
    bytes: &'a [u8],
    /// What is left of its bytes, and exclusive-ored with them: nothing and the padding, if the row is one of padding.
    mask: __m512i,
    flip: __m512i,
}

/// Three rows, of which vectors with the same channels of `P` pixels are taken, `S` pixels apart. Pixels are
/// counted from the first of the padding on.
///
/// # Invariants
///
/// Each row has `width` pixels, `step` bytes apart, of `VECTOR / P` bytes at least, but that those of a single
/// pixel may be fewer from pixel `whole` on. Where `is_dense`, those of pixels side by side lie side by side.
pub(super) struct Input<'a, const P: usize, const S: usize> {
    rows: [Row<'a>; SIDE],
    step: usize,
    width: usize,
    /// Pixels of padding before the first.
    pad: usize,
    whole: usize,
    is_dense: bool,
    padding: __m512i,
}

impl<'a, const P: usize, const S: usize> Input<'a, P, S> {
    /// The rows that output row `y` needs, from a channel on.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(
        conv: &DepthwiseConv2d,
        input: &'a [u8],
        (batch, y): (usize, usize),
        channel: usize,
    ) -> Self {
        let window = &conv.window;
        let flip = _mm512_set1_epi8(conv.byte.flip() as i8);
        let padding = _mm512_set1_epi8(conv.input_zero_point as i8);
        let last = (window.in_w - 1) * window.in_c;
        let mut whole = window.in_w;
        let nothing = Row {
            bytes: input,
            mask: _mm512_setzero_si512(),
            flip: _mm512_xor_si512(padding, flip),
        };
        let mut rows = [nothing; SIDE];
        for (kernel_y, row) in rows.iter_mut().enumerate() {
            let y = window.row(Pixel { batch, y, x: 0 }, kernel_y);
            row.bytes = &input[window.at(batch, y.unwrap_or(0), 0) + channel..];
            if y.is_some() {
                (row.mask, row.flip) = (_mm512_set1_epi8(-1), flip);
            }
            if P > 1 {
                assert!(row.bytes.len() >= last + VECTOR / P);
            } else if row.bytes.len() < last + VECTOR {
                let more = row.bytes.len().checked_sub(VECTOR);
                whole = whole.min(more.map_or(0, |more| more / window.in_c + 1));
            }
        }
        Self {
            rows,
            step: window.in_c,
            width: window.in_w,
            pad: window.pad_left,
            whole,
            is_dense: is_dense::<P>(window),
            padding,
        }
    }

    /// The positions for which [`Self::next`] reads nothing but whole pixels of the input.
    #[inline(always)]
    pub fn inner(&self) -> Range<usize> {
        let (step, span) = match (P, S) {
            (1, _) => (S, 1),
            (_, 1) => (P, P),
            _ => (2 * P, 2 * P),
        };
        // The furthest pixel that is first in one of its columns.
        let ahead = if P == 1 { SIDE - 1 } else { step };
        let most = (self.pad + self.whole).checked_sub(span + ahead);
        // With two pixels of padding, the first window's second column is one of those.
        let start = usize::from((P, S, self.pad) == (1, 2, 2));
        start..most.map_or(0, |most| most / step + 1)
    }

    /// The columns of the first windows of a position that [`Self::next`] takes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn first(&self, position: usize) -> [Column; 2] {
        let first = self.column(position * P * S);
        match (P, S) {
            // It isn't used.
            (2.., 1) => [first, first],
            _ => [first, self.column(position * P * S + 1)],
        }
    }

    /// The columns of the windows of a position, and the first ones of those of the next position.
    /// `EDGE` allows for padding and pixels that aren't whole.
    ///
    /// # Safety
    ///
    /// Without `EDGE`, the position is one of [`Self::inner`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub unsafe fn next<const EDGE: bool>(
        &self,
        position: usize,
        [first, second]: [Column; 2],
    ) -> ([Column; SIDE], [Column; 2]) {
        let at = position * P * S;
        let column = |first: usize| match EDGE {
            true => self.column(first),
            // SAFETY: pixels of inner positions are whole.
            false => unsafe { self.whole_column(first - self.pad) },
        };
        match (P, S) {
            (1, 1) => {
                let third = column(at + 2);
                ([first, second, third], [second, third])
            }
            (1, _) => {
                let (second, third) = (column(at + 1), column(at + 2));
                ([first, second, third], [third, second])
            }
            (_, 1) => {
                let next = column(at + P);
                let second = shifted::<P>(first, next, 1);
                (
                    [first, second, shifted::<P>(first, next, 2)],
                    [next, second],
                )
            }
            _ => {
                let at = at + 2 * P;
                let [next, between] = match EDGE || !self.is_dense {
                    true => [column(at), column(at + 1)],
                    // SAFETY: as above.
                    false => unsafe { self.whole_columns(at - self.pad) },
                };
                (
                    [first, second, shifted::<P>(first, next, 1)],
                    [next, between],
                )
            }
        }
    }

    /// The column of the pixels from `first` on.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn column(&self, first: usize) -> Column {
        // What is before the row wraps around, and so is beyond it as well.
        let start = first.wrapping_sub(self.pad);
        let pixels: [usize; P] = core::array::from_fn(|index| start.wrapping_add(index * S));
        let mut rows = [self.padding; SIDE];
        if P == 1 {
            if start < self.width {
                for (bytes, row) in rows.iter_mut().zip(&self.rows) {
                    *bytes = load_64(&row.bytes[start * self.step..], self.padding);
                }
            }
            return self.interleaved(rows);
        }
        let mut inside = 0;
        for (index, &pixel) in pixels.iter().enumerate() {
            let lanes = ((1u32 << (16 / P)) - 1) << (index * 16 / P);
            inside |= if pixel < self.width { lanes as u16 } else { 0 };
        }
        let offsets = pixels.map(|pixel| {
            if pixel < self.width {
                pixel * self.step
            } else {
                0
            }
        });
        for (bytes, row) in rows.iter_mut().zip(&self.rows) {
            // SAFETY: all pixels are the row's.
            let there = unsafe { gathered::<P>(row.bytes, offsets) };
            *bytes = _mm512_mask_mov_epi32(*bytes, inside, there);
        }
        self.interleaved(rows)
    }

    /// As [`Self::column`], counted from the first pixel of the input on.
    ///
    /// # Safety
    ///
    /// All of them are whole pixels of the input.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    unsafe fn whole_column(&self, start: usize) -> Column {
        let at = start * self.step;
        let mut rows = [self.padding; SIDE];
        for (bytes, row) in rows.iter_mut().zip(&self.rows) {
            // SAFETY: by the invariants these are the bytes of all pixels.
            *bytes = unsafe {
                if P == 1 || (S == 1 && self.is_dense) {
                    _mm512_loadu_si512(row.bytes.as_ptr().add(at).cast())
                } else {
                    let offsets = core::array::from_fn(|index| at + index * S * self.step);
                    gathered::<P>(row.bytes, offsets)
                }
            };
        }
        self.interleaved(rows)
    }

    /// The columns of every other one of `2 * P` pixels, and of those between them.
    ///
    /// # Safety
    ///
    /// They are the input's, and `is_dense`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    unsafe fn whole_columns(&self, start: usize) -> [Column; 2] {
        let (mut even, mut odd) = ([self.padding; SIDE], [self.padding; SIDE]);
        for ((even, odd), row) in even.iter_mut().zip(&mut odd).zip(&self.rows) {
            // SAFETY: by the invariants these are the bytes of all pixels.
            let [low, high] = unsafe {
                let at = row.bytes.as_ptr().add(start * self.step);
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
        // (bytes & mask) ^ flip
        let [mut a, mut b, mut c] = rows;
        for (bytes, row) in [&mut a, &mut b, &mut c].into_iter().zip(&self.rows) {
            *bytes = _mm512_ternarylogic_epi32::<0x6a>(*bytes, row.mask, row.flip);
        }
        let (low_ab, high_ab) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (low_c, high_c) = (_mm512_unpacklo_epi8(c, c), _mm512_unpackhi_epi8(c, c));
        [
            _mm512_unpacklo_epi16(low_ab, low_c),
            _mm512_unpackhi_epi16(low_ab, low_c),
            _mm512_unpacklo_epi16(high_ab, high_c),
            _mm512_unpackhi_epi16(high_ab, high_c),
        ]
    }
}

/// Whether `P` pixels fill a vector.
pub(super) const fn is_dense<const P: usize>(window: &Window) -> bool {
    window.in_c * P == VECTOR
}

/// The bytes from some offsets on.
///
/// # Safety
///
/// There are `VECTOR / P` bytes at each.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
unsafe fn gathered<const P: usize>(bytes: &[u8], offsets: [usize; P]) -> __m512i {
    // SAFETY: the caller's contract.
    unsafe {
        let at = |index: usize| bytes.as_ptr().add(offsets[index]);
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
fn shifted<const P: usize>(first: Column, next: Column, by: usize) -> Column {
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
