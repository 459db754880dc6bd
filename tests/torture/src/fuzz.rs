//! A client that makes calls of all kinds: most of them are right but for one thing, some in every way.
//!
//! It remembers what it has made, so that calls get past the first check; now and then it forgets, or
//! a bit of a correct argument is turned.

mod fuzzer;
mod things;

use apu_conformance::Bench;

use crate::client::ready;
use crate::counts::Counts;
use fuzzer::Fuzzer;

/// Calls on one file.
const CALLS: usize = 3000;

/// Makes calls until it is killed.
pub fn main(seed: u64, counts: &Counts) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let bench: Bench = ready();
        let mut fuzzer = Fuzzer::new(&bench, random.fork(), counts);
        for call in 0..CALLS {
            // A node whose driver was taken away is no longer worth much.
            if call % 64 == 63 && bench.node.device().is_err() {
                break;
            }
            fuzzer.step();
        }
    }
}
