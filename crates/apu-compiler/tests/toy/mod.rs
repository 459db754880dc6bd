//! Small models written straight as flatbuffers, by the field numbers of TFLite's schema.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, UOffsetT, VOffsetT, WIPOffset};

type Table = WIPOffset<TableFinishedWIPOffset>;

pub const FLOAT32: i8 = 0;
pub const INT32: i8 = 2;
pub const STRING: i8 = 5;
pub const INT8: i8 = 9;

pub const ADD: i32 = 0;
pub const RESHAPE: i32 = 22;
pub const CUSTOM: i32 = 32;
pub const SHAPE: i32 = 77;
pub const ELU: i32 = 111;
pub const UNIQUE: i32 = 103;
pub const MAX_POOL_2D: i32 = 17;

/// A tensor; int8 ones get a scale of 0.5 and a zero point of 0.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub shape: Vec<i32>,
    pub element: i8,
    pub data: Vec<u8>,
    pub name: &'static str,
}

/// An int8 tensor.
pub fn bytes(shape: &[i32]) -> Tensor {
    Tensor {
        shape: shape.into(),
        element: INT8,
        data: Vec::new(),
        name: "t",
    }
}

impl Tensor {
    pub fn with_data(self, data: &[u8]) -> Self {
        Self {
            data: data.into(),
            ..self
        }
    }

    pub fn of(self, element: i8) -> Self {
        Self { element, ..self }
    }
}

/// A model of one subgraph. Buffer 0 is empty; tensor `i` has buffer `i + 1`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub tensors: Vec<Tensor>,
    /// Code, inputs, outputs.
    pub operators: Vec<(i32, Vec<i32>, Vec<i32>)>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    /// By how many words the zero points of tensors are displaced within a vector of words; 0 if they have one of their own.
    pub displaced: usize,
    /// `offset` field of all buffers.
    pub buffer_offset: u64,
}

fn table(fbb: &mut FlatBufferBuilder, fields: impl FnOnce(&mut FlatBufferBuilder)) -> Table {
    let start = fbb.start_table();
    fields(fbb);
    let end = fbb.end_table(start);
    WIPOffset::new(end.value())
}

fn slot(id: VOffsetT) -> VOffsetT {
    4 + 2 * id
}

fn offset<T>(fbb: &mut FlatBufferBuilder, id: VOffsetT, value: WIPOffset<T>) {
    fbb.push_slot_always(slot(id), WIPOffset::<UOffsetT>::new(value.value()));
}

impl Model {
    pub fn build(&self) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::new();
        let fbb = &mut fbb;
        let codes: Vec<Table> = self.operators.iter().map(|op| code(fbb, op.0)).collect();
        let codes = fbb.create_vector(&codes);
        let tensors: Vec<Table> = (0..)
            .zip(&self.tensors)
            .map(|(i, t)| tensor(fbb, t, i + 1, self.displaced))
            .collect();
        let tensors = fbb.create_vector(&tensors);
        let operators: Vec<Table> = (0..)
            .zip(&self.operators)
            .map(|(i, op)| operator(fbb, i, op))
            .collect();
        let operators = fbb.create_vector(&operators);
        let (inputs, outputs) = (
            fbb.create_vector(&self.inputs),
            fbb.create_vector(&self.outputs),
        );
        let subgraph = table(fbb, |fbb| {
            offset(fbb, 0, tensors);
            offset(fbb, 1, inputs);
            offset(fbb, 2, outputs);
            offset(fbb, 3, operators);
        });
        let subgraphs = fbb.create_vector(&[subgraph]);
        let contents =
            std::iter::once([].as_slice()).chain(self.tensors.iter().map(|t| t.data.as_slice()));
        let buffers: Vec<Table> = contents
            .map(|data| buffer(fbb, data, self.buffer_offset))
            .collect();
        let buffers = fbb.create_vector(&buffers);
        let model = table(fbb, |fbb| {
            fbb.push_slot_always(slot(0), 3u32);
            offset(fbb, 1, codes);
            offset(fbb, 2, subgraphs);
            offset(fbb, 4, buffers);
        });
        fbb.finish(model, Some("TFL3"));
        fbb.finished_data().to_vec()
    }
}

fn code(fbb: &mut FlatBufferBuilder, code: i32) -> Table {
    table(fbb, |fbb| {
        fbb.push_slot_always(slot(0), code.min(127) as i8);
        fbb.push_slot_always(slot(3), code);
    })
}

/// A vector of one i64, which is 0.
fn long(fbb: &mut FlatBufferBuilder, displaced: usize) -> WIPOffset<()> {
    if displaced == 0 {
        return WIPOffset::new(fbb.create_vector(&[0i64]).value());
    }
    let words = [vec![0u32; displaced - 1], vec![1, 0, 0]].concat();
    let all = fbb.create_vector(&words);
    WIPOffset::new(all.value() - 4 * displaced as UOffsetT)
}

fn tensor(fbb: &mut FlatBufferBuilder, t: &Tensor, buffer: u32, displaced: usize) -> Table {
    let shape = fbb.create_vector(&t.shape);
    let name = fbb.create_string(t.name);
    let (scale, zero_point) = (fbb.create_vector(&[0.5f32]), long(fbb, displaced));
    let quantization = table(fbb, |fbb| {
        offset(fbb, 2, scale);
        offset(fbb, 3, zero_point);
    });
    table(fbb, |fbb| {
        offset(fbb, 0, shape);
        fbb.push_slot_always(slot(1), t.element);
        fbb.push_slot_always(slot(2), buffer);
        offset(fbb, 3, name);
        if t.element == INT8 {
            offset(fbb, 4, quantization);
        }
    })
}

fn operator(fbb: &mut FlatBufferBuilder, code: u32, op: &(i32, Vec<i32>, Vec<i32>)) -> Table {
    let (inputs, outputs) = (fbb.create_vector(&op.1), fbb.create_vector(&op.2));
    table(fbb, |fbb| {
        fbb.push_slot_always(slot(0), code);
        offset(fbb, 1, inputs);
        offset(fbb, 2, outputs);
    })
}

fn buffer(fbb: &mut FlatBufferBuilder, data: &[u8], outside: u64) -> Table {
    let vector = fbb.create_vector(data);
    table(fbb, |fbb| {
        offset(fbb, 0, vector);
        fbb.push_slot(slot(1), outside, 0);
    })
}
