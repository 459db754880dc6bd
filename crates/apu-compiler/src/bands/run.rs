//! A run of records, and the steps that compute it band by band.

use std::{collections::HashMap, ops::Range};

use super::rows::Rows;
use crate::{
    graph::{Graph, TensorId},
    legalise::{Operand, Record},
    storage::{Home, Storage},
};

/// Records that follow one another, all of which compute rows.
pub(super) struct Run {
    /// What each record does.
    pub rows: Vec<Rows>,
    /// What each record writes, by root.
    writes: Vec<TensorId>,
    /// For each record, and each of what it reads by rows, the tensor by root.
    reads: Vec<Vec<TensorId>>,
    /// For each record those of the run that read what it writes, each with which of its reads that is.
    readers: Vec<Vec<(usize, usize)>>,
    /// For each record whether nobody else reads what it writes.
    passing: Vec<bool>,
}

/// What is done in a row.
#[derive(Debug)]
pub(super) enum Step {
    /// Rows that are needed again go to the front.
    Move {
        tensor: TensorId,
        from: Range<u64>,
        to: Range<u64>,
    },
    /// A record computes some rows.
    Compute {
        /// Index in the run.
        record: usize,
        rows: Range<u32>,
        /// The bytes of each operand that goes by rows.
        parts: Vec<(usize, TensorId, Range<u64>)>,
    },
}

/// All steps of a run.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub steps: Vec<Step>,
    /// Bytes of the tensors that are only held in part.
    pub buffers: Vec<(TensorId, u64)>,
    /// Bytes that are moved.
    pub moved: u64,
}

/// How far a record is.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Rows that it has computed.
    done: u32,
    /// The first row that is still held.
    first: u32,
    /// The most rows that were held.
    most: u32,
}

impl Run {
    /// The run of these records, if all of them compute rows, given who reads what.
    pub fn new(
        graph: &Graph,
        storage: &Storage,
        all_readers: &HashMap<TensorId, Vec<usize>>,
        range: Range<usize>,
    ) -> Option<Self> {
        let inside = storage.records.get(range)?;
        let rows: Vec<Rows> = inside
            .iter()
            .map(|record| Rows::of(graph, record))
            .collect::<Option<_>>()?;
        let root = |record: &Record, operand: usize| match record.operands.get(operand)? {
            Operand::Read(id) | Operand::Write(id) if !storage.is_part(graph, *id) => {
                Some(storage.home(*id).0)
            }
            _ => None,
        };
        let pairs = || inside.iter().zip(&rows);
        let writes: Vec<TensorId> = pairs()
            .map(|(record, rows)| root(record, rows.writes))
            .collect::<Option<_>>()?;
        let reads: Vec<Vec<TensorId>> = pairs()
            .map(|(record, rows)| {
                rows.reads
                    .iter()
                    .map(|it| root(record, it.operand))
                    .collect()
            })
            .collect::<Option<_>>()?;
        let readers = writes.iter().enumerate().map(|(writer, tensor)| {
            let later = reads.iter().enumerate().skip(writer + 1);
            let places = later.flat_map(|(reader, tensors)| {
                let places = tensors.iter().enumerate();
                places.map(move |(place, read)| (reader, place, read))
            });
            let places = places.filter(|(_, _, read)| *read == tensor);
            places.map(|(reader, place, _)| (reader, place)).collect()
        });
        let readers: Vec<Vec<(usize, usize)>> = readers.collect();
        // One that is read as an image of another shape is nothing that rows are known of.
        let alike = |writer: usize, &(reader, place): &(usize, usize)| {
            let (written, read) = (&rows[writer], &rows[reader].reads[place]);
            (written.count, written.bytes) == (read.count, read.bytes)
        };
        for (writer, readers) in readers.iter().enumerate() {
            if !readers.iter().all(|reader| alike(writer, reader)) {
                return None;
            }
        }
        let passing = writes.iter().zip(&readers).map(|(tensor, inside)| {
            let all = all_readers.get(tensor).map_or(0, Vec::len);
            storage.home(*tensor).1 == Home::Arena && !inside.is_empty() && inside.len() == all
        });
        Some(Self {
            passing: passing.collect(),
            rows,
            writes,
            reads,
            readers,
        })
    }

    /// The record that writes a tensor of the run.
    pub fn writer(&self, tensor: TensorId) -> usize {
        let writer = self.writes.iter().position(|&written| written == tensor);
        writer.unwrap_or(0)
    }

