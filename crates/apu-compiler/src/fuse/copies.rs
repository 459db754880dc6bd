//! Copies of bytes that stand side by side in both tensors, as of a CONCATENATION or SPLIT along the
//! outermost dimension: a part of one tensor is the other.

use std::{collections::HashMap, ops::Range};

use apu_proto::program::{OP_RANK, StridedCopy, opcode};

use crate::{
    graph::{Graph, TensorId},
    legalise::{Operand, Record},
    plan::Plan,
    storage::{Home, Storage},
};

/// Most tensors for which it is tried; each try plans the arena.
const MOST_TRIES: usize = 128;

/// A record that copies adjacent bytes.
struct Copy {
    record: usize,
    from: TensorId,
    /// Bytes of `from`.
    read: Range<u64>,
    to: TensorId,
    /// Bytes of `to`.
    written: Range<u64>,
}

pub(super) fn fuse(graph: &Graph, storage: &mut Storage) {
    let mut tries = 0;
    let mut peak = Plan::lower_bound(graph, storage);
    let mut targets: Vec<TensorId> = Vec::new();
    for record in &storage.records {
        match record.operands.as_slice() {
            [_, Operand::Write(id)] if record.opcode == opcode::STRIDED_COPY => targets.push(*id),
            _ => {}
        }
    }
    targets.dedup();
    for target in targets {
        let Some(copies) = copies_to(graph, storage, target) else {
            continue;
        };
        tries += 1;
        if tries > MOST_TRIES {
            return;
        }
        let mut without = storage.clone();
        leave_out(graph, &mut without, &copies);
        // A tensor that was made early and is now part of a larger one may take more than it saves.
        let now = Plan::lower_bound(graph, &without);
        if now <= peak {
            (*storage, peak) = (without, now);
        }
    }
}

/// The copies that fill a tensor, each a part of its own; none if it is filled in another way.
fn copies_to(graph: &Graph, storage: &Storage, target: TensorId) -> Option<Vec<Copy>> {
    let mut copies = Vec::new();
    for (index, record) in storage.records.iter().enumerate() {
        let writes = |operand: &Operand| matches!(operand, Operand::Write(id) if *id == target);
        if record.operands.iter().any(writes) {
            copies.push(adjacent(index, record)?);
        }
    }
    let mut parts: Vec<Range<u64>> = copies.iter().map(|copy| copy.written.clone()).collect();
    parts.sort_by_key(|part| part.start);
    let mut end = 0;
    for part in parts {
        if part.start != end {
            return None;
        }
        end = part.end;
    }
    (end == graph.tensors[target].bytes()).then_some(copies)
}

fn adjacent(index: usize, record: &Record) -> Option<Copy> {
    let copy: StridedCopy = record
        .params()
        .filter(|_| record.opcode == opcode::STRIDED_COPY)?;
    let [Operand::Read(from), Operand::Write(to)] = *record.operands.as_slice() else {
        return None;
    };
    let mut step = 1i64;
    for dim in (0..OP_RANK).rev().filter(|&dim| copy.shape[dim] != 1) {
        let strides = [copy.input_stride[dim], copy.output_stride[dim]];
        if strides.map(i64::from) != [step; 2] {
            return None;
        }
        step = step.checked_mul(copy.shape[dim].into())?;
    }
    let size = u64::from(copy.element_size);
    let bytes = |start: u32| {
        let start = u64::from(start) * size;
        start..start + step as u64 * size
    };
    Some(Copy {
        record: index,
        from,
        read: bytes(copy.input_start),
        to,
        written: bytes(copy.output_start),
    })
}

/// Makes tensors parts of others in place of copies, as far as that can be.
fn leave_out(graph: &Graph, storage: &mut Storage, copies: &[Copy]) {
    let mut uses: HashMap<TensorId, usize> = HashMap::new();
    for copy in copies {
        *uses.entry(storage.home(copy.from).0).or_default() += 1;
    }
    let mut gone = Vec::new();
    for copy in copies {
        let is_own = |id: TensorId| storage.home(id) == (id, Home::Arena);
        let whole = |id: TensorId, part: &Range<u64>| *part == (0..graph.tensors[id].bytes());
        if whole(copy.from, &copy.read) && is_own(copy.from) && uses[&copy.from] == 1 {
            // It is written where it is wanted.
            storage.become_part(copy.from, copy.to, copy.written.start);
        } else if whole(copy.to, &copy.written) && is_own(copy.to) {
            // It is read where it is.
            storage.become_part(copy.to, copy.from, copy.read.start);
        } else {
            continue;
        }
        gone.push(copy.record);
    }
    let mut index = 0..;
    storage
        .records
        .retain(|_| index.next().is_none_or(|index| !gone.contains(&index)));
}
