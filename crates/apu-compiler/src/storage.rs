//! Which tensors share memory, and in which segment they live.

use std::collections::HashMap;

use crate::{
    graph::{Graph, TensorId},
    legalise::{Operand, Record, Step},
};

/// Where a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the constants.
    Constant,
    /// In the segment of an input.
    Input(usize),
    /// In the segment of an output.
    Output(usize),
    /// In the arena.
    Arena,
}

/// The records of a program, and where each of their tensors lives.
#[derive(Clone)]
pub(crate) struct Storage {
    /// In the order in which they run.
    pub records: Vec<Record>,
    /// For each tensor the one whose elements it has: itself, or what it is a view of.
    roots: Vec<TensorId>,
    homes: Vec<Home>,
    /// For each tensor the byte of that other one at which its own begin.
    offsets: Vec<u64>,
    /// Bytes of tensors of which the arena never holds all.
    held: HashMap<TensorId, u64>,
}

impl Storage {
    /// Merges views into their origins and gives each tensor a segment. An output whose elements
    /// are already at home elsewhere (in an input, a constant, or another output) gets a copy at
    /// the end.
    pub fn assign(graph: &Graph, steps: Vec<Step>) -> Self {
        let mut roots: Vec<TensorId> = (0..graph.tensors.len()).collect();
        let mut records = Vec::new();
        for step in steps {
            match step {
                // Steps come in running order, so the input's root is final.
                Step::View { input, output } => roots[output] = roots[input],
                Step::Run(run) => records.extend(run),
                Step::Folded => {}
            }
        }
        let mut homes = vec![Home::Arena; graph.tensors.len()];
        for (id, tensor) in graph
            .tensors
            .iter()
            .enumerate()
            .filter(|(_, t)| t.data.is_some())
        {
            // What is of no type that the device knows is an operand of nothing that runs there.
            debug_assert!(
                tensor.element.dtype().is_none()
                    || tensor.elements().map(|data| data.len() as u64) == Some(tensor.bytes())
            );
            homes[id] = Home::Constant;
        }
        for (index, &id) in graph.inputs.iter().enumerate().rev() {
            homes[id] = Home::Input(index);
        }
        for (index, &id) in graph.outputs.iter().enumerate() {
            match &mut homes[roots[id]] {
                home @ Home::Arena => *home = Home::Output(index),
                _ if writes_output(&records, index) => {}
                _ => records.push(copy_to_output(graph, id, index)),
            }
        }
        Self {
            records,
            offsets: vec![0; roots.len()],
            roots,
            homes,
            held: HashMap::new(),
        }
    }

    /// Where a tensor's elements are, and the tensor that they are named after.
    pub fn home(&self, id: TensorId) -> (TensorId, Home) {
        let root = self.roots[id];
        (root, self.homes[root])
    }

    /// Where in the tensor that it is named after a tensor's elements begin, in bytes.
    pub fn offset(&self, id: TensorId) -> u64 {
        self.offsets[id]
    }

    /// Whether a tensor is not all of the one that it is named after.
    pub fn is_part(&self, graph: &Graph, id: TensorId) -> bool {
        graph.tensors[id].bytes() != graph.tensors[self.roots[id]].bytes()
    }

    /// Has a tensor, which is named after itself, begin at this byte of another one.
    pub fn become_part(&mut self, id: TensorId, of: TensorId, at: u64) {
        let (root, at) = (self.roots[of], self.offsets[of] + at);
        for other in 0..self.roots.len() {
            if self.roots[other] == id {
                self.roots[other] = root;
                self.offsets[other] += at;
            }
        }
    }

    /// The records that read a tensor, by the one that it is named after; one that reads it twice
    /// counts twice.
    pub fn readers(&self) -> HashMap<TensorId, Vec<usize>> {
        let mut readers: HashMap<TensorId, Vec<usize>> = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            for operand in &record.operands {
                if let Operand::Read(id) = operand {
                    readers.entry(self.roots[*id]).or_default().push(index);
                }
            }
        }
        readers
    }

    /// Says that the arena needs room for this many bytes of a tensor only.
    pub fn hold(&mut self, root: TensorId, bytes: u64) {
        self.held.insert(root, bytes);
    }

    /// Bytes that the arena has for a tensor that lives there, by its root.
    pub fn arena_bytes(&self, graph: &Graph, root: TensorId) -> u64 {
        let held = self.held.get(&root).copied();
        held.unwrap_or_else(|| graph.tensors[root].bytes())
    }
}

/// Whether an operator itself writes an output that is at home elsewhere.
fn writes_output(records: &[Record], index: usize) -> bool {
    let mut operands = records.iter().flat_map(|record| &record.operands);
    operands.any(|operand| matches!(operand, Operand::Output(written) if *written == index))
}

fn copy_to_output(graph: &Graph, id: TensorId, index: usize) -> Record {
    let source = graph
        .operators
        .iter()
        .find(|op| op.outputs.contains(&id))
        .map_or(0, |op| op.index);
    Record {
        opcode: apu_proto::program::opcode::COPY,
        params: [0; apu_proto::program::PARAMS],
        operands: vec![Operand::Read(id), Operand::Output(index)],
        source,
        output: id,
        macs: 0,
    }
}
