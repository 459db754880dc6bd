//! Ramps: what a channel's sums are rescaled to is a staircase of at most 256 steps, and there is a straight line,
//! or one that is bent at zero, whose floor is the same staircase. To follow it takes one multiplication in f32.

use crate::requant::Factor;
use core::ops::RangeInclusive;

/// A line whose floor is the rescaling of a channel's sums; see [`apu_proto::program::Ramps`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Steps for 1.
    pub slope: f32,
    /// What the slope has more.
    pub rest: f32,
    /// The line at 0.
    pub start: f32,
    /// The same for sums below zero.
    pub start_below: f32,
}

/// Most steps of a staircase.
const STEPS: usize = 255;
/// Most that a line may be away from 0: what becomes an integer fits one then.
const HIGHEST: f64 = (1 << 30) as f64;
/// How far a line stays away from the corners of stairs. They are computed with much smaller errors where they
/// matter, which is within some hundred steps of 0.
const CLEARANCE: f64 = 1.0 / (1u64 << 40) as f64;
/// The same if the slope has a rest, the product with which and a start below 2 are rounded down to f32.
const FINE_CLEARANCE: f64 = CLEARANCE + f32::EPSILON as f64;
/// Slopes without a rest that are tried: the f32 nearest to the factor, and so many on each side.
const NEIGHBOURS: i32 = 3;
/// Most sums between where a step should begin and where it does.
const NEAR: u32 = 4;

impl Ramp {
    /// Whether sums below zero have a start of their own.
    pub fn is_bent(&self) -> bool {
        self.start.to_bits() != self.start_below.to_bits()
    }

    /// Whether the slope has a rest.
    pub fn is_fine(&self) -> bool {
        self.rest != 0.0
    }

    /// What the ramp says for a sum that its channel can have.
    pub fn apply(&self, sum: i32) -> i32 {
        let start = if sum < 0 {
            self.start_below
        } else {
            self.start
        };
        let rise = (f64::from(self.slope) + f64::from(self.rest)) * f64::from(sum as f32);
        // The sum of both may round to the step above.
        let step = libm::floor(rise + f64::from(start));
        (step - f64::from(u8::from(rise < step - f64::from(start)))) as i32
    }
}

/// Finds ramps. It has room for stairs, to be used again and again.
///
/// A line must not be below a result, and it must be below the next one, in the first and last sums of steps: those
/// below zero and then the others.
#[derive(Debug)]
pub struct Finder {
    firsts: [Sums; 2],
    lasts: [Sums; 2],
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            firsts: [Sums::NONE; 2],
            lasts: [Sums::NONE; 2],
        }
    }
}

impl Finder {
    /// The ramp that says for all of `sums` what `factor` makes of them, clamped to `steps`. None if none of those
    /// tried does, or a sum may be out of the factor's range.
    ///
    /// Between two sums with the same result a line that is right at both is right, since neither ever
    /// descends. So it is right everywhere if it is at each end of each step.
    pub fn ramp(
        &mut self,
        factor: Factor,
        steps: RangeInclusive<i32>,
        sums: RangeInclusive<i32>,
    ) -> Option<Ramp> {
        let furthest = sums.start().unsigned_abs().max(sums.end().unsigned_abs());
        let slope = factor.slope();
        let is_usual = factor.ascends(furthest)
            && slope > 0.0
            && slope * f64::from(furthest) < HIGHEST
            && !sums.is_empty()
            && !steps.is_empty()
            && steps.end().abs_diff(*steps.start()) as usize <= STEPS;
        if !is_usual {
            return None;
        }
        // Each kind by itself, since all the time goes there.
        match factor {
            Factor::Away(it) => self.survey(|sum| it.apply(sum), slope, steps, sums),
            Factor::Up(it) => self.survey(|sum| it.apply_up(sum), slope, steps, sums),
            other => self.survey(|sum| other.rescale(sum), slope, steps, sums),
        }?;
        let nearest = (slope as f32).to_bits();
        let mut bent = None;
        for by in (0..=2 * NEIGHBOURS).map(|index| (index + 1) / 2 * (1 - index % 2 * 2)) {
            let slope = f32::from_bits(nearest.checked_add_signed(by)?);
            let [below, above] = self.starts(slope.into());
            if let Some(start) = below.and(above).any(CLEARANCE) {
                return Some(Ramp {
                    slope,
                    rest: 0.0,
                    start,
                    start_below: start,
                });
            }
            if let (None, Some(start_below), Some(start)) =
                (bent, below.any(CLEARANCE), above.any(CLEARANCE))
            {
                bent = Some(Ramp {
                    slope,
                    rest: 0.0,
                    start,
                    start_below,
                });
            }
        }
        bent.or_else(|| {
            let near = slope as f32;
            let rest = (slope - f64::from(near)) as f32;
            let [below, above] = self.starts(f64::from(near) + f64::from(rest));
            let start = |starts: Starts| {
                let start = starts.any(FINE_CLEARANCE)?;
                (start.abs() < 1.5 && f64::from(rest).abs() * f64::from(furthest) < 0.25)
                    .then_some(start)
            };
            Some(Ramp {
                slope: near,
                rest,
                start: start(above)?,
                start_below: start(below)?,
            })
        })
    }

