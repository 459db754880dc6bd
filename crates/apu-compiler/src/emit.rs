//! Writing the program: header, records, constants and names at their places, and the hash over
//! all.

use std::{collections::HashMap, sync::Arc};

use apu_proto::{
    message::MAX_SEGMENTS,
    program::{
        self, ALIGN, Header, Io, MAGIC, MAX_OPERANDS, MAX_RANK, Op, SEGMENT_ARENA,
        SEGMENT_CONSTANTS, SEGMENT_IO, VERSION_MAJOR, VERSION_MINOR,
    },
};
use zerocopy::IntoBytes;

use crate::{
    Error, Options,
    graph::{Graph, Tensor, TensorId},
    legalise::{Operand, Record},
    plan::Plan,
    storage::{Home, Storage},
};

/// Most records of a program.
const MAX_OPS: usize = 1 << 16;

/// A written program and what its parts came to.
pub(crate) struct Emitted {
    /// The whole file.
    pub file: Vec<u8>,
    /// Bytes of segment 0.
    pub constants: u64,
}

/// Writes the file.
///
/// # Errors
/// [`Error::Port`] and [`Error::TooLarge`] when the model doesn't fit the program's fields.
pub(crate) fn emit(
    graph: &Graph,
    storage: &Storage,
    plan: &Plan,
    options: &Options,
) -> Result<Emitted, Error> {
    check_limits(graph, storage, plan)?;
    let mut parts = Parts::default();
    let inputs = graph.inputs.iter().map(|&id| ("input", id));
    let outputs = graph.outputs.iter().map(|&id| ("output", id));
    for (index, (end, id)) in inputs.enumerate().chain(outputs.enumerate()) {
        let io = parts.io(end, index, id, &graph.tensors[id])?;
        parts.records.extend(io.as_bytes());
    }
    for (now, record) in storage.records.iter().enumerate() {
        let op = parts.op(graph, storage, plan, now, record)?;
        parts.records.extend(op.as_bytes());
    }
    parts.assemble(graph, storage, plan, options)
}

fn check_limits(graph: &Graph, storage: &Storage, plan: &Plan) -> Result<(), Error> {
    let limits = [
        (
            "the list of inputs and outputs",
            graph.inputs.len() + graph.outputs.len(),
            MAX_SEGMENTS - SEGMENT_IO as usize,
            size_of::<Io>(),
        ),
        (
            "the list of operators",
            storage.records.len(),
            MAX_OPS,
            size_of::<Op>(),
        ),
    ];
    for (what, got, most, size) in limits {
        if got > most {
            return Err(Error::TooLarge {
                what,
                got: (got * size) as u64,
                most: (most * size) as u64,
            });
        }
    }
    narrow("the arena", plan.size).map(drop)
}

/// A size or offset in the width of its field.
fn narrow(what: &'static str, got: u64) -> Result<u32, Error> {
    u32::try_from(got).map_err(|_| Error::TooLarge {
        what,
        got,
        most: u32::MAX.into(),
    })
}

/// The parts of the file as they grow.
#[derive(Default)]
struct Parts {
    records: Vec<u8>,
    constants: Vec<u8>,
    names: Vec<u8>,
    /// Where constant tensors lie, by root, so that each is stored once.
    constant_at: HashMap<TensorId, u64>,
    name_at: HashMap<TensorId, u32>,
    /// Where constants lie that several records have in common, by where they are in memory. They
    /// live as long as the records.
    shared_at: HashMap<*const u8, u64>,
}

impl Parts {
    fn io(
        &mut self,
        end: &'static str,
        index: usize,
        id: TensorId,
        tensor: &Tensor,
    ) -> Result<Io, Error> {
        let refuse = |got: String| Error::Port {
            end,
            index,
            name: tensor.name.clone(),
            got,
            needed: "elements of 1, 2, 4 or 8 bytes, at least one of them, in at most 8 dimensions",
        };
        let dtype = tensor
            .element
            .dtype()
            .ok_or_else(|| refuse(tensor.element.name().into()))?;
        let rank = tensor.shape.len();
        let mut shape = [0; MAX_RANK];
        shape
            .get_mut(..rank)
            .filter(|_| tensor.count() > 0)
            .ok_or_else(|| refuse(format!("shape {:?}", tensor.shape)))?
            .copy_from_slice(&tensor.shape);
        let (scale, zero_point) = tensor.per_tensor().unwrap_or((0.0, 0));
        Ok(Io {
            size: tensor.bytes(),
            dtype: dtype as u32,
            rank: rank as u32,
            shape,
            scale: scale.to_bits(),
            zero_point: i32::try_from(zero_point).unwrap_or(0),
            name_offset: self.name(id, tensor)?,
            name_size: narrow("a name", tensor.name.len() as u64)?,
            reserved: [0; 4],
        })
    }