    /// Tensors that pass between records of the run and are seen by nobody else.
    pub fn passing(&self) -> impl Iterator<Item = TensorId> + '_ {
        let pairs = self.writes.iter().zip(&self.passing);
        pairs.filter(|(_, passing)| **passing).map(|(&id, _)| id)
    }

    /// Rows of what the run is for.
    pub fn height(&self) -> u32 {
        self.rows.last().map_or(0, |last| last.count)
    }

    /// The steps of bands of `height` rows.
    pub fn schedule(&self, height: u32) -> Schedule {
        let mut schedule = Schedule::default();
        let mut progress = vec![Progress::default(); self.rows.len()];
        let mut end = 0;
        while end < self.height() {
            end = end.saturating_add(height.max(1)).min(self.height());
            let ends = self.ends(end, &progress);
            for (writer, &end) in ends.iter().enumerate() {
                self.move_up(writer, &mut progress, &mut schedule);
                let now = &mut progress[writer];
                now.most = now.most.max(end - now.first);
            }
            for (record, &end) in ends.iter().enumerate() {
                let rows = progress[record].done..end;
                if !rows.is_empty() {
                    let parts = self.parts(record, &rows, &progress);
                    schedule.steps.push(Step::Compute {
                        record,
                        rows,
                        parts,
                    });
                    progress[record].done = end;
                }
            }
        }
        for (writer, tensor) in self.writes.iter().enumerate() {
            if self.passing[writer] {
                let bytes = u64::from(progress[writer].most) * self.rows[writer].bytes;
                schedule.buffers.push((*tensor, bytes));
            }
        }
        schedule
    }

    /// The rows that each record must have computed when the last one has come to `end`.
    fn ends(&self, end: u32, progress: &[Progress]) -> Vec<u32> {
        let mut ends: Vec<u32> = progress.iter().map(|it| it.done).collect();
        let is_last = end == self.height();
        for writer in (0..ends.len()).rev() {
            let mut needed = ends[writer];
            if writer + 1 == ends.len() {
                needed = end;
            } else if is_last && !self.passing[writer] {
                needed = self.rows[writer].count;
            }
            for &(reader, place) in &self.readers[writer] {
                needed = needed.max(self.rows[reader].reads[place].end(ends[reader]));
            }
            ends[writer] = needed;
        }
        ends
    }

    /// Forgets the rows that nobody will read any more.
    fn move_up(&self, writer: usize, progress: &mut [Progress], schedule: &mut Schedule) {
        if !self.passing[writer] {
            return;
        }
        let readers = self.readers[writer].iter();
        let still = readers
            .map(|&(reader, place)| self.rows[reader].reads[place].first(progress[reader].done));
        let Progress { done, first, .. } = progress[writer];
        let still = still.min().unwrap_or(done).clamp(first, done);
        let (shift, keep) = (still - first, done - still);
        progress[writer].first = still;
        if shift == 0 {
            return;
        }
        // In steps that don't overlap, as a COPY must not.
        let bytes = self.rows[writer].bytes;
        let place = |rows: Range<u32>| u64::from(rows.start) * bytes..u64::from(rows.end) * bytes;
        let mut at = 0;
        while at < keep {
            let end = (at + shift).min(keep);
            let to = place(at..end);
            schedule.moved += to.end - to.start;
            schedule.steps.push(Step::Move {
                tensor: self.writes[writer],
                from: place(at + shift..end + shift),
                to,
            });
            at = end;
        }
    }

    /// Where the operands of a record are that go by rows.
    fn parts(
        &self,
        record: usize,
        rows: &Range<u32>,
        progress: &[Progress],
    ) -> Vec<(usize, TensorId, Range<u64>)> {
        let shape = &self.rows[record];
        let place = |tensor: TensorId, rows: Range<u32>, bytes: u64| {
            let held = self.writes.iter().position(|&written| written == tensor);
            let held = held.filter(|&writer| self.passing[writer]);
            let first = held.map_or(0, |writer| progress[writer].first);
            u64::from(rows.start - first) * bytes..u64::from(rows.end - first) * bytes
        };
        let written = place(self.writes[record], rows.clone(), shape.bytes);
        let mut parts = vec![(shape.writes, self.writes[record], written)];
        for (reads, &tensor) in shape.reads.iter().zip(&self.reads[record]) {
            let range = place(tensor, reads.rows(rows), reads.bytes);
            parts.push((reads.operand, tensor, range));
        }
        parts
    }
}
