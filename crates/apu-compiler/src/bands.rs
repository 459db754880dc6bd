//! Operators that follow one another, run together, some rows at a time.
//!
//! What a convolution reads of an image lies in a few rows, so its consumer can begin when those are
//! there. A *run* of records is cut into *bands*: each band computes some rows of the last output and, of
//! the tensors between, no more than that takes. Such a tensor then needs room for some rows only, in
//! which those that the next band reads again move to the front. For the device that is nothing new:
//! a record over some rows is a record, a move is a COPY. The bytes that come out are the same.
//!
//! Which runs and how many rows, [`choose`] decides: for a small arena, or for tensors that stay in the
//! processor's cache.

mod choose;
mod rows;
mod run;

use std::{ops::Range, sync::Arc};

use apu_proto::program::{PARAMS, opcode};

use crate::{
    Optimise,
    graph::{Graph, TensorId},
    legalise::{Operand, Record},
    storage::Storage,
};
use rows::Rows;
use run::{Run, Step};

/// Cuts what gains by it.
pub(crate) fn cut(graph: &Graph, storage: &mut Storage, goal: Optimise) {
    let chosen = choose::choose(graph, storage, goal);
    if chosen.is_empty() {
        return;
    }
    let readers = storage.readers();
    let runs: Vec<(Option<Run>, Range<usize>, u32)> = chosen
        .into_iter()
        .map(|(range, height)| {
            (
                Run::new(graph, storage, &readers, range.clone()),
                range,
                height,
            )
        })
        .collect();
    let old = std::mem::take(&mut storage.records);
    let mut new = Vec::with_capacity(old.len());
    let mut at = 0;
    for (run, range, height) in runs {
        new.extend_from_slice(&old[at..range.start]);
        at = range.end;
        match run {
            Some(run) => band_by_band(storage, &run, &old[range], height, &mut new),
            None => new.extend_from_slice(&old[range]),
        }
    }
    new.extend_from_slice(&old[at..]);
    storage.records = new;
}

fn band_by_band(
    storage: &mut Storage,
    run: &Run,
    records: &[Record],
    height: u32,
    out: &mut Vec<Record>,
) {
    let shared: Vec<Record> = records.iter().map(sharing).collect();
    let schedule = run.schedule(height);
    for step in &schedule.steps {
        out.push(match step {
            Step::Move { tensor, from, to } => {
                let writer = &shared[run.writer(*tensor)];
                moved(writer, *tensor, from.clone(), to.clone())
            }
            Step::Compute {
                record,
                rows,
                parts,
            } => computed(&run.rows[*record], &shared[*record], rows, parts),
        });
    }
    for (tensor, bytes) in schedule.buffers {
        storage.hold(tensor, bytes);
    }
}

/// The record with constants that its bands have in common.
fn sharing(record: &Record) -> Record {
    let mut record = record.clone();
    for operand in &mut record.operands {
        if let Operand::Packed(bytes) = operand {
            *operand = Operand::Shared(Arc::from(bytes.as_slice()));
        }
    }
    record
}

fn moved(writer: &Record, tensor: TensorId, from: Range<u64>, to: Range<u64>) -> Record {
    Record {
        opcode: opcode::COPY,
        params: [0; PARAMS],
        operands: vec![Operand::Part(tensor, from), Operand::Part(tensor, to)],
        macs: 0,
        ..writer.clone()
    }
}

fn computed(
    shape: &Rows,
    record: &Record,
    rows: &Range<u32>,
    parts: &[(usize, TensorId, Range<u64>)],
) -> Record {
    let mut band = shape.band(record, rows);
    for (operand, tensor, range) in parts {
        band.operands[*operand] = Operand::Part(*tensor, range.clone());
    }
    band
}
