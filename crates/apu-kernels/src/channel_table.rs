//! The channel table: bias, multiplier and shift of every output channel.

use crate::{
    Error,
    limits::bytes,
    requant::{Rescale, Ties, rescale_float, round_even},
};

/// Channels are padded to a multiple of this.
pub(crate) const LANES: usize = 16;

/// A channel table, three arrays of little-endian words one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelTable<'a> {
    pub bias: &'a [[u8; 4]],
    pub multiplier: &'a [[u8; 4]],
    pub shift: &'a [[u8; 4]],
    pub ties: Ties,
}

impl<'a> ChannelTable<'a> {
    /// The size in bytes of the table of `channels` channels.
    pub fn bytes(channels: u32) -> Result<u32, Error> {
        bytes(
            "channel table",
            &[channels.next_multiple_of(LANES as u32), 3, 4],
        )
    }

    /// The table in `bytes`, which has the size of a whole table.
    pub fn new(bytes: &'a [u8], ties: Ties) -> Self {
        let words = bytes.as_chunks().0;
        let (bias, rest) = words.split_at(words.len() / 3);
        let (multiplier, shift) = rest.split_at(rest.len() / 2);
        Self {
            bias,
            multiplier,
            shift,
            ties,
        }
    }

    /// The table from a channel on.
    pub fn from(self, channel: usize) -> Self {
        let rest = |words: &'a [[u8; 4]]| words.get(channel..).unwrap_or_default();
        Self {
            bias: rest(self.bias),
            multiplier: rest(self.multiplier),
            shift: rest(self.shift),
            ties: self.ties,
        }
    }

    /// The bias of a channel.
    pub fn bias(&self, channel: usize) -> i32 {
        i32::from_le_bytes(self.bias[channel])
    }

    /// A channel's sum in steps of the output.
    pub fn rescale(&self, channel: usize, sum: i32) -> i32 {
        let (low, high) = (self.multiplier[channel], self.shift[channel]);
        let fixed = Rescale::from_words(i32::from_le_bytes(low), i32::from_le_bytes(high));
        match self.ties {
            Ties::Away => fixed.apply(sum),
            Ties::Up => fixed.apply_up(sum),
            Ties::Even => round_even(sum as f32 * f32::from_bits(u32::from_le_bytes(low))),
            Ties::AwayFloat => {
                let bits = u64::from(u32::from_le_bytes(high)) << 32;
                rescale_float(
                    f64::from_bits(bits | u64::from(u32::from_le_bytes(low))),
                    sum,
                )
            }
        }
    }
}
