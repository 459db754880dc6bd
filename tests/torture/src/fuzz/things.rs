//! Names of what a client has made, of one kind.

/// Names, some of which may have become wrong.
#[derive(Default)]
pub struct Names(Vec<u32>);

/// Names that are kept; those beyond stay with the kernel, to reach its limits.
const KEPT: usize = 48;

impl Names {
    /// One more.
    pub fn add(&mut self, name: u32) {
        if self.0.len() < KEPT {
            self.0.push(name);
        }
    }

    /// One of them, mostly; now and then any number.
    pub fn any(&self, random: &mut fastrand::Rng) -> u32 {
        match random.u32(0..50) {
            0 => random.u32(..),
            1 => 0,
            2 => random.u32(0..300),
            _ => random.choice(&self.0).copied().unwrap_or(1),
        }
    }

    /// One of them, which is not kept any longer unless it is to be used once too often.
    pub fn take(&mut self, random: &mut fastrand::Rng) -> u32 {
        let name = self.any(random);
        if random.u32(0..10) > 0 {
            self.0.retain(|kept| *kept != name);
        }
        name
    }
}
