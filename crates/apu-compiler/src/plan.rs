//! Where in the arena each tensor and each kernel's scratch lies.
//!
//! Greedy: one after the other goes to the lowest place that is free for as long as it lives.
//! Largest first comes close to the lower bound on the usual networks (Pisarchyk and Lee,
//! "Efficient Memory Management for Deep Neural Net Inference", 2020), on chains the order of use
//! does. Each order is then changed: what sticks out at the top goes first. The best counts, and is
//! shuffled where it isn't good enough.

use std::collections::HashMap;

use apu_proto::program::ALIGN;

use crate::{
    graph::{Graph, TensorId},
    legalise::Operand,
    storage::{Home, Storage},
};

/// How often an order is changed, at most, and how many pairs of blocks are looked at for that.
const MOST_TRIES: usize = 256;
const TRIES_WORK: usize = 8 << 20;

/// A part of the arena, before it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Bytes, aligned.
    pub size: u64,
    /// The first and the last record during which it must be kept.
    pub first: usize,
    /// See `first`.
    pub last: usize,
}

impl Block {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The arena of a program.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Bytes of the arena.
    pub size: u64,
    /// The most bytes that live at one time; no plan can be smaller.
    pub lower_bound: u64,
    tensors: HashMap<TensorId, u64>,
    scratch: HashMap<usize, u64>,
    temporaries: HashMap<(usize, usize), u64>,
}

impl Plan {
    /// Places all tensors of the arena and the scratch of every record.
    pub fn new(graph: &Graph, storage: &Storage) -> Self {
        let (owners, blocks): (Vec<_>, Vec<_>) = blocks(graph, storage).into_iter().unzip();
        let offsets = place(&blocks);
        let mut plan = Self {
            size: end(&blocks, &offsets),
            lower_bound: most_at_once(&blocks),
            ..Self::default()
        };
        for (owner, offset) in owners.into_iter().zip(offsets) {
            match owner {
                Owner::Tensor(root) => plan.tensors.insert(root, offset),
                Owner::Scratch(record) => plan.scratch.insert(record, offset),
                Owner::Temporary(name) => plan.temporaries.insert(name, offset),
            };
        }
        plan
    }

    /// The lower bound alone.
    pub fn lower_bound(graph: &Graph, storage: &Storage) -> u64 {
        let blocks: Vec<Block> = blocks(graph, storage).into_iter().map(|(_, b)| b).collect();
        most_at_once(&blocks)
    }

    /// Where a tensor lies, by its root.
    pub fn tensor(&self, root: TensorId) -> u64 {
        self.tensors.get(&root).copied().unwrap_or(0)
    }

    /// Where a temporary lies, by its source operator and its number there.
    pub fn temporary(&self, name: (usize, usize)) -> u64 {
        self.temporaries.get(&name).copied().unwrap_or(0)
    }

    /// Where a record's scratch lies.
    pub fn scratch(&self, record: usize) -> u64 {
        self.scratch.get(&record).copied().unwrap_or(0)
    }
}

/// Whose a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// By its root.
    Tensor(TensorId),
    /// The record's.
    Scratch(usize),
    /// The source operator's, by number.
    Temporary((usize, usize)),
}

/// All blocks, in the order in which they are first needed.
pub(crate) fn blocks(graph: &Graph, storage: &Storage) -> Vec<(Owner, Block)> {
    let mut blocks: Vec<(Owner, Block)> = Vec::new();
    let mut known: HashMap<Owner, usize> = HashMap::new();
    for (now, record) in storage.records.iter().enumerate() {
        for operand in &record.operands {
            let (owner, size) = match operand {
                Operand::Read(id) | Operand::Write(id) | Operand::Part(id, _) => {
                    match storage.home(*id) {
                        (root, Home::Arena) => {
                            (Owner::Tensor(root), storage.arena_bytes(graph, root))
                        }
                        _ => continue,
                    }
                }
                Operand::Scratch(size) | Operand::State(size) => {
                    (Owner::Scratch(now), u64::from(*size))
                }
                Operand::Variable { tensor, size } => (Owner::Tensor(*tensor), *size),
                Operand::Temporary { index, size } | Operand::Within { index, size, .. } => {
                    (Owner::Temporary((record.source, *index)), *size)
                }
                Operand::Packed(_) | Operand::Shared(_) | Operand::Output(_) => continue,
            };
            // Nobody else may write what is kept.
            let (first, last) = match operand {
                Operand::State(_) | Operand::Variable { .. } => (0, storage.records.len()),
                _ => (now, now),
            };
            let block = Block {
                size: aligned(size),
                first,
                last,
            };
            let index = *known.entry(owner).or_insert(blocks.len());
            match blocks.get_mut(index) {
                Some((_, block)) => block.last = block.last.max(now),
                None => blocks.push((owner, block)),
            }
        }
    }
    blocks
}

/// Bytes of the arena that this many bytes take.
pub(crate) fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN as u64)
}

/// An offset for each block: of several orders the best, if none is good enough before.
fn place(blocks: &[Block]) -> Vec<u64> {
    let by_use: Vec<usize> = (0..blocks.len()).collect();
    let mut by_size = by_use.clone();
    by_size.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].size), blocks[i].first));
    let enough = most_at_once(blocks);
    let mut known = [by_size, by_use].map(|order| improved(order, blocks));
    known.sort_by_key(|offsets| end(blocks, offsets));
    let [best, second] = known;
    if end(blocks, &best) == enough {
        return best;
    }
    let best = shuffled(best, blocks, enough);
    if end(blocks, &best) == enough {
        return best;
    }
    let second = shuffled(second, blocks, enough);
    std::cmp::min_by_key(best, second, |offsets| end(blocks, offsets))
}

