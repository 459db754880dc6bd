//! The channel table: bias, multiplier and shift of every output channel, and perhaps ramps.

use crate::{
    Error,
    limits::{bytes, within},
    requant::{Factor, Ties},
};
use apu_proto::program;

/// Channels are padded to a multiple of this.
pub(crate) const LANES: usize = 16;
/// Arrays of every table.
const ARRAYS: usize = 3;

/// One word a channel.
pub(crate) type Words<'a> = &'a [[u8; 4]];

/// A channel table, three arrays or more of little-endian words one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelTable<'a> {
    pub bias: Words<'a>,
    pub multiplier: Words<'a>,
    pub shift: Words<'a>,
    pub ties: Ties,
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "other processors have no use for them")
    )]
    pub ramps: Option<Ramps<'a>>,
}

/// The ramps of channels; see [`program::Ramps`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "other processors have no use for them")
)]
pub(crate) struct Ramps<'a> {
    pub slope: Words<'a>,
    pub start: Words<'a>,
    /// If they are bent.
    pub start_below: Option<Words<'a>>,
    /// If they are fine.
    pub rest: Option<Words<'a>>,
}

/// The arrays of a channel table behind the first three.
pub(crate) fn ramp_arrays(raw: u32) -> Result<u32, Error> {
    within("ramps", raw, 0, program::Ramps::FINE.into())?;
    match raw {
        1 => Err(Error::Contradiction {
            field: "ramps",
            got: 1,
            other: "none (0), straight (2), bent (3) or fine (4)",
            needed: 0,
        }),
        arrays => Ok(arrays),
    }
}

impl<'a> ChannelTable<'a> {
    /// The size in bytes of the table of `channels` channels, with so many arrays of ramps.
    pub fn bytes(channels: u32, ramps: u32) -> Result<u32, Error> {
        let arrays = ARRAYS as u32 + ramp_arrays(ramps)?;
        let padded = channels.next_multiple_of(LANES as u32);
        bytes("channel table", &[padded, arrays, 4])
    }

    /// The table in `bytes`, which has the size of a whole table and `others` bytes, and those.
    #[inline]
    pub fn new(bytes: &'a [u8], ties: Ties, ramps: u32, others: usize) -> (Self, &'a [u8]) {
        let (words, between) = (bytes.as_chunks().0, others / size_of::<i32>());
        let channels = (words.len() - between) / (ARRAYS + ramps as usize);
        let array = |index: usize, before: usize| {
            let start = index * channels + before;
            words.get(start..start + channels).unwrap_or_default()
        };
        let ramp = |index| array(ARRAYS + index, between);
        let table = Self {
            bias: array(0, 0),
            multiplier: array(1, 0),
            shift: array(2, 0),
            ties,
            ramps: (ramps != program::Ramps::NONE).then(|| Ramps {
                slope: ramp(0),
                start: ramp(1),
                start_below: (ramps >= program::Ramps::BENT).then(|| ramp(2)),
                rest: (ramps >= program::Ramps::FINE).then(|| ramp(3)),
            }),
        };
        let others = ARRAYS * channels * size_of::<i32>();
        (table, &bytes[others..][..between * size_of::<i32>()])
    }

    /// The table from a channel on.
    #[inline]
    pub fn from(self, channel: usize) -> Self {
        if channel == 0 {
            return self;
        }
        let rest = |words: Words<'a>| words.get(channel..).unwrap_or_default();
        Self {
            bias: rest(self.bias),
            multiplier: rest(self.multiplier),
            shift: rest(self.shift),
            ties: self.ties,
            ramps: self.ramps.map(|ramps| Ramps {
                slope: rest(ramps.slope),
                start: rest(ramps.start),
                start_below: ramps.start_below.map(rest),
                rest: ramps.rest.map(rest),
            }),
        }
    }

    /// The bias of a channel.
    pub fn bias(&self, channel: usize) -> i32 {
        i32::from_le_bytes(self.bias[channel])
    }

    /// A channel's sum in steps of the output.
    pub fn rescale(&self, channel: usize, sum: i32) -> i32 {
        let words = [self.multiplier[channel], self.shift[channel]].map(i32::from_le_bytes);
        Factor::from_words(self.ties, words).rescale(sum)
    }
}
