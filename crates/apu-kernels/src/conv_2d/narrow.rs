//! Windows whose rows fit a vector, unfolded by a load and a store for each row (AVX-512).

use super::Conv2d;
use crate::{
    window::Pixel,
    x86::avx512::{load_64, store_16, store_64},
};
use core::arch::x86_64::*;

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
    let row = Row {
        left: columns.start * window.in_c,
        right: columns.end * window.in_c,
        padding: _mm512_set1_epi8(conv.input_zero_point as i8),
        flip: _mm512_set1_epi8(conv.byte.flip() as i8),
    };
    for kernel_y in 0..window.kernel_h {
        let start = window
            .row(pixel, kernel_y)
            .map(|y| window.at(pixel.batch, y, x));
        let target = &mut target[kernel_y * conv.pitch..];
        match target.first_chunk_mut::<16>() {
            Some(target) if conv.pitch <= 16 => {
                let flip = _mm512_castsi512_si128(row.flip);
                store_16(target, _mm_xor_si128(row.load_16(input, start), flip));
            }
            _ => {
                let most = target.len().min(64);
                let bytes = _mm512_xor_si512(row.load_64(input, start), row.flip);
                store_64(&mut target[..most], bytes);
            }
        }
    }
}

/// Which bytes of a window's row lie on the input, and what the others are.
struct Row {
    left: usize,
    right: usize,
    padding: __m512i,
    flip: __m512i,
}

impl Row {
    /// The row whose byte `left` is that of the input at `start`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn load_16(&self, input: &[u8], start: Option<usize>) -> __m128i {
        let padding = _mm512_castsi512_si128(self.padding);
        let Some(start) = start else { return padding };
        // A load with a mask takes many times longer than a mask behind the load.
        match input
            .get(start.wrapping_sub(self.left)..)
            .and_then(<[u8]>::first_chunk::<16>)
        {
            // SAFETY: the reference covers 16 readable bytes.
            Some(row) => unsafe {
                let row = _mm_loadu_si128(row.as_ptr().cast());
                _mm_mask_mov_epi8(padding, self.lanes() as u16, row)
            },
            None => _mm512_castsi512_si128(self.few(input, start)),
        }
    }

    /// As [`Self::load_16`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn load_64(&self, input: &[u8], start: Option<usize>) -> __m512i {
        let Some(start) = start else {
            return self.padding;
        };
        match input
            .get(start.wrapping_sub(self.left)..)
            .and_then(<[u8]>::first_chunk::<64>)
        {
            Some(row) => {
                _mm512_mask_mov_epi8(self.padding, self.lanes(), load_64(row, self.padding))
            }
            None => self.few(input, start),
        }
    }

    /// The lanes of bytes on the input.
    #[inline(always)]
    fn lanes(&self) -> u64 {
        (!0 >> (64 - self.right)) & (!0 << self.left)
    }

    /// The row where the input has no whole vector.
    #[cold]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn few(&self, input: &[u8], start: usize) -> __m512i {
        let source = &input[start..][..self.right - self.left];
        // SAFETY: `lanes` are those of `source`, and no others are read.
        unsafe {
            let start = source.as_ptr().wrapping_sub(self.left);
            _mm512_mask_loadu_epi8(self.padding, self.lanes(), start.cast())
        }
    }
}
