//! The convolution as a matrix product of sixteen channels (NEON): two taps an instruction, four with
//! dot products, and with matrix products eight of two rows and two channels.
//!
//! All of these multiply signed bytes: `Σ a·w` of unsigned ones is `Σ (a − 128)·w + 128·Σ w`.

use super::{
    Conv2d,
    outliers::Outliers,
    rows::{Rows, Tile, Weights, each_block, equally_long},
    unfold::each_panel,
};
use crate::{
    aarch64::{
        bytes::{load, load_words, store_16},
        products::{sdot, smmla},
        scale::{Factors, Finish, Sums, channels},
    },
    byte::Byte,
    channel_table::{ChannelTable, LANES},
    isa::Products,
};
use core::arch::aarch64::*;

/// Operands of a convolution.
pub(super) struct Operands<'a> {
    pub input: &'a [u8],
    pub weights: &'a [u8],
    pub table: ChannelTable<'a>,
    pub outliers: Outliers<'a>,
    pub output: &'a mut [u8],
    pub scratch: &'a mut [u8],
}

/// Computes a convolution.
pub(super) fn run(products: Products, conv: &Conv2d, operands: Operands<'_>) {
    match conv.byte {
        Byte::Int8 => dispatch::<false>(products, conv, operands),
        Byte::UInt8 => dispatch::<true>(products, conv, operands),
    }
}

/// `FLIP` is whether stored bytes are unsigned.
fn dispatch<const FLIP: bool>(products: Products, conv: &Conv2d, operands: Operands<'_>) {
    match products {
        // SAFETY: here and below, a level is a proof that the processor has its instructions.
        Products::Long => unsafe { long_products::<FLIP>(conv, operands) },
        // SAFETY: as above.
        Products::Dot => unsafe { dot_products::<FLIP>(conv, operands) },
        // SAFETY: as above.
        Products::Matrix => unsafe { matrix_products::<FLIP>(conv, operands) },
    }
}

#[target_feature(enable = "neon")]
fn long_products<const FLIP: bool>(conv: &Conv2d, operands: Operands<'_>) {
    each_column(conv, operands, |mut rows, block| {
        let column = Column::<FLIP>::new(conv, block);
        while let Some(tile) = rows.take::<2>() {
            column.store(pairs(&tile.rows, &column), tile);
        }
        if let Some(tile) = rows.take::<1>() {
            column.store(pairs(&tile.rows, &column), tile);
        }
    });
}

#[target_feature(enable = "neon,dotprod")]
fn dot_products<const FLIP: bool>(conv: &Conv2d, operands: Operands<'_>) {
    each_column(conv, operands, |mut rows, block| {
        let column = Column::<FLIP>::new(conv, block);
        while let Some(tile) = rows.take::<6>() {
            column.store(quads(&tile.rows, &column), tile);
        }
        if let Some(tile) = rows.take::<4>() {
            column.store(quads(&tile.rows, &column), tile);
        }
        while let Some(tile) = rows.take::<1>() {
            column.store(quads(&tile.rows, &column), tile);
        }
    });
}

#[target_feature(enable = "neon,dotprod,i8mm")]
fn matrix_products<const FLIP: bool>(conv: &Conv2d, operands: Operands<'_>) {
    each_column(conv, operands, |mut rows, block| {
        let column = Column::<FLIP>::new(conv, block);
        while let Some(tile) = rows.take::<4>() {
            column.store(squares::<FLIP, 2, 4>(&tile.rows, &column), tile);
        }
        if let Some(tile) = rows.take::<2>() {
            column.store(squares::<FLIP, 1, 2>(&tile.rows, &column), tile);
        }
        if let Some(tile) = rows.take::<1>() {
            column.store(quads(&tile.rows, &column), tile);
        }
    });
}

