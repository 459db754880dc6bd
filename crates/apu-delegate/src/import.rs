//! From the runtime's graph to the compiler's.

use std::{borrow::Cow, collections::HashSet};

use apu_compiler::graph::{
    Element, Graph, Opcode, Operator, Options, Quantization, Tensor, TensorId,
};
use tflite_delegate::{self as tflite, NodeId, Tensors};

use crate::attributes;

/// The whole graph. What nobody makes counts as its input; outputs it has none, since the runtime
/// doesn't tell which they are.
pub(crate) fn graph<'a>(from: &'a tflite::Graph) -> Result<Graph<'a>, tflite::Error> {
    let operators = from.plan().iter().map(|&id| operator(from, id));
    let operators = operators.collect::<Result<Vec<_>, _>>()?;
    let tensors = tensors(from.tensors());
    let made: HashSet<TensorId> = operators.iter().flat_map(|op| op.outputs.clone()).collect();
    let input = |id: &TensorId| {
        let constant = tensors.get(*id).is_none_or(|tensor| tensor.data.is_some());
        !made.contains(id) && !constant
    };
    Ok(Graph {
        name: String::new(),
        description: String::new(),
        inputs: (0..tensors.len()).filter(input).collect(),
        outputs: Vec::new(),
        tensors,
        operators,
    })
}

fn operator(graph: &tflite::Graph, id: NodeId) -> Result<Operator, tflite::Error> {
    let node = graph.node(id)?;
    let builtin = || (Opcode(node.operator()), Options::None);
    let (opcode, options) = attributes::read(&node).unwrap_or_else(builtin);
    Ok(Operator {
        index: usize::try_from(id)?,
        opcode,
        custom: node
            .custom_name()
            .map(|name| name.chars().take(80).collect()),
        version: node.version(),
        inputs: node.inputs().collect(),
        outputs: node.outputs().collect(),
        intermediates: node.intermediates().collect(),
        options,
    })
}

/// All tensors as they are now.
pub(crate) fn tensors<'a>(from: &'a Tensors) -> Vec<Tensor<'a>> {
    (0..from.count())
        .filter_map(|id| from.get(id))
        .map(tensor)
        .collect()
}

fn tensor(from: tflite::Tensor<'_>) -> Tensor<'_> {
    let quantization = from.quantization();
    Tensor {
        name: from.name().into_owned(),
        // The runtime keeps no open dimensions here; if it did, the constraint against empty
        // tensors would refuse them.
        shape: from
            .shape()
            .iter()
            .map(|&d| d.try_into().unwrap_or(0))
            .collect(),
        element: Element(from.element().in_schema().unwrap_or(i8::MAX)),
        quantization: quantization.filter(|(scales, ..)| !scales.is_empty()).map(
            |(scales, zero_points, axis)| Quantization {
                scales: scales.into(),
                zero_points: zero_points.iter().map(|&z| z.into()).collect(),
                axis,
            },
        ),
        data: from
            .constant()
            .filter(|_| !from.is_sparse())
            .map(Cow::Borrowed),
        sparse: from.is_sparse(),
        variable: from.is_variable(),
    }
}
