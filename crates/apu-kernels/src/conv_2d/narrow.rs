//! Windows whose rows fit a vector, unfolded by a load and a store for each row (AVX-512).

use super::Conv2d;
use crate::{
    window::Pixel,
    x86::avx512::{load_64, store_16, store_64},
};
use core::{arch::x86_64::*, ops::Range};

/// Whether [`unfold_narrow`] takes the windows of a convolution.
pub(super) fn takes(conv: &Conv2d) -> bool {
    conv.pitch <= 64 && conv.window.dilation_w == 1
}

/// As [`unfold_pixel`](super::unfold::unfold_pixel), of windows that this [`takes`], in unsigned bytes. What pads a row
/// to the pitch is left to chance: its weights are zeros.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn unfold_narrow(conv: &Conv2d, pixel: Pixel, input: &[u8], target: &mut [u8]) {
    let window = &conv.window;
    let (columns, x) = window.columns(pixel);
    let row = Row::new(conv, columns.start * window.in_c..columns.end * window.in_c);
    for kernel_y in 0..window.kernel_h {
        let start = window
            .row(pixel, kernel_y)
            .map(|y| window.at(pixel.batch, y, x));
        let target = &mut target[kernel_y * conv.pitch..];
        match target.first_chunk_mut::<16>() {
            Some(target) if conv.pitch <= 16 => {
                store_16(target, row.load_16(input, start));
            }
            _ => {
                let most = target.len().min(64);
                store_64(&mut target[..most], row.load_64(input, start));
            }
        }
    }
}

/// Which bytes of a row lie on the input, and what the others are. Bytes become unsigned.
pub(super) struct Row {
    bytes: Range<usize>,
    padding: __m512i,
    flip: __m512i,
}

impl Row {
    /// No more than a vector of bytes.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(conv: &Conv2d, bytes: Range<usize>) -> Self {
        Self {
            bytes,
            padding: _mm512_set1_epi8(conv.input_zero_point as i8),
            flip: _mm512_set1_epi8(conv.byte.flip() as i8),
        }
    }

    /// The row whose first byte on the input is that at `start`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn load_16(&self, input: &[u8], start: Option<usize>) -> __m128i {
        let padding = _mm512_castsi512_si128(self.padding);
        // A load with a mask takes many times longer than a mask behind the load.
        let row = match start.map(|start| (start, self.chunk::<16>(input, start))) {
            None => padding,
            // SAFETY: the reference covers 16 readable bytes.
            Some((_, Some(row))) => unsafe {
                let row = _mm_loadu_si128(row.as_ptr().cast());
                _mm_mask_mov_epi8(padding, self.lanes() as u16, row)
            },
            Some((start, None)) => _mm512_castsi512_si128(self.few(input, start)),
        };
        _mm_xor_si128(row, _mm512_castsi512_si128(self.flip))
    }

    /// As [`Self::load_16`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn load_64(&self, input: &[u8], start: Option<usize>) -> __m512i {
        let row = match start.map(|start| (start, self.chunk::<64>(input, start))) {
            None => self.padding,
            Some((_, Some(row))) => {
                _mm512_mask_mov_epi8(self.padding, self.lanes(), load_64(row, self.padding))
            }
            Some((start, None)) => self.few(input, start),
        };
        _mm512_xor_si512(row, self.flip)
    }

    /// The bytes of the input where the row is, if it has as many there.
    #[inline(always)]
    fn chunk<'a, const N: usize>(&self, input: &'a [u8], start: usize) -> Option<&'a [u8; N]> {
        input
            .get(start.wrapping_sub(self.bytes.start)..)?
            .first_chunk()
    }

    /// The lanes of bytes on the input.
    #[inline(always)]
    fn lanes(&self) -> u64 {
        let from = |lane: usize| u64::MAX.checked_shl(lane as u32).unwrap_or(0);
        from(self.bytes.start) & !from(self.bytes.end)
    }

    /// The row where the input has no whole vector.
    #[cold]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn few(&self, input: &[u8], start: usize) -> __m512i {
        let source = &input[start..][..self.bytes.len()];
        // SAFETY: `lanes` are those of `source`, and no others are read.
        unsafe {
            let start = source.as_ptr().wrapping_sub(self.bytes.start);
            _mm512_mask_loadu_epi8(self.padding, self.lanes(), start.cast())
        }
    }
}
