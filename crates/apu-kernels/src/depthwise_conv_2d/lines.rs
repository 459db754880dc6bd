//! Lines: the rows of the input that an output row needs, four of them interleaved byte by byte, so
//! that one 32-bit word holds four taps of a channel (AVX-512).

use super::DepthwiseConv2d;
use crate::{
    window::{Pixel, Window},
    x86::avx512::load_64,
};
use core::{arch::x86_64::*, mem::MaybeUninit, ops::Range};

/// Words of all lines of a tile, 16 KiB.
const ROOM: usize = 4096;
/// What interleaving 64 bytes may write, and a last vector read, behind a line.
const SLACK: usize = 64;
/// Most output positions of a tile.
pub(super) const MAX_POSITIONS: usize = 96;
/// Most channels of a block.
const MAX_WIDTH: usize = 64;
/// Kernel rows in one word.
pub(super) const ROWS: usize = 4;

/// How the output of a window is cut into tiles. An output position is a vector of sixteen bytes:
/// sixteen channels of a pixel or, where there are few and windows move by one pixel, those of some.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    window: Window,
    /// Output pixels of a position.
    pub repeat: usize,
    /// Groups of [`ROWS`] kernel rows.
    pub groups: usize,
    /// Output rows that are computed from one line: two, if four rows of the input are all they need.
    pub rows: usize,
    /// Words of a column in a line, that is channels of a block.
    pub width: usize,
    /// Words of a line.
    pub pitch: usize,
    /// Positions of an output row.
    across: usize,
    /// Positions of a tile's rows.
    wide: usize,
    /// Output rows of a tile.
    high: usize,
}

impl Grid {
    /// None if the lines of some positions have no room, whatever the block.
    pub fn new(window: Window) -> Option<Self> {
        let groups = window.kernel_h.div_ceil(ROWS);
        // A position has at most sixteen pixels.
        if groups * (reach(&window) + 16) * MAX_WIDTH > ROOM {
            return None;
        }
        let channels = window.out_c;
        let few = channels < 16 && 16 % channels == 0 && window.stride_w == 1;
        let (repeat, width) = if few {
            (16 / channels, channels)
        } else {
            let blocks = channels.div_ceil(MAX_WIDTH);
            (1, channels.div_ceil(blocks).next_multiple_of(16))
        };
        let across = window.out_w.div_ceil(repeat);
        let room = ROOM / (groups * width) - reach(&window) - 1;
        let most = (room / window.stride_w + 1) / repeat;
        let wide = most.clamp(1, MAX_POSITIONS).min(across);
        let pitch = columns(&window, wide * repeat) * width;
        let lines = match wide < across {
            true => 1,
            false => (ROOM / (groups * pitch)).min(MAX_POSITIONS / wide).max(1),
        };
        let overlap = (window.stride_h, window.dilation_h) == (1, 1) && window.kernel_h < ROWS;
        let rows = 1 + usize::from(overlap);
        Some(Self {
            window,
            repeat,
            groups,
            rows,
            width,
            pitch,
            across,
            wide,
            high: lines * rows,
        })
    }

    /// All blocks of channels.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (channels, width) = (self.window.out_c, self.width);
        (0..channels).step_by(width).map(move |channel| Block {
            channel,
            channels: width.min(channels - channel),
        })
    }

    /// All tiles of a block.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> + use<> {
        let (out_h, across) = (self.window.out_h, self.across);
        let (high, wide) = (self.high, self.wide);
        (0..self.window.batch).flat_map(move |batch| {
            (0..out_h).step_by(high).flat_map(move |y| {
                (0..across).step_by(wide).map(move |x| Tile {
                    batch,
                    y: y..out_h.min(y + high),
                    x: x..across.min(x + wide),
                })
            })
        })
    }
}

/// Input columns under the windows of `pixels` side by side.
fn columns(window: &Window, pixels: usize) -> usize {
    (pixels - 1) * window.stride_w + reach(window) + 1
}

/// How far the last column of a window is from the first.
fn reach(window: &Window) -> usize {
    (window.kernel_w - 1) * window.dilation_w
}

/// Some output positions that are computed together.
pub(super) struct Tile {
    pub batch: usize,
    /// Output rows.
    pub y: Range<usize>,
    /// Positions of each.
    pub x: Range<usize>,
}

/// Channels that are computed one after the other from the same lines.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// The first.
    pub channel: usize,
    /// How many.
    pub channels: usize,
}

/// The lines of a tile: for each output row, or each two, and each group of kernel rows the columns, for each of
/// those one word a channel. Vectors of them don't cross cache lines.
#[repr(align(64))]
pub(super) struct Lines {
    words: [MaybeUninit<u32>; ROOM + SLACK],
}

impl Lines {
    pub fn new() -> Self {
        Self {
            words: [MaybeUninit::uninit(); ROOM + SLACK],
        }
    }

    /// The words; [`Self::fill`] has written those of each column of a tile.
    #[inline(always)]
    pub fn words(&self) -> &[MaybeUninit<u32>] {
        &self.words
    }

