//! Small images (AVX512-VNNI): sixteen channels of one become words once, with the padding around them, so that a tap is
//! an instruction. To bring bytes of several taps together would take longer than to multiply each by itself.

use super::DepthwiseConv2d;
use crate::{
    channel_table::{ChannelTable, LANES},
    window::Window,
    x86::{
        avx512::{Finish, load_32, load_words, quarters, store_16, store_64},
        ramp::{BENT, FINE, Factors, STRAIGHT, packed_4x16},
    },
};
use core::{arch::x86_64::*, mem::MaybeUninit};

/// Taps of a window; those that smaller ones lack have weights of zero.
const TAPS: usize = 9;
/// Most pixels of an image and its padding.
const MAX_PLACES: usize = 100;
/// Most output pixels of an image.
const MAX_PIXELS: usize = 36;
/// Pixels whose bytes fill a vector.
const AT_ONCE: usize = 4;

/// Where windows and pixels are in an [`Image`].
///
/// # Invariants
///
/// Any of `windows` and any of `taps` together are where one of `places` pixels begins, which are at most
/// [`MAX_PLACES`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Where the first pixels of windows begin, in bytes; that of the last one again and again.
    windows: [u16; MAX_PIXELS + AT_ONCE],
    /// The taps, from there on.
    taps: [u16; TAPS],
    places: usize,
    /// Output pixels.
    pixels: usize,
    /// The input's first pixel, from one row to the next, its rows and columns that are under some window.
    first: usize,
    pitch: usize,
    rows: usize,
    columns: usize,
}

impl Places {
    /// None if windows are of another kind or image and padding have no room.
    pub fn new(window: &Window) -> Option<Self> {
        let sides = [
            (window.out_h - 1) * window.stride_h + window.kernel_h,
            (window.out_w - 1) * window.stride_w + window.kernel_w,
        ];
        let [height, width] = sides;
        let (places, pixels) = (height.saturating_mul(width), window.out_h * window.out_w);
        let is_small = places <= MAX_PLACES
            && pixels <= MAX_PIXELS
            && window.kernel_h * window.kernel_w <= TAPS
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && window.in_c == window.out_c
            && window.out_c.is_multiple_of(LANES);
        if !is_small {
            return None;
        }
        let place = |y: usize, x: usize| ((y * width + x) * size_of::<__m512i>()) as u16;
        let last = place(
            (window.out_h - 1) * window.stride_h,
            (window.out_w - 1) * window.stride_w,
        );
        let mut windows = [last; MAX_PIXELS + AT_ONCE];
        for (index, at) in windows.iter_mut().enumerate().take(pixels) {
            let (y, x) = (index / window.out_w, index % window.out_w);
            *at = place(y * window.stride_h, x * window.stride_w);
        }
        let mut taps = [0; TAPS];
        for (index, tap) in taps
            .iter_mut()
            .enumerate()
            .take(window.kernel_h * window.kernel_w)
        {
            *tap = place(index / window.kernel_w, index % window.kernel_w);
        }
        // INVARIANT: the last tap of the last window is the last place.
        Some(Self {
            windows,
            taps,
            places,
            pixels,
            first: window.pad_top * width + window.pad_left,
            pitch: width,
            rows: window.in_h.min(height.saturating_sub(window.pad_top)),
            columns: window.in_w.min(width.saturating_sub(window.pad_left)),
        })
    }

    /// Whether there are pixels that aren't the input's.
    fn has_padding(&self) -> bool {
        self.rows * self.columns < self.places
    }
}

/// Computes the output of a convolution with these places, of some ties.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &DepthwiseConv2d,
    places: &Places,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    output: &mut [u8],
) {
    let small = Small {
        conv,
        places,
        weights: weights.as_chunks().0,
        table,
        finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
    };
    let window = &conv.window;
    let mut image = Image::new();
    if places.has_padding() {
        image.clear(places);
    }
    for channel in (0..window.out_c).step_by(LANES) {
        let block = Block::new(&small, channel);
        for batch in 0..window.batch {
            image.fill(conv, places, &input[window.at(batch, 0, 0) + channel..]);
            let first = batch * places.pixels * window.out_c;
            small.multiply(&block, &image, &mut output[first + channel..]);
        }
    }
}

/// Sixteen channels of an image, less the zero point, and zeros around it: 32 bits each, of which the lower 16 count.
///
/// # Invariants
///
/// All places have been written after [`Self::fill`].
struct Image {
    pixels: [MaybeUninit<__m512i>; MAX_PLACES],
}

impl Image {
    fn new() -> Self {
        Self {
            pixels: [MaybeUninit::uninit(); MAX_PLACES],
        }
    }

