//! Where the positions of a tile are, in its lines and in the output (AVX-512).

use super::lines::{Block, Grid, MAX_POSITIONS, Tile};
use crate::window::Window;
use core::ops::Range;

/// Output positions worked on at once.
pub(super) const AT_ONCE: usize = 4;

/// Where the positions of a tile are.
pub(super) struct Places {
    /// What is behind the last position repeats it.
    pub list: [Place; MAX_POSITIONS + AT_ONCE],
    pub count: usize,
    /// What `list` is for: positions of a row, rows, channels of a block.
    shape: (Range<usize>, usize, usize),
    /// Where the first channel of the block is in the output, at the first position.
    pub output: usize,
    /// The largest `line`.
    pub furthest: usize,
    /// The largest `output`, that of a row below included.
    pub last: usize,
    /// The smallest `channels`.
    pub channels: usize,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Where the first tap of the window is in the lines.
    pub line: u32,
    /// Where the first channel of the block is in the output, from the tile's first one on.
    pub output: u32,
    /// How far from there that of the row below is; 0 if that isn't one of the tile's.
    pub below: u32,
    /// Channels from there on that belong to the block and to the row.
    pub channels: u32,
}

impl Places {
    pub fn new() -> Self {
        Self {
            list: [Place::default(); MAX_POSITIONS + AT_ONCE],
            count: 0,
            shape: (0..0, 0, 0),
            output: 0,
            furthest: 0,
            last: 0,
            channels: 0,
        }
    }

    pub fn set(&mut self, window: &Window, grid: &Grid, block: Block, tile: &Tile) {
        let row = tile.batch * window.out_h + tile.y.start;
        let pixel = row * window.out_w + tile.x.start * grid.repeat;
        self.output = pixel * window.out_c + block.channel;
        let shape = (tile.x.clone(), tile.y.len(), block.channels);
        if self.shape != shape {
            self.list(window, grid, block, tile);
            self.shape = shape;
        }
    }

    fn list(&mut self, window: &Window, grid: &Grid, block: Block, tile: &Tile) {
        let (across, high) = (tile.x.len(), tile.y.len());
        let pixel_step = window.stride_w * grid.repeat * grid.width;
        let row_step = window.out_w * window.out_c;
        // From the first position to the end of its row, less the channels before the block.
        let row_end = row_step - tile.x.start * grid.repeat * window.out_c;
        let x_step = grid.repeat * window.out_c;
        let most = block.channels * grid.repeat;
        // Of the last position of a row there may be fewer pixels.
        self.channels = most.min(row_end - (across - 1) * x_step);
        let mut rest = &mut self.list[..];
        for (line, row) in (0..high).step_by(grid.rows).enumerate() {
            let is_below = row + 1 < high && grid.rows > 1;
            let mut place = Place {
                line: (line * grid.groups * grid.pitch) as u32,
                output: (row * row_step) as u32,
                below: if is_below { row_step as u32 } else { 0 },
                channels: most as u32,
            };
            let places;
            (places, rest) = rest.split_at_mut(across);
            for target in &mut *places {
                *target = place;
                place.line += pixel_step as u32;
                place.output += x_step as u32;
            }
            if let Some(last) = places.last_mut() {
                last.channels = self.channels as u32;
                self.last = (last.output + last.below) as usize;
            }
        }
        self.count = high.div_ceil(grid.rows) * across;
        let last = self.list[self.count - 1];
        self.list[self.count..][..AT_ONCE].fill(last);
        self.furthest = last.line as usize;
    }
}
