//! The sum of bytes, 64 at once (AVX-512).

use super::{
    Operands,
    quantised::{Input, Scalars},
};
use crate::{
    byte::{Byte, Clamp},
    requant,
    x86::avx512::{Finish, Folded, Rescale, Rounds, load_64, quarters, store_64},
};
use core::arch::x86_64::*;

/// Elements worked on at once.
const AT_ONCE: usize = 64;

/// Whether [`add`] takes a sum: one of whole rows, with a factor that is less than a half.
pub(super) fn takes(scalars: &Scalars, operands: &Operands<'_>) -> bool {
    let (_, shift) = scalars.output.words();
    operands.frame.steps() == [1, 1] && (-22..0).contains(&shift)
}

/// Computes what [`takes`] says yes to.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn add(byte: Byte, scalars: &Scalars, operands: Operands<'_>) {
    let Operands {
        frame,
        a,
        b,
        output,
        ..
    } = operands;
    let (left, right) = (Term::new(byte, &scalars.a), Term::new(byte, &scalars.b));
    let clamp = Clamp {
        min: scalars.min,
        max: scalars.max,
    };
    let factor = rescale(scalars.output);
    let sum = Sum {
        flip: _mm512_set1_epi8(byte.flip() as i8),
        factor: Folded::new(&factor, byte, scalars.output_zero_point),
        finish: Finish::new(byte, scalars.output_zero_point, clamp),
    };
    for (row, output) in output.chunks_exact_mut(frame.columns()).enumerate() {
        let [a_start, b_start] = frame.starts(row);
        let (a, b) = (&a[a_start..], &b[b_start..]);
        // The term that costs less comes first; a sum is the same either way.
        match (left.halves, right.halves) {
            (true, _) => sum.row::<true>([&left, &right], [a, b], output),
            (_, true) => sum.row::<true>([&right, &left], [b, a], output),
            _ => sum.row::<false>([&left, &right], [a, b], output),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn rescale(factor: requant::Rescale) -> Rescale {
    let (multiplier, shift) = factor.words();
    Rescale::from_words(_mm512_set1_epi32(multiplier), _mm512_set1_epi32(shift))
}

/// An input in the scale that both share.
struct Term {
    /// Of bytes taken as unsigned.
    zero_point: __m512i,
    left_shift: __m512i,
    rescale: Rescale,
    /// Whether the factor is a half: the input with the larger scale has it, and both do if their
    /// scales are the same.
    halves: bool,
    /// One less than `left_shift`, which does what the factor does if that is a half.
    halving_shift: __m512i,
}

impl Term {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(byte: Byte, input: &Input) -> Self {
        let halves = input.rescale.words() == (1 << 30, 0) && input.left_shift > 0;
        let left_shift = input.left_shift as i32;
        Self {
            zero_point: _mm512_set1_epi32(input.zero_point - byte.min()),
            left_shift: _mm512_set1_epi32(left_shift),
            rescale: rescale(input.rescale),
            halves,
            halving_shift: _mm512_set1_epi32(left_shift - i32::from(halves)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn of<const HALVES: bool>(&self, bytes: __m128i) -> __m512i {
        let difference = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), self.zero_point);
        if HALVES {
            _mm512_sllv_epi32(difference, self.halving_shift)
        } else {
            let shifted = _mm512_sllv_epi32(difference, self.left_shift);
            self.rescale.apply(shifted)
        }
    }
}

/// What is the same for all elements.
struct Sum {
    flip: __m512i,
    factor: Folded,
    finish: Finish,
}

impl Sum {
    /// A row; `HALVES` says that the first term does.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn row<const HALVES: bool>(&self, terms: [&Term; 2], inputs: [&[u8]; 2], output: &mut [u8]) {
        let rounds = Rounds::<true>::new();
        let [a, b] = inputs.map(|input| &input[..output.len()]);
        let inputs = a.chunks(AT_ONCE).zip(b.chunks(AT_ONCE));
        for (output, (a, b)) in output.chunks_mut(AT_ONCE).zip(inputs) {
            let a = quarters(_mm512_xor_si512(load_64(a, self.flip), self.flip));
            let b = quarters(_mm512_xor_si512(load_64(b, self.flip), self.flip));
            let mut sums = [_mm512_setzero_si512(); 4];
            for (sum, (a, b)) in sums.iter_mut().zip(a.into_iter().zip(b)) {
                let (a, b) = (terms[0].of::<HALVES>(a), terms[1].of::<false>(b));
                *sum = rounds.apply(&self.factor, _mm512_add_epi32(a, b));
            }
            store_64(output, self.finish.folded_4x16(sums));
        }
    }
}
