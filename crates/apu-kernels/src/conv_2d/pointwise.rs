//! 1x1 windows over few channels (AVX512-VNNI): what follows their few multiplications takes longest, so that nothing
//! else must come in between. The bytes of some windows become unsigned while those before are multiplied.

use super::{
    Conv2d,
    avx512::load_4,
    extras::{Extras, extras},
    outliers::Outliers,
    store::{again, factors},
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::{
        avx512::{Finish, load, load_words, store_64},
        ramp::{BENT, FINE, Factors, Ramp, STRAIGHT, packed_4x16},
    },
};
use core::arch::x86_64::*;

/// Bytes of windows, as unsigned ones, in whole vectors.
type Room = [[u8; 64]; BYTES / 64];

/// Groups of four taps and blocks of channels that there is code for.
const SHAPES: [[usize; 2]; 6] = [[2, 1], [4, 1], [4, 2], [8, 2], [8, 4], [16, 4]];
/// Most windows at once, which there must be.
const MOST_AT_ONCE: usize = 8;
/// Most bytes of theirs.
const BYTES: usize = 256;
/// Sums that become a vector of bytes.
const SUMS: usize = 4;

/// Whether [`run`] takes a convolution.
pub(super) fn takes(conv: &Conv2d, table: &ChannelTable<'_>, outliers: Outliers<'_>) -> bool {
    let channels = conv.window.out_c;
    !conv.unfolds
        && channels.is_multiple_of(LANES)
        && SHAPES.contains(&[conv.depth / 4, channels / LANES])
        && conv.window.out_bytes() as usize >= MOST_AT_ONCE * channels
        && conv.weight_zero_point == 0
        && table.ramps.is_some()
        && extras(outliers, 0..channels, 1).is_some()
}

/// Computes what it [`takes`].
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
) {
    let weights = weights.as_chunks().0;
    let Some(extras) = extras(outliers, 0..conv.window.out_c, 1) else {
        return;
    };
    // Few sums at once: those of the next windows are multiplied while these become bytes, if they are near enough.
    match [conv.depth / 4, conv.window.out_c / LANES] {
        [2, 1] => Column::<2, 1>::new(conv, weights, &table, extras).run::<8>(input, output),
        [4, 1] => Column::<4, 1>::new(conv, weights, &table, extras).run::<8>(input, output),
        [4, 2] => Column::<4, 2>::new(conv, weights, &table, extras).run::<4>(input, output),
        [8, 2] => Column::<8, 2>::new(conv, weights, &table, extras).run::<4>(input, output),
        [8, 4] => Column::<8, 4>::new(conv, weights, &table, extras).run::<2>(input, output),
        [16, 4] => Column::<16, 4>::new(conv, weights, &table, extras).run::<2>(input, output),
        _ => unreachable!("`takes` asks for one of these"),
    }
}

/// All channels, in `B` blocks, with `G` groups of taps.
struct Column<'a, const G: usize, const B: usize> {
    /// Of a block's groups after those of the other.
    weights: &'a [[[u8; 64]; G]],
    bias: [__m512i; B],
    factors: Factors<B>,
    extras: Extras,
    finish: Finish,
    flip: __m512i,
}

impl<'a, const G: usize, const B: usize> Column<'a, G, B> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(
        conv: &Conv2d,
        weights: &'a [[u8; 64]],
        table: &ChannelTable<'_>,
        extras: Extras,
    ) -> Self {
        let mut bias = [_mm512_setzero_si512(); B];
        for (bias, words) in bias.iter_mut().zip(table.bias.chunks(LANES)) {
            *bias = load_words(words);
        }
        Self {
            weights: weights.as_chunks().0,
            bias,
            factors: factors(table, 0),
            extras,
            finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
            flip: _mm512_set1_epi8(conv.byte.flip() as i8),
        }
    }

    /// All windows, `R` at once.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn run<const R: usize>(&self, input: &[u8], output: &mut [u8]) {
        match &self.factors {
            Factors::Straight(ramps) => self.tiles::<R, STRAIGHT>(input, ramps, output),
            Factors::Bent(ramps) => self.tiles::<R, BENT>(input, ramps, output),
            Factors::Fine(ramps) => self.tiles::<R, FINE>(input, ramps, output),
            Factors::Exact(_) => unreachable!("`takes` asks for ramps"),
        }
    }

    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn tiles<const R: usize, const KIND: u32>(
        &self,
        input: &[u8],
        ramps: &[Ramp; B],
        output: &mut [u8],
    ) {
        const { assert!((R * G * 4).is_multiple_of(64) && R * G * 4 <= BYTES && R <= MOST_AT_ONCE) }
        let (finish, flip) = (self.finish, self.flip);
        let zero = _mm512_setzero_si512();
        let Some(blocks) = self.weights.first_chunk::<B>() else {
            return;
        };
        let count = output.len() / (B * LANES);
        let mut rooms: [Room; 2] = [[[0; 64]; BYTES / 64]; 2];
        let unsigned = |window: usize, room: &mut Room| {
            let bytes = &input[window * 4 * G..][..R * 4 * G];
            for (room, bytes) in room.iter_mut().zip(bytes.as_chunks().0) {
                store_64(room, _mm512_xor_si512(load(bytes), flip));
            }
        };
        unsigned(0, &mut rooms[0]);
        for (index, first) in (0..count).step_by(R).enumerate() {
            let start = first.min(count - R);
            unsigned((first + R).min(count - R), &mut rooms[(index + 1) % 2]);
            let windows = rooms[index % 2].as_flattened();
            let mut sums = [[zero; B]; R];
            sums.fill(self.bias);
            for group in 0..G {
                let mut weights = [zero; B];
                for (weights, block) in weights.iter_mut().zip(blocks) {
                    *weights = load(&block[group]);
                }
                for (window, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: there are `R` windows of `G` groups of four bytes, which are no more than `BYTES`.
                    let taps = unsafe { load_4(windows, 4 * (window * G + group)) };
                    let taps = _mm512_set1_epi32(taps);
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
                    }
                }
            }
            for extra in self.extras.iter().map_while(Option::as_ref) {
                assert!(extra.offset <= 4 * (G - 1));
                let weights = extra.weights();
                // Which block it is of, is found out once.
                for block in 0..B {
                    if block == extra.block {
                        for (window, sums) in sums.iter_mut().enumerate() {
                            // SAFETY: as above; each window has a group there.
                            let taps = unsafe { load_4(windows, 4 * window * G + extra.offset) };
                            let taps = _mm512_set1_epi32(taps);
                            sums[block] = _mm512_dpbusd_epi32(sums[block], taps, weights);
                        }
                    }
                }
            }
            let output = &mut output[start * B * LANES..][..R * B * LANES];
            // Each by itself, so that no sum needs an address.
            macro_rules! store {
                ($index:literal) => {
                    if $index * SUMS < R * B {
                        let mut some = [zero; SUMS];
                        for (lane, sum) in some.iter_mut().enumerate() {
                            *sum = sums[($index * SUMS + lane) / B][lane % B];
                        }
                        let bytes = packed_4x16::<KIND>(&finish, again(ramps), some);
                        store_64(&mut output[64 * $index..][..64], finish.in_rows(bytes));
                    }
                };
            }
            store!(0);
            store!(1);
            store!(2);
            store!(3);
            store!(4);
            store!(5);
        }
    }
}
