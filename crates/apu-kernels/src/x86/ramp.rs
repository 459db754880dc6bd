//! Rescaling by sixteen ramps at once (AVX-512).

use super::avx512::{Exact, Finish, load_words};
use crate::channel_table::{ChannelTable, Ramps, Words};
use apu_proto::program;
use core::arch::x86_64::*;

/// Nothing is rounded up on the way, so that the floor is that of the line itself.
const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

/// How the sums of `N` vectors of channels become steps.
#[derive(Clone, Copy)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack of one call, where no heap is"
)]
pub enum Factors<const N: usize> {
    /// By ramps of each kind.
    Straight([Ramp; N]),
    Bent([Ramp; N]),
    Fine([Ramp; N]),
    /// As the table says, where it has no ramps.
    Exact([Exact; N]),
}

impl<const N: usize> Factors<N> {
    /// Of channels whose words `lanes` takes from each array, for one vector after the other.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn new(table: &ChannelTable<'_>, lanes: impl Fn(Words<'_>) -> [__m512i; N]) -> Self {
        let Some(ramps) = &table.ramps else {
            return Self::Exact(Exact::all(table, lanes));
        };
        let Ramps {
            slope,
            start,
            start_below,
            rest,
        } = *ramps;
        let [slopes, starts] = [lanes(slope), lanes(start)];
        let below = start_below.map_or(starts, &lanes);
        let rests = rest.map_or([_mm512_setzero_si512(); N], &lanes);
        let mut all = [Ramp::from_words(slopes[0], starts[0], below[0], rests[0]); N];
        for index in 1..N {
            all[index] = Ramp::from_words(slopes[index], starts[index], below[index], rests[index]);
        }
        match kind(table) {
            STRAIGHT => Self::Straight(all),
            BENT => Self::Bent(all),
            _ => Self::Fine(all),
        }
    }
}

/// The ramps of sixteen channels; see [`crate::ramp::Ramp`].
#[derive(Clone, Copy)]
pub struct Ramp {
    slope: __m512,
    start: __m512,
    /// The bits in which starts below zero differ.
    bend: __m512i,
    rest: __m512,
}

/// Values of a ramp's `KIND`, those of [`program::Ramps`].
pub const STRAIGHT: u32 = program::Ramps::STRAIGHT;
pub const BENT: u32 = program::Ramps::BENT;
pub const FINE: u32 = program::Ramps::FINE;

/// The kind of a table's ramps; of one that has none, any.
pub fn kind(table: &ChannelTable<'_>) -> u32 {
    match &table.ramps {
        Some(Ramps { rest: Some(_), .. }) => FINE,
        Some(Ramps {
            start_below: Some(_),
            ..
        }) => BENT,
        _ => STRAIGHT,
    }
}

impl Ramp {
    /// Of slopes, starts, starts below zero, and rests.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn from_words(slope: __m512i, start: __m512i, start_below: __m512i, rest: __m512i) -> Self {
        Self {
            slope: _mm512_castsi512_ps(slope),
            start: _mm512_castsi512_ps(start),
            bend: _mm512_xor_si512(start, start_below),
            rest: _mm512_castsi512_ps(rest),
        }
    }

    /// Of the sixteen channels from `channel` on; what is beyond the table has no meaning.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    pub fn of(ramps: &Ramps<'_>, channel: usize) -> Self {
        let lanes = |words: Words<'_>| load_words(words.get(channel..).unwrap_or_default());
        let start = lanes(ramps.start);
        Self::from_words(
            lanes(ramps.slope),
            start,
            ramps.start_below.map_or(start, lanes),
            ramps.rest.map_or(start, lanes),
        )
    }

    /// The steps of sixteen sums.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn steps<const KIND: u32>(&self, sums: __m512i) -> __m512i {
        let floats = _mm512_cvtepi32_ps(sums);
        let mut start = self.start;
        if KIND >= BENT {
            // Choosing by a mask of lanes would take longer.
            let below = _mm512_srai_epi32::<31>(sums);
            let start_bits = _mm512_castps_si512(start);
            let start_bits = _mm512_ternarylogic_epi32::<0x78>(start_bits, below, self.bend);
            start = _mm512_castsi512_ps(start_bits);
        }
        if KIND >= FINE {
            start = _mm512_fmadd_round_ps::<DOWN>(floats, self.rest, start);
        }
        let line = _mm512_fmadd_round_ps::<DOWN>(floats, self.slope, start);
        _mm512_cvt_roundps_epi32::<DOWN>(line)
    }
}

