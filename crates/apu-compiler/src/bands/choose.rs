//! Which runs are computed in bands, and of how many rows.
//!
//! Dynamic programming over the places between records: what it costs to come to a place is the least,
//! over the runs that end there, of the cost up to their beginning and their own.

use std::{collections::HashMap, ops::Range};

use super::run::Run;
use crate::{
    Optimise,
    graph::{Graph, TensorId},
    plan::{self, Owner},
    storage::Storage,
};

/// Most records of a run.
const LONGEST: usize = 10;
/// Heights of bands that are tried.
const HEIGHTS: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// Most bands of a run; it bounds how long compiling takes, and how many records a program has.
const MOST_BANDS: u32 = 256;
/// Programs with more records are left as they are.
const MOST_RECORDS: usize = 512;
/// What stays in the cache next to a core while a run is computed.
const CACHE: u64 = 640 << 10;
/// What a record costs beside its work, in bytes that could be moved in that time.
const RECORD: i64 = 8 << 10;

/// A run that may be computed in bands of a height.
struct Candidate {
    range: Range<usize>,
    height: u32,
    /// Bytes of the arena in use meanwhile.
    live: u64,
    /// What it adds to the work, in bytes that are moved; below 0 if it saves some.
    work: i64,
}

/// The runs to cut, in their order, with the heights of their bands.
pub(super) fn choose(graph: &Graph, storage: &Storage, goal: Optimise) -> Vec<(Range<usize>, u32)> {
    let count = storage.records.len();
    if count > MOST_RECORDS {
        return Vec::new();
    }
    let arena = Arena::new(graph, storage);
    let candidates = candidates(graph, storage, &arena, goal);
    let limit = match goal {
        Optimise::Speed => u64::MAX,
        Optimise::Size => least_peak(count, &candidates),
    };
    let allowed = candidates.iter().filter(|it| it.live <= limit);
    least_work(count, allowed.collect())
}

/// The peak that can't be avoided.
fn least_peak(count: usize, candidates: &[Candidate]) -> u64 {
    let mut peaks = vec![u64::MAX; count + 1];
    peaks[0] = 0;
    for candidate in candidates {
        let peak = peaks[candidate.range.start].max(candidate.live);
        let here = &mut peaks[candidate.range.end];
        *here = peak.min(*here);
    }
    peaks[count]
}

/// The way through all records that adds the least work.
fn least_work(count: usize, candidates: Vec<&Candidate>) -> Vec<(Range<usize>, u32)> {
    let mut ways: Vec<Option<(i64, &Candidate)>> = vec![None; count + 1];
    for candidate in candidates {
        let before = match candidate.range.start {
            0 => Some(0),
            start => ways[start].map(|(work, _)| work),
        };
        let Some(before) = before else { continue };
        let work = before + candidate.work;
        let here = &mut ways[candidate.range.end];
        if here.is_none_or(|(best, _)| work < best) {
            *here = Some((work, candidate));
        }
    }
    let mut chosen = Vec::new();
    let mut at = count;
    while let Some((_, candidate)) = ways[at] {
        if candidate.range.len() > 1 {
            chosen.push((candidate.range.clone(), candidate.height));
        }
        at = candidate.range.start;
    }
    chosen.reverse();
    chosen
}

/// All candidates, sorted by where they end; every record by itself is one.
fn candidates(graph: &Graph, storage: &Storage, arena: &Arena, goal: Optimise) -> Vec<Candidate> {
    let readers = storage.readers();
    let mut candidates = Vec::new();
    for start in 0..storage.records.len() {
        candidates.push(Candidate {
            range: start..start + 1,
            height: u32::MAX,
            live: arena.live(&(start..start + 1), |_| false),
            work: 0,
        });
        for end in start + 2..=storage.records.len().min(start + LONGEST) {
            let range = start..end;
            let Some(run) = Run::new(graph, storage, &readers, range.clone()) else {
                break;
            };
            candidates.extend(of_run(&run, &range, arena, goal));
        }
    }
    candidates.sort_by_key(|candidate| candidate.range.end);
    candidates
}

fn of_run(run: &Run, range: &Range<usize>, arena: &Arena, goal: Optimise) -> Vec<Candidate> {
    let passing: Vec<TensorId> = run.passing().collect();
    let spilt = passing.iter().map(|id| arena.spilt(*id)).sum::<u64>() as i64;
    if passing.is_empty() || (goal == Optimise::Speed && spilt == 0) {
        return Vec::new();
    }
    let others = arena.live(range, |id| passing.contains(&id));
    let tried = HEIGHTS
        .into_iter()
        .filter(|&height| height < run.height() && run.height().div_ceil(height) <= MOST_BANDS);
    let candidate = |height| {
        let schedule = run.schedule(height);
        let held: u64 = schedule
            .buffers
            .iter()
            .map(|&(_, bytes)| plan::aligned(bytes))
            .sum();
        let records = (schedule.steps.len() - range.len()) as i64;
        let saved = if held <= CACHE { spilt } else { 0 };
        Candidate {
            range: range.clone(),
            height,
            live: others + held,
            work: records * RECORD + schedule.moved as i64 - saved,
        }
    };
    tried.map(candidate).collect()
}

/// The arena before any record is cut.
struct Arena {
    blocks: Vec<(Owner, plan::Block)>,
    sizes: HashMap<TensorId, u64>,
}

impl Arena {
    fn new(graph: &Graph, storage: &Storage) -> Self {
        let blocks = plan::blocks(graph, storage);
        let size = |(owner, block): &(Owner, plan::Block)| match owner {
            Owner::Tensor(id) => Some((*id, block.size)),
            _ => None,
        };
        Self {
            sizes: blocks.iter().filter_map(size).collect(),
            blocks,
        }
    }

    /// Bytes in use while these records run, but for some tensors. Of the scratch, which is for one
    /// record at a time, the largest counts.
    fn live(&self, range: &Range<usize>, without: impl Fn(TensorId) -> bool) -> u64 {
        let mut live = 0;
        let mut scratch = 0;
        for (owner, block) in &self.blocks {
            if block.last < range.start || block.first >= range.end {
                continue;
            }
            match owner {
                Owner::Scratch(_) if block.first == block.last => {
                    scratch = block.size.max(scratch);
                }
                Owner::Tensor(id) if without(*id) => {}
                _ => live += block.size,
            }
        }
        live + scratch
    }

    /// Bytes that are written to and read from beyond the cache for a tensor that is whole.
    fn spilt(&self, id: TensorId) -> u64 {
        let size = self.sizes.get(&id).copied().unwrap_or(0);
        if size > CACHE / 2 { 2 * size } else { 0 }
    }
}