    /// Notes where steps begin and end.
    fn survey(
        &mut self,
        rescale: impl Fn(i32) -> i32,
        slope: f64,
        steps: RangeInclusive<i32>,
        sums: RangeInclusive<i32>,
    ) -> Option<()> {
        let (lowest, highest) = (*steps.start(), *steps.end());
        let result = |sum| rescale(sum).clamp(lowest, highest);
        let (first, last) = (*sums.start(), *sums.end());
        for sums in self.firsts.iter_mut().chain(&mut self.lasts) {
            sums.count = 0;
        }
        let mut add = |sum: i32, result: i32| {
            let side = usize::from(sum >= 0);
            if result > lowest {
                self.firsts[side].push(sum, result);
            }
            if result < highest {
                self.lasts[side].push(sum, result + 1);
            }
        };
        for sum in [first, last, -1, 0] {
            if sums.contains(&sum) {
                add(sum, result(sum));
            }
        }
        let per_step = 1.0 / slope;
        let (mut step, end) = (result(first) + 1, result(last));
        while step <= end {
            let guess = (f64::from(step) - 0.5) * per_step;
            // The last sum before the step, and the step's first one.
            let mut sum = (guess as i32).clamp(first, last - 1);
            let [mut before, mut after] = [result(sum), result(sum + 1)];
            let mut tries = 0..NEAR;
            while before >= step {
                tries.next()?;
                sum -= 1;
                (before, after) = (result(sum), before);
            }
            while after < step {
                tries.next()?;
                sum += 1;
                (before, after) = (after, result(sum + 1));
            }
            add(sum, before);
            add(sum + 1, after);
            // Several steps may begin at once.
            step = after + 1;
        }
        Some(())
    }

    /// Where lines of a slope may start, below zero and elsewhere.
    fn starts(&self, slope: f64) -> [Starts; 2] {
        [0, 1].map(|side| Starts {
            least: self.firsts[side].furthest(slope, f64::NEG_INFINITY, f64::max),
            below: self.lasts[side].furthest(slope, f64::INFINITY, f64::min),
        })
    }
}

/// Sums, as f32 has them, with a result each.
#[derive(Debug)]
struct Sums {
    list: [(f64, f64); 2 * STEPS + 4],
    count: usize,
}

impl Sums {
    const NONE: Self = Self {
        list: [(0.0, 0.0); 2 * STEPS + 4],
        count: 0,
    };

    fn push(&mut self, sum: i32, result: i32) {
        self.list[self.count] = (f64::from(sum as f32), result.into());
        self.count += 1;
    }

    /// Where the line through one of the results starts that starts furthest.
    fn furthest(&self, slope: f64, none: f64, further: impl Fn(f64, f64) -> f64) -> f64 {
        let start = |&(sum, result): &(f64, f64)| result - slope * sum;
        // Several at once, as one would have to wait for the one before.
        let (fours, rest) = self.list[..self.count].as_chunks::<4>();
        let mut ends = [none; 4];
        for four in fours {
            for (end, at) in ends.iter_mut().zip(four) {
                *end = further(*end, start(at));
            }
        }
        let ends = ends.into_iter().chain(rest.iter().map(start));
        ends.fold(none, further)
    }
}

/// Where lines may start: at `least` at least, and below `below`.
#[derive(Clone, Copy)]
struct Starts {
    least: f64,
    below: f64,
}

impl Starts {
    fn and(self, other: Self) -> Self {
        Self {
            least: self.least.max(other.least),
            below: self.below.min(other.below),
        }
    }

