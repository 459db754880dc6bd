//! Strips of output pixels, and where the taps of each lie in the input.

use crate::window::{Pixel, Window};

/// Pixels in a strip: enough to prepare the weights of a block of channels once for many.
const STRIP: usize = 32;
/// Pairs of taps that a strip can describe.
pub(super) const MAX_PAIRS: usize = 32;
/// Most taps of a window that a strip can describe.
pub(super) const MAX_TAPS: usize = 2 * MAX_PAIRS;
/// The place of a tap in the padding: beyond every input.
const PADDING: u32 = u32::MAX;

/// A window's taps, pair by pair. An odd last tap stands twice; its second weight is zero.
type Pairs = [[u32; 2]; MAX_PAIRS];

/// The taps of a window that lies wholly on the input, as offsets from its first one.
pub(super) struct Offsets {
    pairs: Pairs,
    count: usize,
}

impl Offsets {
    fn new(window: &Window) -> Self {
        let offsets = taps(window)
            .map(|(y, x)| y * window.dilation_h * window.in_w + x * window.dilation_w)
            .map(|pixels| (pixels * window.in_c) as u32);
        let pairs = pair_up(offsets, 0);
        Self {
            pairs,
            count: (window.kernel_h * window.kernel_w).div_ceil(2),
        }
    }

    /// The offsets, pair by pair.
    #[inline(always)]
    pub fn pairs(&self) -> &[[u32; 2]] {
        &self.pairs[..self.count]
    }
}

/// Where the taps of one output pixel lie.
pub(super) enum Places<'a> {
    /// All on the input, the first one here.
    Inside(usize, &'a Offsets),
    /// Places in the input, pair by pair, beyond every input for a tap in the padding.
    Edge(&'a [[u32; 2]]),
}

impl<'a> Places<'a> {
    /// The places and what to add to each.
    #[inline(always)]
    pub fn pairs(&self) -> (usize, &'a [[u32; 2]]) {
        match *self {
            Self::Inside(start, offsets) => (start, offsets.pairs()),
            Self::Edge(pairs) => (0, pairs),
        }
    }
}

/// Some output pixels that are computed together.
pub(super) struct Strip {
    offsets: Offsets,
    /// The first tap of each window that lies wholly on the input.
    starts: [Option<u32>; STRIP],
    /// The places of the taps of the others.
    edges: [Pairs; STRIP],
}

impl Strip {
    fn new(window: &Window) -> Self {
        Self {
            offsets: Offsets::new(window),
            starts: [None; STRIP],
            edges: [[[PADDING; 2]; MAX_PAIRS]; STRIP],
        }
    }

    /// Where the taps of each pixel lie.
    #[inline(always)]
    pub fn pixels(&self) -> impl Iterator<Item = Places<'_>> {
        self.starts
            .iter()
            .zip(&self.edges)
            .map(|(start, edge)| match *start {
                Some(start) => Places::Inside(start as usize, &self.offsets),
                None => Places::Edge(&edge[..self.offsets.count]),
            })
    }

    fn set(&mut self, index: usize, window: &Window, pixel: Pixel) {
        self.starts[index] = if is_inside(window, pixel) {
            window.tap(pixel, 0, 0).map(|at| at as u32)
        } else {
            None
        };
        if self.starts[index].is_none() {
            let places = taps(window).map(|(y, x)| window.tap(pixel, y, x));
            let places = places.map(|place| place.map_or(PADDING, |at| at as u32));
            self.edges[index] = pair_up(places, PADDING);
        }
    }
}

/// Row and column of each tap of a window.
fn taps(window: &Window) -> impl Iterator<Item = (usize, usize)> + use<> {
    let columns = window.kernel_w;
    (0..window.kernel_h).flat_map(move |y| (0..columns).map(move |x| (y, x)))
}

/// Whether all taps of the window of an output pixel are on the input.
fn is_inside(window: &Window, pixel: Pixel) -> bool {
    let on_input = |at: usize, stride, pad, reach, size| {
        let start = at * stride;
        start >= pad && start - pad + reach < size
    };
    let reach_h = (window.kernel_h - 1) * window.dilation_h;
    let reach_w = (window.kernel_w - 1) * window.dilation_w;
    on_input(
        pixel.y,
        window.stride_h,
        window.pad_top,
        reach_h,
        window.in_h,
    ) && on_input(
        pixel.x,
        window.stride_w,
        window.pad_left,
        reach_w,
        window.in_w,
    )
}

/// Taps two by two; an odd last one twice, and `rest` where there are no more.
fn pair_up(taps: impl Iterator<Item = u32>, rest: u32) -> Pairs {
    let mut pairs = [[rest; 2]; MAX_PAIRS];
    for (index, tap) in taps.enumerate().take(MAX_TAPS) {
        pairs[index / 2][1] = tap;
        pairs[index / 2][index % 2] = tap;
    }
    pairs
}

/// Calls `strip` for strip after strip, with the part of the output that belongs to it. The window
/// has at most [`MAX_TAPS`] taps.
#[inline(always)]
pub(super) fn each_strip(
    window: &Window,
    output: &mut [u8],
    mut each: impl FnMut(&Strip, &mut [u8]),
) {
    let mut strip = Strip::new(window);
    let mut pixels = window.pixels();
    for output in output.chunks_mut(STRIP * window.out_c) {
        let count = output.len() / window.out_c;
        for (index, pixel) in pixels.by_ref().take(count).enumerate() {
            strip.set(index, window, pixel);
        }
        each(&strip, output);
    }
}
