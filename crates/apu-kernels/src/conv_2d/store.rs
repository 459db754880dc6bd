//! How sums become bytes, and where those go (AVX-512).

use super::avx512::{MAX_BLOCKS, Product, Sums};
use crate::{
    channel_table::{ChannelTable, LANES},
    requant::Ties,
    x86::{
        avx512::{Even, Finish, Rescale, quarters, store_16, store_64},
        estimate::{Estimate, estimated_4x16},
    },
};
use core::{arch::x86_64::*, ops::Range};

/// Rescales sums of `B` blocks of channels and stores them as bytes.
pub(super) struct Store<'a, const B: usize> {
    table: ChannelTable<'a>,
    pub channel: usize,
    /// Channels of the output.
    channels: usize,
    pub factors: Factors<B>,
    pub finish: &'a Finish,
}

/// How sums are rescaled, and what of it all blocks have in common.
pub(super) enum Factors<const B: usize> {
    /// The usual case, with ties up.
    Up([Estimate; B]),
    /// The usual case, with ties away from zero.
    Away([Estimate; B]),
    /// Anything in fixed point, as the table has it.
    Any,
    /// In f32.
    Even([Even; B]),
}

impl<const B: usize> Factors<B> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new<const FLIP: bool>(product: &Product<'_, FLIP>, channel: usize) -> Self {
        let (conv, table) = (product.conv, &product.table);
        let channels = conv.window.out_c;
        let channel_of = |block| channel + block * LANES;
        if table.ties == Ties::Even {
            let mut even = [Even::of(table, channel); B];
            for (block, even) in even.iter_mut().enumerate().skip(1) {
                *even = Even::of(table, channel_of(block));
            }
            return Self::Even(even);
        }
        let any = rescales::<B>(table, channel);
        // Preparing estimates costs more than it spares a single window.
        let mut usual = conv.window.out_bytes() as usize > channels;
        for (block, any) in any.iter().enumerate() {
            usual &= any.shifts_right(channels - channel_of(block));
        }
        if !usual {
            return Self::Any;
        }
        let mut estimates = [Estimate::new(&any[0], conv.byte, conv.output_zero_point); B];
        for (estimate, any) in estimates.iter_mut().zip(&any).skip(1) {
            *estimate = Estimate::new(any, conv.byte, conv.output_zero_point);
        }
        // Where negative results are clamped to the zero point, it doesn't matter how they are rounded.
        if table.ties == Ties::Up || conv.clamp.min >= conv.output_zero_point {
            Self::Up(estimates)
        } else {
            Self::Away(estimates)
        }
    }
}

impl<'a, const B: usize> Store<'a, B> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new<const FLIP: bool>(product: &'a Product<'_, FLIP>, channel: usize) -> Self {
        Self {
            table: product.table,
            channel,
            channels: product.conv.window.out_c,
            factors: Factors::new(product, channel),
            finish: &product.finish,
        }
    }

    /// The bytes of as many sums as fill a vector, where estimates may be wrong.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn exactly(&self, [a, b, c, d]: [__m512i; MAX_BLOCKS]) -> __m512i {
        // The sums get an address here alone: elsewhere they stay in registers.
        self.exactly_of(&[a, b, c, d])
    }

    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn exactly_of(&self, sums: &[__m512i; MAX_BLOCKS]) -> __m512i {
        let factors = rescales::<B>(&self.table, self.channel);
        let mut scaled = *sums;
        for (sum, factors) in scaled.iter_mut().zip(again(&factors)) {
            *sum = factors.apply(*sum);
        }
        self.finish.bytes_4x16(scaled)
    }

    /// Stores the sums of windows `rows`; those of a window lie side by side.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn rows(&self, sums: &Sums, rows: Range<usize>, output: &mut [u8]) {
        let finish = *self.finish;
        match &self.factors {
            Factors::Up(factors) => {
                self.each(sums, rows, output, move |sums| {
                    match estimated_4x16::<false>(&finish, again(factors), sums) {
                        (bytes, margin) if !margin.is_close() => finish.in_rows(bytes),
                        _ => self.exactly(sums),
                    }
                })
            }
            Factors::Away(factors) => {
                self.each(sums, rows, output, move |sums| {
                    match estimated_4x16::<true>(&finish, again(factors), sums) {
                        (bytes, margin) if !margin.is_close() => finish.in_rows(bytes),
                        _ => self.exactly(sums),
                    }
                })
            }
            Factors::Any => {
                let factors = rescales::<B>(&self.table, self.channel);
                self.each(sums, rows, output, move |mut sums| {
                    for (sum, factors) in sums.iter_mut().zip(again(&factors)) {
                        *sum = factors.apply(*sum);
                    }
                    finish.bytes_4x16(sums)
                })
            }
            Factors::Even(factors) => self.each(sums, rows, output, move |mut sums| {
                for (sum, factors) in sums.iter_mut().zip(again(factors)) {
                    *sum = factors.apply(*sum);
                }
                finish.bytes_4x16(sums)
            }),
        }
    }

    /// As [`Self::rows`], with what makes bytes of the sums of some rows.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn each(
        &self,
        sums: &Sums,
        rows: Range<usize>,
        output: &mut [u8],
        bytes: impl Fn([__m512i; MAX_BLOCKS]) -> __m512i,
    ) {
        let width = (B * LANES).min(self.channels - self.channel);
        // As many rows as fit a vector of bytes.
        let most = const { MAX_BLOCKS / B };
        let is_dense = most == 1 || (width == B * LANES && width == self.channels);
        let mut targets = Targets {
            bytes: &mut output[rows.start * self.channels + self.channel..],
            width,
            step: self.channels,
        };
        let count = rows.len();
        for (index, row) in (0..count).step_by(most).enumerate() {
            // What is there of rows behind the last is computed too, and not stored.
            let sums = &sums[index * most * B..][..most * B];
            let mut some = [_mm512_setzero_si512(); MAX_BLOCKS];
            some[..most * B].copy_from_slice(sums);
            let bytes = bytes(some);
            let count = most.min(count - row);
            if is_dense {
                store_64(
                    &mut targets.bytes[row * self.channels..][..count * width],
                    bytes,
                );
            } else {
                targets.store::<B>(bytes, row, count);
            }
        }
    }
}

/// The factors of `B` blocks of channels.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn rescales<const B: usize>(table: &ChannelTable<'_>, channel: usize) -> [Rescale; B] {
    let mut factors = [Rescale::of(table, channel); B];
    for (block, factors) in factors.iter_mut().enumerate().skip(1) {
        *factors = Rescale::of(table, channel + block * LANES);
    }
    factors
}

/// The factors of as many sums as fill a vector of bytes.
#[inline(always)]
pub(super) fn again<T, const B: usize>(factors: &[T; B]) -> [&T; MAX_BLOCKS] {
    core::array::from_fn(|index| &factors[index % B])
}

/// Where the bytes of a column's rows go.
pub(super) struct Targets<'a> {
    /// From the first byte of the first row on.
    pub bytes: &'a mut [u8],
    /// Bytes of a row.
    pub width: usize,
    /// From one row to the next.
    pub step: usize,
}

impl Targets<'_> {
    /// Stores `count` rows from `row` on, each of `B` blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn store<const B: usize>(&mut self, bytes: __m512i, row: usize, count: usize) {
        let quarters = quarters(bytes);
        for (index, quarters) in quarters.chunks_exact(B).take(count).enumerate() {
            let row = &mut self.bytes[(row + index) * self.step..][..self.width];
            for (bytes, &quarter) in row.chunks_mut(LANES).zip(quarters) {
                store_16(bytes, quarter);
            }
        }
    }
}