    /// One in the middle, if it is as far from both as that.
    fn any(self, clearance: f64) -> Option<f32> {
        let middle = match (self.least.is_finite(), self.below.is_finite()) {
            (true, true) => self.least.midpoint(self.below),
            (true, false) => self.least + 0.5,
            (false, true) => self.below - 0.5,
            (false, false) => 0.5,
        };
        let start = middle as f32;
        let has_room = |by: f64| {
            let start = f64::from(start) + by;
            self.least <= start && start < self.below
        };
        (has_room(-clearance) && has_room(clearance)).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::requant::Ties;
    use std::vec::Vec;

    fn random(state: &mut u64) -> i32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32) as i32
    }

    /// Factors of each kind, of a size that models have.
    fn factors(state: &mut u64) -> [Factor; 4] {
        let words = [
            1 << 30 | random(state) >> 1 & 0x3fff_ffff,
            -(random(state) & 15),
        ];
        // Ties to even may have no line; of such a scale there are none.
        let scale = f64::from(random(state) | 1).abs() * libm::exp2(f64::from(words[1] - 31));
        let bits = scale.to_bits();
        let halves = [bits as i32, (bits >> 32) as i32];
        [
            Factor::from_words(Ties::Away, words),
            Factor::from_words(Ties::Up, words),
            Factor::from_words(Ties::AwayFloat, halves),
            Factor::from_words(Ties::Even, [(scale as f32).to_bits() as i32, 0]),
        ]
    }

    #[test]
    fn a_ramp_is_the_rescaling_of_every_sum() {
        let mut state = 3;
        let (mut found, mut tried) = (0, 0);
        for _ in 0..60 {
            for factor in factors(&mut state) {
                let zero_point = random(&mut state) & 0xff;
                let steps = -zero_point..=255 - zero_point;
                let reach = ((300.0 / factor.slope()) as i32).min(1 << 20);
                let ramp = Finder::default().ramp(factor, steps.clone(), -reach..=reach);
                // In f32 the stairs themselves are a bit uneven.
                if !matches!(factor, Factor::Even(_)) {
                    (found, tried) = (found + u32::from(ramp.is_some()), tried + 1);
                }
                let Some(ramp) = ramp else {
                    continue;
                };
                for sum in -reach..=reach {
                    let clamp = |step: i32| step.clamp(*steps.start(), *steps.end());
                    let (want, got) = (clamp(factor.rescale(sum)), clamp(ramp.apply(sum)));
                    assert_eq!(got, want, "{factor:?} {ramp:?} {sum}");
                }
            }
        }
        assert!(found * 100 >= tried * 99, "{found} of {tried}");
    }

    #[test]
    fn only_ties_away_from_zero_need_a_bend() {
        let words = [0x5432_1fed, -9];
        let bent = |ties, steps| {
            let ramp =
                Finder::default().ramp(Factor::from_words(ties, words), steps, -200_000..=200_000);
            ramp.map(|ramp| ramp.is_bent())
        };
        assert_eq!(bent(Ties::Up, -128..=127), Some(false));
        assert_eq!(bent(Ties::Away, -128..=127), Some(true));
        // What is below zero is clamped.
        assert_eq!(bent(Ties::Away, 0..=255), Some(false));
    }

    #[test]
    fn what_is_always_the_same_has_a_ramp() {
        for (words, sums) in [([1 << 30, -31], -100..=100), ([1 << 30, -3], 5..=5)] {
            let factor = Factor::from_words(Ties::Away, words);
            let ramp = Finder::default()
                .ramp(factor, -128..=127, sums.clone())
                .unwrap();
            let got: Vec<i32> = sums.clone().map(|sum| ramp.apply(sum)).collect();
            let want: Vec<i32> = sums.map(|sum| factor.rescale(sum)).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn what_has_no_ramp_is_told() {
        let all = i32::MIN..=i32::MAX;
        for (ties, words) in [
            // They shift out of an i32.
            (Ties::Away, [1 << 30, 4]),
            (Ties::Even, [f32::NAN.to_bits() as i32, 0]),
            (Ties::Even, [0, 0]),
            (Ties::AwayFloat, [0, f64::INFINITY.to_bits() as i32]),
            (Ties::Away, [0, 0]),
        ] {
            let factor = Factor::from_words(ties, words);
            assert_eq!(
                Finder::default().ramp(factor, -128..=127, all.clone()),
                None,
                "{factor:?}"
            );
        }
        let usual = Factor::from_words(Ties::Away, [1 << 30, -9]);
        assert_eq!(Finder::default().ramp(usual, -200..=200, 0..=9), None);
        #[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        let nothing = 1..=0;
        assert_eq!(Finder::default().ramp(usual, nothing.clone(), 0..=9), None);
        assert_eq!(Finder::default().ramp(usual, 0..=9, nothing), None);
    }
}