    /// Reads the rows of the input that a tile needs.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn fill(
        &mut self,
        conv: &DepthwiseConv2d,
        grid: &Grid,
        block: Block,
        tile: &Tile,
        input: &[u8],
    ) {
        let window = &conv.window;
        let columns = columns(window, tile.x.len() * grid.repeat);
        let x = tile.x.start * grid.repeat * window.stride_w;
        let left = window.pad_left.saturating_sub(x).min(columns);
        let start = (x + left - window.pad_left).min(window.in_w);
        let inside = (columns - left).min(window.in_w - start);
        let pieces = Pieces::new(window, grid.width, block, start, inside);
        let padding = [conv.input_zero_point as u8; MAX_WIDTH];
        let edge = MaybeUninit::new(u32::from_ne_bytes([padding[0] ^ conv.byte.flip(); ROWS]));
        let [left, right, end] = [left, left + inside, columns].map(|column| column * grid.width);
        let kernel_h = window.kernel_h + grid.rows - 1;
        for (index, y) in tile.y.clone().step_by(grid.rows).enumerate() {
            let pixel = Pixel {
                batch: tile.batch,
                y,
                x: 0,
            };
            for group in 0..grid.groups {
                let mut rows = [Row::padding(&padding); ROWS];
                for (row, kernel_y) in rows.iter_mut().zip(group * ROWS..kernel_h) {
                    if let Some(y) = window.row(pixel, kernel_y) {
                        *row = pieces.row(&input[window.at(tile.batch, y, 0)..]);
                    }
                }
                let line = &mut self.words[(index * grid.groups + group) * grid.pitch..];
                line[..left].fill(edge);
                interleave(conv, &pieces, rows, &mut line[left..]);
                line[right..end].fill(edge);
            }
        }
    }
}

/// Bytes of each row that are interleaved at once.
const PIECE: usize = 64;

/// What is interleaved at once: the next bytes of a row or, if a block is not all channels, its part
/// of the next pixel, and what follows that.
struct Pieces {
    /// Where the first begins in a row.
    first: usize,
    count: usize,
    /// Bytes from one to the next in a row, words in a line.
    row_step: usize,
    line_step: usize,
}

impl Pieces {
    /// `inside` columns of a row, from column `start` on.
    fn new(window: &Window, width: usize, block: Block, start: usize, inside: usize) -> Self {
        let first = start * window.in_c + block.channel;
        if width == window.in_c {
            return Self {
                first,
                count: (inside * width).div_ceil(PIECE),
                row_step: PIECE,
                line_step: PIECE,
            };
        }
        Self {
            first,
            count: inside,
            row_step: window.in_c,
            line_step: width,
        }
    }

    fn row<'a>(&self, bytes: &'a [u8]) -> Row<'a> {
        Row {
            bytes: bytes.get(self.first..).unwrap_or_default(),
            step: self.row_step,
        }
    }
}

/// A row of the input, or of padding.
#[derive(Clone, Copy)]
struct Row<'a> {
    /// From the first piece on.
    bytes: &'a [u8],
    /// From one piece to the next.
    step: usize,
}

impl<'a> Row<'a> {
    /// The same bytes for each piece.
    fn padding(bytes: &'a [u8]) -> Self {
        Self { bytes, step: 0 }
    }

    /// How far from its beginning on there are [`PIECE`] bytes, at least.
    fn whole(&self) -> usize {
        match self.step {
            0 => usize::MAX,
            _ => (self.bytes.len() + 1).saturating_sub(PIECE),
        }
    }
}

/// Writes the words of all pieces, taken as unsigned bytes. What it writes behind a piece, up to 64
/// words from its beginning, has no meaning.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn interleave(
    conv: &DepthwiseConv2d,
    pieces: &Pieces,
    rows: [Row<'_>; ROWS],
    line: &mut [MaybeUninit<u32>],
) {
    let flip = _mm512_set1_epi8(conv.byte.flip() as i8);
    let whole = rows.iter().fold(usize::MAX, |n, row| n.min(row.whole()));
    for piece in 0..pieces.count {
        let is_whole = piece * pieces.row_step < whole;
        let mut bytes = [flip; ROWS];
        for (bytes, row) in bytes.iter_mut().zip(&rows) {
            let at = piece * row.step;
            *bytes = if is_whole {
                // SAFETY: `at` is 0, of a row that has 64 bytes, or `row_step` times the piece, from where on the
                // row has as many.
                unsafe { _mm512_loadu_si512(row.bytes.as_ptr().add(at).cast()) }
            } else {
                load_64(&row.bytes[at..], flip)
            };
            *bytes = _mm512_xor_si512(*bytes, flip);
        }
        let target = &mut line[piece * pieces.line_step..][..PIECE];
        for (target, words) in target.as_chunks_mut::<16>().0.iter_mut().zip(words(bytes)) {
            // SAFETY: the reference covers 64 writable bytes, and the store asks for no alignment.
            unsafe { _mm512_storeu_si512(target.as_mut_ptr().cast(), words) };
        }
    }
}

/// The words of four vectors of bytes, in the order of the bytes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn words(mut rows: [__m512i; ROWS]) -> [__m512i; 4] {
    // Unpacking works on quarters: this gives each of them the bytes that end up in order.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for row in &mut rows {
        *row = _mm512_permutexvar_epi32(order, *row);
    }
    let [a, b, c, d] = rows;
    let (low_ab, high_ab) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (low_cd, high_cd) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(low_ab, low_cd),
        _mm512_unpackhi_epi16(low_ab, low_cd),
        _mm512_unpacklo_epi16(high_ab, high_cd),
        _mm512_unpackhi_epi16(high_ab, high_cd),
    ]
}
