//! How sums become bytes, and where those go (AVX-512).

use super::avx512::{MAX_BLOCKS, Product, Sums};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::{
        avx512::{Finish, load_words, quarters, store_16, store_64},
        ramp::{BENT, FINE, Factors, STRAIGHT, packed_4x16},
    },
};
use core::{arch::x86_64::*, ops::Range};

/// Rescales sums of `B` blocks of channels and stores them as bytes.
pub(super) struct Store<'a, const B: usize> {
    pub channel: usize,
    /// Channels of the output.
    channels: usize,
    pub factors: Factors<B>,
    pub finish: &'a Finish,
}

impl<'a, const B: usize> Store<'a, B> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new<const FLIP: bool>(product: &'a Product<'_, FLIP>, channel: usize) -> Self {
        Self {
            channel,
            channels: product.conv.window.out_c,
            factors: factors(&product.table, channel),
            finish: &product.finish,
        }
    }

    /// Stores the sums of windows `rows`; those of a window lie side by side.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn rows(&self, sums: &Sums, rows: Range<usize>, output: &mut [u8]) {
        let finish = *self.finish;
        match &self.factors {
            Factors::Straight(ramps) => self.each(sums, rows, output, move |sums| {
                packed_4x16::<STRAIGHT>(&finish, again(ramps), sums)
            }),
            Factors::Bent(ramps) => self.each(sums, rows, output, move |sums| {
                packed_4x16::<BENT>(&finish, again(ramps), sums)
            }),
            Factors::Fine(ramps) => self.each(sums, rows, output, move |sums| {
                packed_4x16::<FINE>(&finish, again(ramps), sums)
            }),
            Factors::Exact(factors) => self.each(sums, rows, output, move |mut sums| {
                for (sum, factors) in sums.iter_mut().zip(again(factors)) {
                    *sum = factors.apply(*sum);
                }
                finish.packed_4x16(sums)
            }),
        }
    }

    /// As [`Self::rows`], with what packs the bytes of the sums of some rows.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn each(
        &self,
        sums: &Sums,
        rows: Range<usize>,
        output: &mut [u8],
        packed: impl Fn([__m512i; MAX_BLOCKS]) -> __m512i,
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
            let bytes = self.finish.in_rows(packed(some));
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

/// How sums of the `N` blocks of channels from `channel` on become steps.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn factors<const N: usize>(table: &ChannelTable<'_>, channel: usize) -> Factors<N> {
    Factors::new(table, |words| {
        let mut blocks = [_mm512_setzero_si512(); N];
        for (block, lanes) in blocks.iter_mut().enumerate() {
            *lanes = load_words(words.get(channel + block * LANES..).unwrap_or_default());
        }
        blocks
    })
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
