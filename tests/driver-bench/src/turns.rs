//! Times that are taken in turns.

use std::time::Instant;

/// Microseconds that one of `count` takes when `work` does so many.
pub fn microseconds<E>(count: u32, work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

/// The middle one of some numbers, 0 of none.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