/// Sixteen channels of `R` rows, two taps an instruction.
#[inline]
#[target_feature(enable = "neon")]
fn pairs<const FLIP: bool, const R: usize>(
    rows: &[&[[u8; 4]]; R],
    column: &Column<'_, FLIP>,
) -> [Sums; R] {
    // Each vector sums two pairs of taps of two channels apart.
    let mut apart = [[[vdupq_n_s32(0); 2]; 4]; R];
    let rows = equally_long(rows, column.block.weights.len());
    for (k, weights) in column.block.weights.iter().enumerate() {
        let weights = quarters(weights);
        for (apart, row) in apart.iter_mut().zip(rows) {
            let taps = vget_low_s8(column.taps(row[k]));
            for ([low, high], weights) in apart.iter_mut().zip(weights) {
                *low = vpadalq_s16(*low, vmull_s8(taps, vget_low_s8(weights)));
                *high = vpadalq_s16(*high, vmull_s8(taps, vget_high_s8(weights)));
            }
        }
    }
    let mut sums = [column.start; R];
    for (sums, apart) in sums.iter_mut().zip(apart) {
        for (sum, [low, high]) in sums.iter_mut().zip(apart) {
            *sum = vaddq_s32(*sum, vpaddq_s32(low, high));
        }
    }
    sums
}

/// Sixteen channels of `R` rows, four taps an instruction.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn quads<const FLIP: bool, const R: usize>(
    rows: &[&[[u8; 4]]; R],
    column: &Column<'_, FLIP>,
) -> [Sums; R] {
    let mut sums = [column.start; R];
    let rows = equally_long(rows, column.block.weights.len());
    for (k, weights) in column.block.weights.iter().enumerate() {
        let weights = quarters(weights);
        for (sums, row) in sums.iter_mut().zip(rows) {
            add_quads(sums, column.taps(row[k]), weights);
        }
    }
    sums
}

/// Adds the products of four taps.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_quads(sums: &mut Sums, taps: int8x16_t, weights: [int8x16_t; 4]) {
    for (sum, weights) in sums.iter_mut().zip(weights) {
        *sum = sdot(*sum, taps, weights);
    }
}

/// Sixteen channels of `P` pairs of rows, which are `R`, eight taps an instruction.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn squares<const FLIP: bool, const P: usize, const R: usize>(
    rows: &[&[[u8; 4]]; R],
    column: &Column<'_, FLIP>,
) -> [Sums; R] {
    // Each vector has the sums of two channels of one row, then those of the other.
    let mut apart = [[[vdupq_n_s32(0); 2]; 4]; P];
    let rows = equally_long(rows, column.block.weights.len());
    let (steps, rest) = column.block.weights.as_chunks::<2>();
    for (step, [first, second]) in steps.iter().enumerate() {
        let mut taps = [vdupq_n_s8(0); P];
        for (taps, pair) in taps.iter_mut().zip(rows.as_chunks::<2>().0) {
            *taps = column.taps_of_both(pair, 2 * step);
        }
        for (quarter, (first, second)) in quarters(first)
            .into_iter()
            .zip(quarters(second))
            .enumerate()
        {
            let (first, second) = (vreinterpretq_s32_s8(first), vreinterpretq_s32_s8(second));
            let low_weights = vreinterpretq_s8_s32(vzip1q_s32(first, second));
            let high_weights = vreinterpretq_s8_s32(vzip2q_s32(first, second));
            for (apart, taps) in apart.iter_mut().zip(taps) {
                let [low, high] = &mut apart[quarter];
                *low = smmla(*low, taps, low_weights);
                *high = smmla(*high, taps, high_weights);
            }
        }
    }
    let mut sums = [column.start; R];
    for (pair, apart) in sums.as_chunks_mut::<2>().0.iter_mut().zip(apart) {
        for (quarter, [low, high]) in apart.into_iter().enumerate() {
            let (low, high) = (vreinterpretq_s64_s32(low), vreinterpretq_s64_s32(high));
            let rows = [vzip1q_s64(low, high), vzip2q_s64(low, high)];
            for (sums, row) in pair.iter_mut().zip(rows) {
                sums[quarter] = vaddq_s32(sums[quarter], vreinterpretq_s32_s64(row));
            }
        }
    }
    if let [weights] = rest {
        let weights = quarters(weights);
        for (sums, row) in sums.iter_mut().zip(rows) {
            add_quads(sums, column.taps(row[2 * steps.len()]), weights);
        }
    }
    sums
}

/// Four taps of four channels each.
#[inline]
#[target_feature(enable = "neon")]
fn quarters(weights: &[u8; 64]) -> [int8x16_t; 4] {
    let mut quarters = [vdupq_n_s8(0); 4];
    for (quarter, bytes) in quarters.iter_mut().zip(weights.as_chunks().0) {
        *quarter = vreinterpretq_s8_u8(load(bytes));
    }
    quarters
}

