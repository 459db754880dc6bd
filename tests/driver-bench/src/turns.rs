//! Times that are taken in turns.

use std::time::Instant;

/// Microseconds that one of `count` takes when `work` does so many.
pub fn microseconds<E>(count: u32, work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

/// Times that a processor goes over to another task for one of `count`, when `work` does so many. Unlike
/// a time, that is the same on a machine that is busy.
pub fn switches<E>(count: u32, work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let before = context_switches();
    work()?;
    Ok((context_switches() - before) / f64::from(count))
}

/// Of the whole machine since it was booted.
fn context_switches() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let count = stat.lines().find_map(|line| line.strip_prefix("ctxt "));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(f64::NAN)
}

/// The middle one of some numbers, 0 of none.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
