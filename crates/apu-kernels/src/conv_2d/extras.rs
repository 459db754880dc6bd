//! Outliers as groups of taps that are multiplied once more (AVX-512).

use super::{
    avx512::{Column, Product, Sums, load_4},
    outliers::{Outlier, Outliers},
    runs::Run,
};
use crate::channel_table::LANES;
use core::{arch::x86_64::*, ops::Range};

/// Most of a column.
const MAX_EXTRAS: usize = 6;

/// What the weights of a column have more.
pub(super) type Extras = [Option<Extra>; MAX_EXTRAS];

/// A group of taps once more, with weights of its own.
#[derive(Clone, Copy)]
pub(super) struct Extra {
    pub kernel_y: usize,
    /// Where in a kernel row.
    pub offset: usize,
    /// Of these sixteen lanes.
    pub block: usize,
    /// The one of them that the weights are for, as a mask, and those.
    lane: __mmask16,
    taps: i32,
}

impl Extra {
    /// The weights: zeros but for one lane.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn weights(&self) -> __m512i {
        _mm512_maskz_set1_epi32(self.lane, self.taps)
    }

    /// The weights of each of `B` blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn weights_of_blocks<const B: usize>(&self) -> [__m512i; B] {
        let mut weights = [_mm512_setzero_si512(); B];
        for (block, weights) in weights.iter_mut().enumerate() {
            if block == self.block {
                *weights = self.weights();
            }
        }
        weights
    }
}

/// The outliers of some channels, each of which has `lanes` lanes; none if there are more than have room.
pub(super) fn extras(
    outliers: Outliers<'_>,
    channels: Range<usize>,
    lanes: usize,
) -> Option<Extras> {
    let mut extras = [None; MAX_EXTRAS];
    let mut free = extras.iter_mut();
    for outlier in outliers.of(channels) {
        let lane = outlier.lane * lanes;
        let mut rest = outlier.rest;
        while rest != 0 {
            let part = rest.clamp(i8::MIN.into(), i8::MAX.into());
            rest -= part;
            *free.next()? = Some(Extra {
                kernel_y: outlier.kernel_y,
                offset: outlier.offset / 4 * 4,
                block: lane / LANES,
                lane: 1 << (lane % LANES),
                taps: i32::from(part as u8) << (8 * (outlier.offset % 4)),
            });
        }
    }
    Some(extras)
}

impl<const FLIP: bool> Product<'_, FLIP> {
    /// Adds the outliers to the sums of windows `rows`. Where there are none it is to be out of the way.
    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub(super) fn add_outliers<const B: usize>(
        &self,
        run: &Run<'_>,
        rows: Range<usize>,
        column: &Column<'_, B>,
        sums: &mut Sums,
    ) {
        if let Some(extras) = &column.extras {
            for extra in extras.iter().map_while(Option::as_ref) {
                self.add_extra::<B>(run, rows.clone(), extra, sums);
            }
            return;
        }
        let channel = column.store.channel;
        for outlier in self.outliers.of(channel..channel + B * LANES) {
            self.add_outlier::<B>(run, rows.clone(), &outlier, sums);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add_extra<const B: usize>(
        &self,
        run: &Run<'_>,
        rows: Range<usize>,
        extra: &Extra,
        sums: &mut Sums,
    ) {
        let (bytes, stride) = run.kernel_row(self.conv, extra.kernel_y);
        let bytes = &bytes[rows.start * stride + extra.offset..];
        assert!(bytes.len() >= (rows.len() - 1) * stride + 4);
        for (index, sums) in sums
            .as_chunks_mut::<B>()
            .0
            .iter_mut()
            .take(rows.len())
            .enumerate()
        {
            // SAFETY: the last row, `stride` apart from the one before, has four bytes.
            let mut taps = _mm512_set1_epi32(unsafe { load_4(bytes, index * stride) });
            if FLIP {
                taps = _mm512_xor_si512(taps, self.flip);
            }
            let sum = &mut sums[extra.block];
            *sum = _mm512_dpbusd_epi32(*sum, taps, extra.weights());
        }
    }

    /// Adds an outlier to the sums of windows `rows`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add_outlier<const B: usize>(
        &self,
        run: &Run<'_>,
        rows: Range<usize>,
        outlier: &Outlier,
        sums: &mut Sums,
    ) {
        let flip = if FLIP { self.conv.byte.flip() } else { 0 };
        let (bytes, stride) = run.kernel_row(self.conv, outlier.kernel_y);
        let lane = 1 << (outlier.lane % LANES);
        for (sums, row) in sums.as_chunks_mut::<B>().0.iter_mut().zip(rows) {
            let more = outlier.times(bytes[row * stride + outlier.offset] ^ flip);
            let sum = &mut sums[outlier.lane / LANES];
            *sum = _mm512_mask_add_epi32(*sum, lane, *sum, _mm512_set1_epi32(more));
        }
    }
}
