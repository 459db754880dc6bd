//! Outliers as groups of taps that are multiplied once more (AVX-512).

use super::outliers::Outliers;
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
    /// Zeros but for one lane.
    pub weights: __m512i,
}

impl Extra {
    /// The weights of each of `B` blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn weights_of_blocks<const B: usize>(&self) -> [__m512i; B] {
        let mut weights = [_mm512_setzero_si512(); B];
        for (block, weights) in weights.iter_mut().enumerate() {
            let lanes = if block == self.block { !0 } else { 0 };
            *weights = _mm512_maskz_mov_epi32(lanes, self.weights);
        }
        weights
    }
}

/// The outliers of some channels, each of which has `lanes` lanes; none if there are more than have room.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
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
            let word = i32::from(part as u8) << (8 * (outlier.offset % 4));
            *free.next()? = Some(Extra {
                kernel_y: outlier.kernel_y,
                offset: outlier.offset / 4 * 4,
                block: lane / LANES,
                weights: _mm512_maskz_mov_epi32(1 << (lane % LANES), _mm512_set1_epi32(word)),
            });
        }
    }
    Some(extras)
}
