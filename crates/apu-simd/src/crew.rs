//! Threads of other cores, with which one works on a job that may spread over several.

use apu_firmware::Workers;
use apu_workers::Pool;
use tracing::warn;

/// Those that one core can have. They are there from its first such job on.
#[derive(Debug, Default)]
pub struct Crew(Option<Pool>);

impl Crew {
    /// So many of them, of `cores`; [`None`] for a core that works alone.
    pub fn of(&mut self, count: usize, cores: usize) -> Option<Several<'_>> {
        let count = count.min(cores);
        if count < 2 {
            return None;
        }
        if self.0.is_none() {
            self.0 = Pool::new(cores)
                .inspect_err(|error| warn!(%error, "no threads for a job of several cores"))
                .ok();
        }
        let pool = self.0.as_mut()?;
        Some(Several { pool, count })
    }
}

/// A part of a crew.
#[derive(Debug)]
pub struct Several<'a> {
    pool: &'a mut Pool,
    count: usize,
}

impl Workers for Several<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn each<T: Send>(&mut self, parts: &mut [T], work: impl Fn(&mut T) + Sync) {
        self.pool.each(parts, work);
    }
}