    fn op(
        &mut self,
        graph: &Graph,
        storage: &Storage,
        plan: &Plan,
        now: usize,
        record: &Record,
    ) -> Result<Op, Error> {
        let named = &graph.tensors[record.output];
        let mut operands = [program::Operand::default(); MAX_OPERANDS];
        for (slot, operand) in operands.iter_mut().zip(&record.operands) {
            *slot = match operand {
                Operand::Read(id) | Operand::Write(id) => self.tensor(graph, storage, plan, *id)?,
                Operand::Part(id, range) => {
                    let whole = self.tensor(graph, storage, plan, *id)?;
                    let start = u64::from(whole.offset) + range.start;
                    located(whole.segment, start, range.end - range.start)?
                }
                Operand::Output(index) => output(graph, *index)?,
                Operand::Packed(bytes) => {
                    located(SEGMENT_CONSTANTS, self.constant(bytes), bytes.len() as u64)?
                }
                Operand::Shared(bytes) => {
                    located(SEGMENT_CONSTANTS, self.shared(bytes), bytes.len() as u64)?
                }
                Operand::Temporary { index, size } => located(
                    SEGMENT_ARENA,
                    plan.temporary((record.source, *index)),
                    *size,
                )?,
                Operand::Within { index, part, .. } => located(
                    SEGMENT_ARENA,
                    plan.temporary((record.source, *index)) + part.start,
                    part.end - part.start,
                )?,
                Operand::Variable { tensor, size } => {
                    located(SEGMENT_ARENA, plan.tensor(*tensor), *size)?
                }
                Operand::Scratch(0) => program::Operand::default(),
                Operand::Scratch(size) | Operand::State(size) => {
                    located(SEGMENT_ARENA, plan.scratch(now), (*size).into())?
                }
            };
        }
        Ok(Op {
            opcode: record.opcode,
            source: record.source as u32,
            name_offset: self.name(record.output, named)?,
            name_size: narrow("a name", named.name.len() as u64)?,
            operands,
            params: record.params,
        })
    }

    fn tensor(
        &mut self,
        graph: &Graph,
        storage: &Storage,
        plan: &Plan,
        id: TensorId,
    ) -> Result<program::Operand, Error> {
        let size = graph.tensors[id].bytes();
        let start = storage.offset(id);
        match storage.home(id) {
            (_, Home::Input(index)) => located(SEGMENT_IO + index as u32, start, size),
            (_, Home::Output(index)) => located(output(graph, index)?.segment, start, size),
            (root, Home::Arena) => located(SEGMENT_ARENA, plan.tensor(root) + start, size),
            (root, Home::Constant) => {
                let offset = match self.constant_at.get(&root) {
                    Some(&offset) => offset,
                    None => {
                        let offset =
                            self.constant(graph.tensors[root].elements().unwrap_or_default());
                        self.constant_at.insert(root, offset);
                        offset
                    }
                };
                located(SEGMENT_CONSTANTS, offset + start, size)
            }
        }
    }

    fn shared(&mut self, bytes: &Arc<[u8]>) -> u64 {
        let at = bytes.as_ptr();
        if let Some(&offset) = self.shared_at.get(&at) {
            return offset;
        }
        let offset = self.constant(bytes);
        self.shared_at.insert(at, offset);
        offset
    }

    fn constant(&mut self, bytes: &[u8]) -> u64 {
        align(&mut self.constants);
        let offset = self.constants.len() as u64;
        self.constants.extend(bytes);
        offset
    }

    fn name(&mut self, id: TensorId, tensor: &Tensor) -> Result<u32, Error> {
        if let Some(&offset) = self.name_at.get(&id) {
            return Ok(offset);
        }
        let offset = narrow("the names", self.names.len() as u64)?;
        self.names.extend(tensor.name.as_bytes());
        self.name_at.insert(id, offset);
        Ok(offset)
    }

    fn assemble(
        self,
        graph: &Graph,
        storage: &Storage,
        plan: &Plan,
        options: &Options,
    ) -> Result<Emitted, Error> {
        let code_size = size_of::<Header>() + self.records.len();
        let constants_offset = code_size.next_multiple_of(ALIGN);
        let names_offset = (constants_offset + self.constants.len()).next_multiple_of(ALIGN);
        let mut header = Header {
            magic: MAGIC,
            version_major: VERSION_MAJOR,
            version_minor: VERSION_MINOR,
            header_size: size_of::<Header>() as u32,
            required_features: 0,
            target: padded(&options.target),
            numerics: options.numerics.raw(),
            input_count: graph.inputs.len() as u32,
            output_count: graph.outputs.len() as u32,
            op_count: storage.records.len() as u32,
            code_size: narrow("the code", code_size as u64)?,
            names_offset: narrow("the program", names_offset as u64)?,
            names_size: narrow("the names", self.names.len() as u64)?,
            pad: 0,
            constants_offset: constants_offset as u64,
            constants_size: self.constants.len() as u64,
            arena_size: plan.size,
            macs: storage
                .records
                .iter()
                .fold(0, |sum, record| record.macs.saturating_add(sum)),
            hash: [0; 32],
            reserved: [0; 40],
        };
        let mut file = Vec::with_capacity(names_offset + self.names.len());
        file.extend(header.as_bytes());
        file.extend(&self.records);
        align(&mut file);
        file.extend(&self.constants);
        align(&mut file);
        file.extend(&self.names);
        header.hash = blake3::hash(&file).into();
        file[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        Ok(Emitted {
            file,
            constants: header.constants_size,
        })
    }
}

fn located(segment: u32, offset: u64, size: u64) -> Result<program::Operand, Error> {
    let what = "an operand";
    Ok(program::Operand {
        segment,
        offset: narrow(what, offset)?,
        size: narrow(what, size)?,
    })
}

fn output(graph: &Graph, index: usize) -> Result<program::Operand, Error> {
    let segment = SEGMENT_IO + (graph.inputs.len() + index) as u32;
    located(segment, 0, graph.tensors[graph.outputs[index]].bytes())
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

fn padded(text: &str) -> [u8; 32] {
    let mut padded = [0; 32];
    let size = text.len().min(padded.len());
    padded[..size].copy_from_slice(&text.as_bytes()[..size]);
    padded
}
