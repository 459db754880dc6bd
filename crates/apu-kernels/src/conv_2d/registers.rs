//! Tiles whose sums stay in registers until they are bytes (AVX512-VNNI). Where a column has few weights, what follows
//! the multiplications takes longer than those, and sums that go through memory longer still.

use super::{
    avx512::{Column, MAX_BLOCKS, Product, Targets, load_4},
    extras::Extras,
    runs::Run,
};
use crate::{
    channel_table::LANES,
    x86::avx512::{Folded, Rounds, load, store_64},
};
use core::arch::x86_64::*;

/// Most vectors of weights of a column for which that is faster: of a single block, for which taps are
/// loaded two groups at once otherwise, and of more.
const FEW_WEIGHTS: [usize; 2] = [16, 128];

/// Whether a run and a column are of a size for that.
#[inline(always)]
pub(super) fn fits<const B: usize>(run: &Run<'_>, column: &Column<'_, B>) -> bool {
    let (count, rows) = (run.pixels.len(), if B < 3 { 8 } else { 4 });
    // Windows of the last tile that are done already cost as much as others.
    count >= rows
        && 4 * count.next_multiple_of(rows) <= 5 * count
        && column.weights.len() <= FEW_WEIGHTS[usize::from(B > 1)]
}

impl<const FLIP: bool> Product<'_, FLIP> {
    /// A run times a column that [`fits`], `R` windows at once.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub(super) fn in_registers<const R: usize, const B: usize, const AWAY: bool>(
        &self,
        run: &Run<'_>,
        column: &Column<'_, B>,
        folded: &[Folded; B],
        extras: &Extras,
        output: &mut [u8],
    ) {
        let (rounds, finish) = (Rounds::<AWAY>::new(), self.finish);
        let zero = _mm512_setzero_si512();
        let (count, groups) = (run.pixels.len(), self.conv.pitch / 4);
        assert!(count >= R && column.weights.len() >= B * self.depth);
        let channels = self.conv.window.out_c;
        let width = (B * LANES).min(channels - column.store.channel);
        // Rows whose bytes fill a vector.
        let most = const { MAX_BLOCKS / B };
        let is_dense = most == 1 || (width == B * LANES && width == channels);
        for first in (0..count).step_by(R) {
            let first = first.min(count - R);
            let mut sums = [[zero; B]; R];
            sums.fill(column.bias);
            for kernel_y in 0..self.conv.window.kernel_h {
                let (bytes, stride) = run.kernel_row(self.conv, kernel_y);
                let bytes = &bytes[first * stride..];
                assert!(bytes.len() >= (R - 1) * stride + 4 * groups);
                for group in 0..groups {
                    let mut weights = [zero; B];
                    for (block, weights) in weights.iter_mut().enumerate() {
                        let index = block * self.depth + kernel_y * groups + group;
                        // SAFETY: there are `B` times `depth` weights, and a kernel row's groups end within `depth`.
                        *weights = load(unsafe { column.weights.get_unchecked(index) });
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the last of `R` rows, `stride` apart, has `groups` groups of four bytes.
                        let taps = unsafe { load_4(bytes, row * stride + 4 * group) };
                        self.add_products(sums, taps, weights);
                    }
                }
            }
            for extra in extras.iter().map_while(Option::as_ref) {
                let (bytes, stride) = run.kernel_row(self.conv, extra.kernel_y);
                let bytes = &bytes[first * stride + extra.offset..];
                assert!(bytes.len() >= (R - 1) * stride + 4);
                let mut weights = [zero; B];
                for (block, weights) in weights.iter_mut().enumerate() {
                    let lanes = if block == extra.block { !0 } else { 0 };
                    *weights = _mm512_maskz_mov_epi32(lanes, extra.weights);
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: the last of `R` rows, `stride` apart, has four bytes.
                    let taps = unsafe { load_4(bytes, row * stride) };
                    self.add_products(sums, taps, weights);
                }
            }
            let start = (run.pixels.start + first) * channels + column.store.channel;
            let mut targets = Targets {
                bytes: &mut output[start..][..(R - 1) * channels + width],
                width,
                step: channels,
            };
            let per = most * B;
            // Each by itself, so that no sum needs an address.
            macro_rules! store {
                ($index:literal) => {
                    if $index * per < R * B {
                        let mut scaled = [zero; MAX_BLOCKS];
                        for (lane, scaled) in scaled.iter_mut().enumerate().take(per) {
                            let sum = sums[($index * per + lane) / B][lane % B];
                            *scaled = rounds.apply(&folded[lane % B], sum);
                        }
                        let bytes = finish.folded_4x16(scaled);
                        let row = $index * most;
                        if is_dense {
                            store_64(&mut targets.bytes[row * channels..][..most * width], bytes);
                        } else {
                            targets.store::<B>(bytes, row, most);
                        }
                    }
                };
            }
            store!(0);
            store!(1);
            store!(2);
            store!(3);
        }
    }

    /// Adds the products of four taps and the weights of some blocks.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add_products<const B: usize>(
        &self,
        sums: &mut [__m512i; B],
        taps: i32,
        weights: [__m512i; B],
    ) {
        let mut taps = _mm512_set1_epi32(taps);
        if FLIP {
            taps = _mm512_xor_si512(taps, self.flip);
        }
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
        }
    }
}
