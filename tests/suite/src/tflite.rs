//! Writes a graph as a `.tflite` file, by the field numbers of TFLite's `schema.fbs`: what the compiler's
//! importer reads, and no more.

mod options;

use apu_compiler::graph::{Graph, Opcode, Operator, Tensor};
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, TableFinishedWIPOffset, WIPOffset};

type Builder = FlatBufferBuilder<'static>;
type Offset = WIPOffset<TableFinishedWIPOffset>;

/// Place of field number `id` in a table's vtable.
const fn slot(id: u16) -> u16 {
    4 + 2 * id
}

/// The file. Reading it gives the same graph, but for what isn't imported, such as sparse data.
pub fn write(graph: &Graph<'_>) -> Vec<u8> {
    let mut builder = Builder::new();
    let codes = vector(&mut builder, &graph.operators, |builder, operator| {
        operator_code(builder, operator)
    });
    let buffers = buffers(&mut builder, &graph.tensors);
    let subgraph = subgraph(&mut builder, graph);
    let subgraphs = builder.create_vector(&[subgraph]);
    let description = builder.create_string(&graph.description);
    let model = builder.start_table();
    builder.push_slot_always(slot(0), 3u32);
    builder.push_slot_always(slot(1), codes);
    builder.push_slot_always(slot(2), subgraphs);
    builder.push_slot_always(slot(3), description);
    builder.push_slot_always(slot(4), buffers);
    let model = builder.end_table(model);
    builder.finish(model, Some("TFL3"));
    builder.finished_data().to_vec()
}

fn vector<'b, T>(
    builder: &mut FlatBufferBuilder<'b>,
    items: &[T],
    mut table: impl FnMut(&mut FlatBufferBuilder<'b>, &T) -> Offset,
) -> WIPOffset<flatbuffers::Vector<'b, ForwardsUOffset<TableFinishedWIPOffset>>> {
    let tables: Vec<Offset> = items.iter().map(|item| table(builder, item)).collect();
    builder.create_vector(&tables)
}

fn operator_code(builder: &mut Builder, operator: &Operator) -> Offset {
    let custom = match operator.opcode {
        Opcode::DETECTION_POSTPROCESS => Some("TFLite_Detection_PostProcess"),
        _ => operator.custom.as_deref(),
    };
    let custom = custom.map(|name| builder.create_string(name));
    let builtin = match operator.opcode {
        Opcode::DETECTION_POSTPROCESS => Opcode::CUSTOM,
        builtin => builtin,
    };
    let code = builder.start_table();
    builder.push_slot_always(slot(0), builtin.0.min(127) as i8);
    if let Some(name) = custom {
        builder.push_slot_always(slot(1), name);
    }
    builder.push_slot_always(slot(2), operator.version);
    builder.push_slot_always(slot(3), builtin.0);
    builder.end_table(code)
}

/// An empty one, then one for each tensor.
fn buffers<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    tensors: &[Tensor<'_>],
) -> WIPOffset<flatbuffers::Vector<'b, ForwardsUOffset<TableFinishedWIPOffset>>> {
    let data = tensors.iter().map(|tensor| tensor.data.as_deref());
    let all: Vec<Option<&[u8]>> = std::iter::once(None).chain(data).collect();
    vector(builder, &all, |builder, data| {
        let data = data.map(|data| builder.create_vector(data));
        let buffer = builder.start_table();
        if let Some(data) = data {
            builder.push_slot_always(slot(0), data);
        }
        builder.end_table(buffer)
    })
}

fn subgraph(builder: &mut Builder, graph: &Graph<'_>) -> Offset {
    let indexed: Vec<(usize, &Tensor<'_>)> = graph.tensors.iter().enumerate().collect();
    let tensors = vector(builder, &indexed, |builder, &(index, it)| {
        tensor(builder, index, it)
    });
    let indexed: Vec<(usize, &Operator)> = graph.operators.iter().enumerate().collect();
    let operators = vector(builder, &indexed, |builder, &(index, it)| {
        operator(builder, index, it)
    });
    let inputs = builder.create_vector(&indices(&graph.inputs));
    let outputs = builder.create_vector(&indices(&graph.outputs));
    let name = builder.create_string(&graph.name);
    let subgraph = builder.start_table();
    builder.push_slot_always(slot(0), tensors);
    builder.push_slot_always(slot(1), inputs);
    builder.push_slot_always(slot(2), outputs);
    builder.push_slot_always(slot(3), operators);
    builder.push_slot_always(slot(4), name);
    builder.end_table(subgraph)
}

fn tensor(builder: &mut Builder, index: usize, tensor: &Tensor<'_>) -> Offset {
    let shape: Vec<i32> = tensor.shape.iter().map(|&d| d.cast_signed()).collect();
    let shape = builder.create_vector(&shape);
    let name = builder.create_string(&tensor.name);
    let quantization = tensor.quantization.as_ref().map(|it| {
        let scales = builder.create_vector(&it.scales);
        let zero_points = builder.create_vector(&it.zero_points);
        let table = builder.start_table();
        builder.push_slot_always(slot(2), scales);
        builder.push_slot_always(slot(3), zero_points);
        builder.push_slot_always(slot(6), it.axis);
        builder.end_table(table)
    });
    let sparsity = tensor.sparse.then(|| {
        let table = builder.start_table();
        builder.end_table(table)
    });
    let table = builder.start_table();
    builder.push_slot_always(slot(0), shape);
    builder.push_slot_always(slot(1), tensor.element.0);
    builder.push_slot_always(slot(2), index as u32 + 1);
    builder.push_slot_always(slot(3), name);
    if let Some(quantization) = quantization {
        builder.push_slot_always(slot(4), quantization);
    }
    builder.push_slot_always(slot(5), tensor.variable);
    if let Some(sparsity) = sparsity {
        builder.push_slot_always(slot(6), sparsity);
    }
    builder.end_table(table)
}

fn operator(builder: &mut Builder, index: usize, operator: &Operator) -> Offset {
    let inputs = operator.inputs.iter();
    let inputs: Vec<i32> = inputs.map(|id| id.map_or(-1, |id| id as i32)).collect();
    let inputs = builder.create_vector(&inputs);
    let outputs = builder.create_vector(&indices(&operator.outputs));
    let intermediates = builder.create_vector(&indices(&operator.intermediates));
    let custom = options::custom(&operator.options).map(|bytes| builder.create_vector(&bytes));
    let options = options::table(builder, operator);
    let table = builder.start_table();
    builder.push_slot_always(slot(0), index as u32);
    builder.push_slot_always(slot(1), inputs);
    builder.push_slot_always(slot(2), outputs);
    if let Some((kind, options)) = options {
        builder.push_slot_always(slot(3), kind);
        builder.push_slot_always(slot(4), options);
    }
    if let Some(custom) = custom {
        builder.push_slot_always(slot(5), custom);
    }
    builder.push_slot_always(slot(8), intermediates);
    builder.end_table(table)
}

fn indices(ids: &[usize]) -> Vec<i32> {
    ids.iter().map(|&id| id as i32).collect()
}
