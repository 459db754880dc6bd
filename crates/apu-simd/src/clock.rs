//! The device's clock. Where the processor counts cycles at a constant rate, reading it takes no system call,
//! of which a short job would cost two.

use crate::cycles;
use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds of a cycle are in units of 2^-32.
const FRACTION: u32 = 32;

/// Nanoseconds since it was made.
pub struct Clock {
    epoch: Moment,
    /// Once it is known how long a cycle is.
    by_cycles: OnceLock<ByCycles>,
}

impl Default for Clock {
    /// One that begins at 0.
    fn default() -> Self {
        Self {
            epoch: Moment::now(),
            by_cycles: OnceLock::new(),
        }
    }
}

impl Clock {
    /// The time.
    pub fn now_ns(&self) -> u64 {
        match self.by_cycles.get() {
            Some(clock) => clock.at(cycles::now()),
            None => self.elapsed(Instant::now()),
        }
    }

    /// Finds out how long a cycle is, from all that have been since the clock began: the more, the
    /// better. Only the first call does so.
    pub fn calibrate(&self) {
        if cycles::are_constant() && self.by_cycles.get().is_none() {
            let start = Moment::now();
            let ns = self.elapsed(start.time);
            if let Some(clock) = ByCycles::new(ns, start.count, self.epoch.count) {
                // Another thread may have been faster.
                let _ = self.by_cycles.set(clock);
            }
        }
    }

    fn elapsed(&self, time: Instant) -> u64 {
        let elapsed = time.saturating_duration_since(self.epoch.time);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What both clocks said at nearly the same time: the count not later than the time.
struct Moment {
    time: Instant,
    count: u64,
}

impl Moment {
    /// The closest of some pairs, since a thread may be interrupted at any point.
    fn now() -> Self {
        let pair = |_| {
            let count = cycles::now();
            let time = Instant::now();
            (cycles::now().wrapping_sub(count), Self { time, count })
        };
        let (_, first) = pair(0);
        (0..4)
            .map(pair)
            .min_by_key(|(apart, _)| *apart)
            .map_or(first, |(_, closest)| closest)
    }
}

/// A clock that counts cycles from a known time on.
#[derive(Clone, Copy)]
struct ByCycles {
    /// The time at `start`.
    ns: u64,
    start: u64,
    ns_per_cycle: u64,
}

impl ByCycles {
    /// One by which it was 0 at the count `zero` and `ns` at `start`; none if no cycle was between them.
    fn new(ns: u64, start: u64, zero: u64) -> Option<Self> {
        let cycles = u128::from(start.wrapping_sub(zero));
        let ns_per_cycle = (u128::from(ns) << FRACTION).checked_div(cycles)?;
        Some(Self {
            ns,
            start,
            ns_per_cycle: u64::try_from(ns_per_cycle).ok()?,
        })
    }

    fn at(&self, count: u64) -> u64 {
        // Processors may differ by some cycles: never back to before the start.
        let cycles = count.saturating_sub(self.start);
        let ns = (u128::from(cycles) * u128::from(self.ns_per_cycle)) >> FRACTION;
        self.ns
            .saturating_add(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_as_long_as_they_were_on_average() {
        let clock = ByCycles::new(1_000_000, 5_500_000, 1_500_000).unwrap();
        assert_eq!(clock.at(5_500_000), 1_000_000);
        assert_eq!(clock.at(5_500_000 + 40_000_000_000), 10_001_000_000);
    }

    #[test]
    fn a_processor_that_is_behind_does_not_turn_it_back() {
        let clock = ByCycles::new(1_000, 2_000, 0).unwrap();
        assert_eq!(clock.at(1_990), 1_000);
    }

    #[test]
    fn no_cycles_make_no_clock() {
        assert!(ByCycles::new(1_000, 7, 7).is_none());
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let clock = Clock::default();
        let before = clock.now_ns();
        clock.calibrate();
        let after = clock.now_ns();
        assert!(before <= after, "{before} ns, then {after} ns");
    }
}