/// The bytes of sixteen sums on each of four ramps, in the order of packing.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn packed_4x16<const KIND: u32>(
    finish: &Finish,
    ramps: [&Ramp; 4],
    sums: [__m512i; 4],
) -> __m512i {
    finish.packed_4x16_if_needed(steps_4x16::<KIND>(ramps, sums))
}

/// The same for where there are few registers; see [`Finish::packed_4x16`].
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub fn clamped_4x16<const KIND: u32>(
    finish: &Finish,
    ramps: [&Ramp; 4],
    sums: [__m512i; 4],
) -> __m512i {
    finish.packed_4x16(steps_4x16::<KIND>(ramps, sums))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn steps_4x16<const KIND: u32>(ramps: [&Ramp; 4], sums: [__m512i; 4]) -> [__m512i; 4] {
    let mut steps = sums;
    for (steps, ramp) in steps.iter_mut().zip(ramps) {
        *steps = ramp.steps::<KIND>(*steps);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        byte::{Byte, Clamp},
        isa::{Isa, Level},
        ramp,
        requant::{Factor, Ties},
        x86::avx512::store_64,
    };

    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn bytes<const KIND: u32>(ramp: &ramp::Ramp, first: i32) -> [u8; 64] {
        let word = |word: f32| _mm512_set1_epi32(word.to_bits() as i32);
        let lanes = Ramp::from_words(
            word(ramp.slope),
            word(ramp.start),
            word(ramp.start_below),
            word(ramp.rest),
        );
        let ascending = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let sums = _mm512_add_epi32(_mm512_set1_epi32(first), ascending);
        let finish = Finish::new(
            Byte::Int8,
            3,
            Clamp {
                min: -128,
                max: 127,
            },
        );
        let packed = packed_4x16::<KIND>(&finish, [&lanes; 4], [sums; 4]);
        let mut bytes = [0; 64];
        store_64(&mut bytes, finish.in_rows(packed));
        bytes
    }

    fn agrees<const KIND: u32>(ties: Ties, words: [i32; 2]) -> Option<ramp::Ramp> {
        const REACH: i32 = 1_000_000;
        let factor = Factor::from_words(ties, words);
        let ramp = ramp::Finder::default().ramp(factor, -131..=124, -REACH..=REACH)?;
        for first in (-REACH..REACH - 15).step_by(16) {
            // SAFETY: the level is a proof that the processor has these instructions.
            let bytes = unsafe { bytes::<KIND>(&ramp, first) };
            for (lane, &byte) in bytes.iter().enumerate() {
                let sum = first + lane as i32 % 16;
                let want = (factor.rescale(sum) + 3).clamp(-128, 127);
                assert_eq!(i32::from(byte.cast_signed()), want, "{ramp:?} {sum}");
            }
        }
        Some(ramp)
    }

    #[test]
    fn vectors_rescale_as_the_table_says() {
        if Isa::detect().level() != Level::Avx512Vnni {
            return;
        }
        let straight = agrees::<STRAIGHT>(Ties::Up, [0x5432_1fed, -9]);
        assert!(straight.is_some_and(|ramp| !ramp.is_bent()));
        let bent = agrees::<BENT>(Ties::Away, [0x5432_1fed, -9]);
        assert!(bent.is_some_and(|ramp| ramp.is_bent() && !ramp.is_fine()));
        // Every so manieth slope is too far from all f32.
        let fine = (0..100).find_map(|index| {
            let words = [0x5432_1fed + index * 0xabcd, -13];
            let factor = Factor::from_words(Ties::Away, words);
            let ramp = ramp::Finder::default().ramp(factor, -131..=124, -1_000_000..=1_000_000)?;
            ramp.is_fine().then_some(words)
        });
        let fine = fine.and_then(|words| agrees::<FINE>(Ties::Away, words));
        assert!(fine.is_some_and(|ramp| ramp.is_fine()));
    }
}