    /// Writes zeros everywhere.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn clear(&mut self, places: &Places) {
        for pixel in &mut self.pixels[..places.places] {
            pixel.write(_mm512_setzero_si512());
        }
    }

    /// Writes the pixels of an input, which begins with the channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn fill(&mut self, conv: &DepthwiseConv2d, places: &Places, input: &[u8]) {
        let channels = conv.window.in_c;
        let flip = _mm_set1_epi8((conv.byte.flip() ^ 0x80) as i8);
        let zero_point = _mm512_set1_epi32(conv.input_zero_point - conv.byte.min() - 128);
        for y in 0..places.rows {
            let bytes = &input[y * conv.window.in_w * channels..];
            let pixels = &mut self.pixels[places.first + y * places.pitch..][..places.columns];
            assert!(bytes.len() >= (places.columns - 1) * channels + LANES);
            for (x, pixel) in pixels.iter_mut().enumerate() {
                // SAFETY: the last column's bytes are there.
                let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().add(x * channels).cast()) };
                let words = _mm512_cvtepi8_epi32(_mm_xor_si128(bytes, flip));
                pixel.write(_mm512_sub_epi32(words, zero_point));
            }
        }
    }
}

/// What is the same for all channels.
struct Small<'a> {
    conv: &'a DepthwiseConv2d,
    places: &'a Places,
    /// Sixteen channels of a tap each.
    weights: &'a [[u8; 2 * LANES]],
    table: ChannelTable<'a>,
    finish: Finish,
}

impl Small<'_> {
    /// Sixteen channels of an image; `output` begins with them.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply(&self, block: &Block, image: &Image, output: &mut [u8]) {
        let (places, channels) = (self.places, self.conv.window.out_c);
        for (index, windows) in places.windows.as_chunks::<AT_ONCE>().0.iter().enumerate() {
            let pixels = index * AT_ONCE..places.pixels.min((index + 1) * AT_ONCE);
            if pixels.is_empty() {
                break;
            }
            let mut sums = [block.bias; AT_ONCE];
            for (&tap, &weights) in places.taps.iter().zip(&block.weights) {
                for (sum, &window) in sums.iter_mut().zip(windows) {
                    // SAFETY: by the places' invariant there is such a pixel, and by the image's it has been written.
                    let taps = unsafe {
                        let window = image.pixels.as_ptr().byte_add(window.into());
                        window.byte_add(tap.into()).cast::<__m512i>().read()
                    };
                    *sum = _mm512_dpwssd_epi32(*sum, taps, weights);
                }
            }
            let bytes = self.bytes(block, sums);
            let output = &mut output[pixels.start * channels..];
            if channels == LANES {
                store_64(&mut output[..pixels.len() * LANES], bytes);
                continue;
            }
            for (index, quarter) in quarters(bytes).into_iter().enumerate().take(pixels.len()) {
                store_16(&mut output[index * channels..][..LANES], quarter);
            }
        }
    }

    /// The bytes of some pixels' sums.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn bytes(&self, block: &Block, sums: [__m512i; AT_ONCE]) -> __m512i {
        let finish = &self.finish;
        finish.in_rows(match &block.factors {
            Factors::Straight([ramp]) => packed_4x16::<STRAIGHT>(finish, [ramp; AT_ONCE], sums),
            Factors::Bent([ramp]) => packed_4x16::<BENT>(finish, [ramp; AT_ONCE], sums),
            Factors::Fine([ramp]) => packed_4x16::<FINE>(finish, [ramp; AT_ONCE], sums),
            Factors::Exact([factors]) => {
                let mut steps = sums;
                for steps in &mut steps {
                    *steps = factors.apply(*steps);
                }
                finish.packed_4x16(steps)
            }
        })
    }
}

/// Sixteen channels.
struct Block {
    bias: __m512i,
    /// Their weights, in the lower halves of 32 bits.
    weights: [__m512i; TAPS],
    factors: Factors<1>,
}

impl Block {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(small: &Small<'_>, channel: usize) -> Self {
        let Small { conv, table, .. } = small;
        let mut weights = [_mm512_setzero_si512(); TAPS];
        let blocks = conv.window.out_c / LANES;
        let taps = small.weights[channel / LANES..].iter().step_by(blocks);
        for (weights, tap) in weights.iter_mut().zip(taps) {
            *weights = _mm512_cvtepu16_epi32(load_32(tap));
        }
        Self {
            bias: load_words(&table.bias[channel..]),
            weights,
            factors: Factors::new(table, |words| [load_words(&words[channel..])]),
        }
    }
}
