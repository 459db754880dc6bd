//! The rows of a panel that a matrix product has still to do.

use super::{Conv2d, unfold::row_sums};
use crate::channel_table::LANES;
use apu_proto::program::CONV_TILE;

/// Packed weights of a block of channels: four taps of sixteen channels in each element.
pub(super) type Weights<'a> = &'a [[u8; 64]];

/// Calls `multiply` for each block of channels with all rows of a panel, the block's weights and its first
/// channel.
#[inline(always)]
pub(super) fn each_block<'w>(
    conv: &Conv2d,
    panel: &[[u8; 4]],
    weights: &'w [u8],
    output: &mut [u8],
    mut multiply: impl FnMut(Rows<'_>, Weights<'w>, usize),
) {
    let mut corrections = [0; CONV_TILE];
    row_sums(conv, panel, &mut corrections);
    let (depth, channels) = (conv.depth / 4, conv.window.out_c);
    for (index, block) in weights.as_chunks().0.chunks_exact(depth).enumerate() {
        let rows = Rows {
            panel,
            corrections: &corrections,
            output,
            depth,
            channels,
        };
        multiply(rows, block, index * LANES);
    }
}

/// The same rows, with a length that the compiler knows.
#[inline(always)]
pub(super) fn equally_long<'a, const R: usize>(
    rows: &[&'a [[u8; 4]]; R],
    depth: usize,
) -> [&'a [[u8; 4]]; R] {
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..depth];
    }
    rows
}

/// What is left of a panel, of the corrections of its rows and of their outputs.
pub(super) struct Rows<'a> {
    pub panel: &'a [[u8; 4]],
    pub corrections: &'a [i32],
    pub output: &'a mut [u8],
    /// Groups of four taps in a row.
    pub depth: usize,
    /// Channels in a row of the output.
    pub channels: usize,
}

impl<'a> Rows<'a> {
    /// Rows left.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.output.len() / self.channels
    }

    /// Splits off the next `R` rows, if there are as many.
    #[inline(always)]
    pub fn take<const R: usize>(&mut self) -> Option<Tile<'a, R>> {
        if self.count() < R {
            return None;
        }
        let (&corrections, corrections_rest) = self.corrections.split_first_chunk()?;
        let (panel, panel_rest) = self.panel.split_at(R * self.depth);
        let (output, output_rest) =
            core::mem::take(&mut self.output).split_at_mut(R * self.channels);
        (self.panel, self.corrections, self.output) = (panel_rest, corrections_rest, output_rest);
        let mut rows = [panel; R];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = &panel[index * self.depth..][..self.depth];
        }
        Some(Tile {
            rows,
            corrections,
            output,
        })
    }
}

/// `R` rows of a panel and what belongs to them.
pub(super) struct Tile<'a, const R: usize> {
    /// Taps, all rows of one length.
    pub rows: [&'a [[u8; 4]]; R],
    pub corrections: [i32; R],
    pub output: &'a mut [u8],
}
