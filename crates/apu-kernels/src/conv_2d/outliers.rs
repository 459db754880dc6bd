//! Outliers: what few weights have beyond a signed byte.

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
}

/// An outlier on the output channels that were asked for.
pub(super) struct Outlier {
    /// The channel, from the first that was asked for on.
    pub lane: usize,
    /// Where in the padded K.
    pub tap: usize,
    rest: i32,
}

impl<'a> Outliers<'a> {
    /// Those in `bytes`, for an output that begins with channel `first`.
    pub fn new(bytes: &'a [u8], first: usize, depth: usize) -> Self {
        let list = bytes.as_chunks().0.as_chunks().0;
        Self { list, first, depth }
    }

    /// Those of some channels of the output.
    #[inline(always)]
    pub fn of(self, channels: Range<usize>) -> impl Iterator<Item = Outlier> {
        let (first, depth) = (self.first + channels.start, self.depth);
        self.list.iter().filter_map(move |&[channel, tap, rest]| {
            let lane = (u32::from_le_bytes(channel) as usize).checked_sub(first)?;
            let tap = u32::from_le_bytes(tap) as usize;
            let rest = i32::from_le_bytes(rest);
            (lane < channels.len() && tap < depth).then_some(Outlier { lane, tap, rest })
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
