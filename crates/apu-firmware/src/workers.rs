//! Cores that work on one operator together.

/// What a platform gives an interpreter to spread an operator over several cores with.
pub trait Workers {
    /// How many cores there are, this one included; at least 1.
    fn count(&self) -> usize;

    /// Calls `work` once with each of `parts`, on whatever cores, and returns after the last call.
    fn each<T: Send>(&mut self, parts: &mut [T], work: impl Fn(&mut T) + Sync);
}

/// One core, this one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn count(&self) -> usize {
        1
    }

    fn each<T: Send>(&mut self, parts: &mut [T], work: impl Fn(&mut T) + Sync) {
        parts.iter_mut().for_each(work);
    }
}