/// The best that comes of exchanging blocks in the order of their offsets, as long as that makes nothing worse.
fn shuffled(mut best: Vec<u64>, blocks: &[Block], enough: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| best[i]);
    // Any numbers do that are the same each time (Marsaglia's xorshift).
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut any = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % blocks.len() as u64) as usize
    };
    for _ in 0..4 * tries(blocks) {
        let size = end(blocks, &best);
        if size == enough {
            break;
        }
        let (a, b) = (any(), any());
        order.swap(a, b);
        let offsets = place_in(&order, blocks);
        match end(blocks, &offsets) <= size {
            true => best = offsets,
            false => order.swap(a, b),
        }
    }
    best
}

/// How often an order may be changed.
fn tries(blocks: &[Block]) -> usize {
    (TRIES_WORK / blocks.len().pow(2).max(1)).min(MOST_TRIES)
}

/// The best that comes of an order when, again and again, what sticks out goes first.
fn improved(mut order: Vec<usize>, blocks: &[Block]) -> Vec<u64> {
    let enough = most_at_once(blocks);
    let mut best = place_in(&order, blocks);
    let mut offsets = best.clone();
    for _ in 0..tries(blocks) {
        let highest = end(blocks, &best);
        if highest == enough {
            break;
        }
        let top = |&&i: &&usize| offsets[i] + blocks[i].size;
        let Some(&sticking_out) = order.iter().max_by_key(top) else {
            break;
        };
        order.retain(|&i| i != sticking_out);
        order.insert(0, sticking_out);
        offsets = place_in(&order, blocks);
        if end(blocks, &offsets) < highest {
            best.clone_from(&offsets);
        }
    }
    best
}

/// Bytes that the placed blocks reach to.
fn end(blocks: &[Block], offsets: &[u64]) -> u64 {
    let ends = offsets
        .iter()
        .zip(blocks)
        .map(|(offset, block)| offset + block.size);
    ends.max().unwrap_or(0)
}

/// An offset for each block, each as low as those before it in `order` allow.
fn place_in(order: &[usize], blocks: &[Block]) -> Vec<u64> {
    let mut offsets = vec![0; blocks.len()];
    // Sorted by offset, so that the first gap that is wide enough is the lowest.
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    for &index in order {
        let block = &blocks[index];
        let mut offset = 0;
        for &other in placed.iter().filter(|&&other| blocks[other].meets(block)) {
            if offset + block.size <= offsets[other] {
                break;
            }
            offset = offset.max(offsets[other] + blocks[other].size);
        }
        offsets[index] = offset;
        let at = placed.partition_point(|&other| offsets[other] <= offset);
        placed.insert(at, index);
    }
    offsets
}

fn most_at_once(blocks: &[Block]) -> u64 {
    let mut changes: Vec<(usize, i128)> = blocks
        .iter()
        .flat_map(|block| {
            [
                (block.first, i128::from(block.size)),
                (block.last + 1, -i128::from(block.size)),
            ]
        })
        .collect();
    changes.sort_unstable();
    let mut live = 0;
    let most = changes.into_iter().map(|(_, change)| {
        live += change;
        live
    });
    most.max()
        .map_or(0, |most| u64::try_from(most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(size: u64, first: usize, last: usize) -> Block {
        Block { size, first, last }
    }

    #[test]
    fn a_chain_needs_two_neighbours_at_once() {
        let chain = [
            block(64, 0, 1),
            block(128, 1, 2),
            block(64, 2, 3),
            block(256, 3, 4),
        ];
        let offsets = place(&chain);
        let size = offsets.iter().zip(&chain).map(|(o, b)| o + b.size).max();
        assert_eq!(size, Some(320));
        assert_eq!(most_at_once(&chain), 320);
    }

    #[test]
    fn small_blocks_of_a_chain_find_room_beside_large_ones() {
        let sizes = [128, 128, 64, 128, 128, 64, 128];
        let chain = sizes
            .iter()
            .enumerate()
            .map(|(i, &size)| block(size, i, i + 1));
        let chain: Vec<Block> = chain.collect();
        assert_eq!(end(&chain, &place(&chain)), most_at_once(&chain));
    }

    #[test]
    fn a_gap_between_two_living_blocks_is_used() {
        let blocks = [
            block(256, 0, 9),
            block(192, 0, 2),
            block(128, 0, 9),
            block(128, 5, 6),
        ];
        assert_eq!(place(&blocks)[3], 256);
    }

    proptest! {
        #[test]
        fn blocks_that_live_at_once_never_overlap(
            shapes in prop::collection::vec((1u64..50, 0usize..40, 0usize..10), 1..60)
        ) {
            let blocks: Vec<Block> = shapes.iter().map(|&(size, first, length)| block(size * 64, first, first + length)).collect();
            let offsets = place(&blocks);
            for (i, a) in blocks.iter().enumerate() {
                prop_assert_eq!(offsets[i] % 64, 0);
                for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                    let apart = offsets[i] + a.size <= offsets[j] || offsets[j] + b.size <= offsets[i];
                    prop_assert!(apart || !a.meets(b), "{i} and {j}");
                }
            }
            let size = offsets.iter().zip(&blocks).map(|(o, b)| o + b.size).max().unwrap();
            prop_assert!(size >= most_at_once(&blocks));
        }
    }
}
