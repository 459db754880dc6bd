//! Strips of output pixels, and where the taps of each lie in the input.

use crate::window::{Pixel, Window};

/// Pixels in a strip: enough to prepare the weights of a block of channels once for many.
const STRIP: usize = 16;
/// Pairs of taps that a strip can describe.
pub(super) const MAX_PAIRS: usize = 32;
/// Most taps of a window that a strip can describe.
pub(super) const MAX_TAPS: usize = 2 * MAX_PAIRS;
/// The place of a tap in the padding: beyond every input.
const PADDING: u32 = u32::MAX;

/// The places of the taps of the pixels of a strip, pair by pair, as offsets into the input. An odd
/// last tap stands twice; its second weight is zero.
pub(super) struct Places {
    places: [[[u32; 2]; MAX_PAIRS]; STRIP],
    pairs: usize,
}

impl Places {
    /// The pairs of taps of each pixel.
    #[inline(always)]
    pub fn pixels(&self) -> impl Iterator<Item = &[[u32; 2]]> {
        self.places.iter().map(|pairs| &pairs[..self.pairs])
    }

    fn set(&mut self, index: usize, window: &Window, pixel: Pixel) {
        let mut taps = 0;
        for kernel_y in 0..window.kernel_h {
            for kernel_x in 0..window.kernel_w {
                let place = window
                    .tap(pixel, kernel_y, kernel_x)
                    .map_or(PADDING, |at| at as u32);
                let pair = &mut self.places[index][taps / 2];
                pair[taps % 2] = place;
                pair[1] = place;
                taps += 1;
            }
        }
    }

    /// The pixel to the right of the one before, both with all kernel columns on the input.
    fn step(&mut self, index: usize, step: u32) {
        let (before, rest) = self.places.split_at_mut(index);
        let (Some(before), Some(pixel)) = (before.last(), rest.first_mut()) else {
            return;
        };
        for (to, from) in pixel[..self.pairs].iter_mut().zip(before) {
            *to = from.map(|place| place.saturating_add(step));
        }
    }
}

/// Calls `strip` for strip after strip, with the part of the output that belongs to it. The window
/// has at most [`MAX_TAPS`] taps.
#[inline(always)]
pub(super) fn each_strip(
    window: &Window,
    output: &mut [u8],
    mut strip: impl FnMut(&Places, &mut [u8]),
) {
    let pairs = (window.kernel_h * window.kernel_w).div_ceil(2);
    let mut places = Places {
        places: [[[PADDING; 2]; MAX_PAIRS]; STRIP],
        pairs,
    };
    let mut pixels = window.pixels();
    let step = (window.stride_w * window.in_c) as u32;
    for output in output.chunks_mut(STRIP * window.out_c) {
        let count = output.len() / window.out_c;
        let mut before_is_inside = false;
        for (index, pixel) in pixels.by_ref().take(count).enumerate() {
            let inside = is_inside(window, pixel.x);
            if inside && before_is_inside && pixel.x > 0 {
                places.step(index, step);
            } else {
                places.set(index, window, pixel);
            }
            before_is_inside = inside;
        }
        strip(&places, output);
    }
}

/// Whether all columns of the windows of output column `x` are on the input.
fn is_inside(window: &Window, x: usize) -> bool {
    let start = x * window.stride_w;
    let reach = (window.kernel_w - 1) * window.dilation_w;
    start >= window.pad_left && start - window.pad_left + reach < window.in_w
}
