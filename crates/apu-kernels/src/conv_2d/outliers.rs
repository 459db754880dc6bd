//! Outliers: what few weights have beyond a signed byte.

use super::Conv2d;
use core::ops::Range;

/// The outliers of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Outliers<'a> {
    /// Words of [`Outlier`](apu_proto::program::Outlier), little-endian.
    list: &'a [[[u8; 4]; 3]],
    /// The channel of the list that the first of the output is.
    first: usize,
    /// The padded K.
    depth: usize,
    /// Bytes of a kernel row, and those that aren't padding.
    pitch: usize,
    taps: usize,
}

/// An outlier on the output channels that were asked for.
pub(super) struct Outlier {
    /// The channel, from the first that was asked for on.
    pub lane: usize,
    /// Where in the padded K.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "only the fast paths have windows in one piece")
    )]
    pub tap: usize,
    /// The same, as a kernel row and a byte of it.
    pub kernel_y: usize,
    pub offset: usize,
    /// What the weight has more.
    pub rest: i32,
}

impl<'a> Outliers<'a> {
    /// Those in `bytes`.
    pub fn new(conv: &Conv2d, bytes: &'a [u8]) -> Self {
        Self {
            list: bytes.as_chunks().0.as_chunks().0,
            first: conv.first_channel,
            depth: conv.depth,
            pitch: conv.pitch,
            taps: conv.window.kernel_w * conv.window.in_c,
        }
    }

    /// Those of some channels of the output.
    #[inline(always)]
    pub fn of(self, channels: Range<usize>) -> impl Iterator<Item = Outlier> {
        let first = self.first + channels.start;
        self.list.iter().filter_map(move |&[channel, tap, rest]| {
            let lane = (u32::from_le_bytes(channel) as usize).checked_sub(first)?;
            let tap = u32::from_le_bytes(tap) as usize;
            let rest = i32::from_le_bytes(rest);
            let (kernel_y, offset) = (tap / self.pitch, tap % self.pitch);
            let is_there = tap < self.depth && offset < self.taps;
            (lane < channels.len() && is_there).then_some(Outlier {
                lane,
                tap,
                kernel_y,
                offset,
                rest,
            })
        })
    }
}

impl Outlier {
    /// What it adds to a channel's sum, of an unsigned byte.
    #[inline(always)]
    pub fn times(&self, tap: u8) -> i32 {
        self.rest.wrapping_mul(tap.into())
    }
}