/// Calls `multiply` with the rows of each panel and each block of channels.
#[inline(always)]
fn each_column<'a>(
    conv: &Conv2d,
    operands: Operands<'a>,
    mut multiply: impl FnMut(Rows<'_>, Block<'a>),
) {
    let Operands {
        input,
        weights,
        table,
        outliers,
        output,
        scratch,
    } = operands;
    each_panel(conv, input, output, scratch, |panel, output| {
        each_block(conv, panel, weights, output, |rows, weights, channel| {
            let block = Block {
                weights,
                channel,
                table,
                outliers,
            };
            multiply(rows, block);
        });
    });
}

/// A block of sixteen channels, from one on.
#[derive(Clone, Copy)]
struct Block<'a> {
    weights: Weights<'a>,
    channel: usize,
    table: ChannelTable<'a>,
    outliers: Outliers<'a>,
}

/// What is the same for all rows.
struct Column<'a, const FLIP: bool> {
    conv: &'a Conv2d,
    block: Block<'a>,
    /// Biases, and what signed taps lack.
    start: Sums,
    factors: Factors,
    finish: Finish,
}

impl<'a, const FLIP: bool> Column<'a, FLIP> {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(conv: &'a Conv2d, block: Block<'a>) -> Self {
        let mut sums = [vdupq_n_s32(0); 4];
        for weights in block.weights {
            for (sum, weights) in sums.iter_mut().zip(quarters(weights)) {
                *sum = vpadalq_s16(*sum, vpaddlq_s8(weights));
            }
        }
        let mut start = channels(block.table.bias, block.channel);
        for (start, sum) in start.iter_mut().zip(sums) {
            *start = vaddq_s32(*start, vshlq_n_s32::<7>(sum));
        }
        Self {
            conv,
            block,
            start,
            factors: Factors::of(&block.table, block.channel),
            finish: Finish::new(conv.output_zero_point, conv.clamp),
        }
    }

    /// Four taps of a row, four times.
    #[inline]
    #[target_feature(enable = "neon")]
    fn taps(&self, bytes: [u8; 4]) -> int8x16_t {
        self.signed(vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(bytes))))
    }

    /// Eight taps of one row, from a group on, then those of the other.
    #[inline]
    #[target_feature(enable = "neon")]
    fn taps_of_both(&self, rows: &[&[[u8; 4]]; 2], group: usize) -> int8x16_t {
        let mut halves = [0; 2];
        for (half, row) in halves.iter_mut().zip(rows) {
            let (low, high) = (row[group], row[group + 1]);
            *half = u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32;
        }
        self.signed(vcombine_s8(vcreate_s8(halves[0]), vcreate_s8(halves[1])))
    }

    /// Stored bytes less 128, or as they are if they are signed.
    #[inline]
    #[target_feature(enable = "neon")]
    fn signed(&self, bytes: int8x16_t) -> int8x16_t {
        if FLIP {
            veorq_s8(bytes, vdupq_n_s8(i8::MIN))
        } else {
            bytes
        }
    }

    /// Rescales and stores the sums of some rows.
    #[inline]
    #[target_feature(enable = "neon")]
    fn store<const R: usize>(&self, mut sums: [Sums; R], tile: Tile<'_, R>) {
        let Block {
            channel, outliers, ..
        } = self.block;
        for outlier in outliers.of(channel..channel + LANES) {
            for (sums, row) in sums.iter_mut().zip(tile.rows) {
                let tap = row.as_flattened()[outlier.tap] ^ self.conv.byte.flip();
                let mut more = [[0; 4]; LANES];
                more[outlier.lane] = outlier.times(tap).to_le_bytes();
                for (sum, more) in sums.iter_mut().zip(more.chunks(4)) {
                    *sum = vaddq_s32(*sum, load_words(more));
                }
            }
        }
        let end = self.conv.window.out_c.min(channel + LANES);
        let rows = tile.output.chunks_exact_mut(self.conv.window.out_c);
        for ((row, mut sums), correction) in rows.zip(sums).zip(tile.corrections) {
            for sum in &mut sums {
                *sum = vsubq_s32(*sum, vdupq_n_s32(correction));
            }
            let bytes = self.finish.bytes(self.factors.apply(sums));
            store_16(&mut row[channel..end], bytes);
        }
    }
}
