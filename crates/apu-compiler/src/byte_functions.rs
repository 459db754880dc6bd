//! Functions of one byte that take several operators, such as x · LOGISTIC(x): one table does.
//!
//! The operators make the table themselves: they are lowered for tensors of 256 elements and computed as
//! constants are, see [`fold`]. So it has their numbers, whatever those are.

use std::borrow::Cow;

use crate::{
    Numerics,
    constraints::{Refusal, Site},
    fold,
    graph::{Element, Graph, Opcode, Operator, Tensor, TensorId},
    legalise::{self, Operand, Record, Step, lookup},
};

/// Operators each of whose elements depends on nothing but the elements in the same place.
const ELEMENTWISE: &[Opcode] = &[
    Opcode::ABS,
    Opcode::ADD,
    Opcode::CAST,
    Opcode::CEIL,
    Opcode::DEQUANTIZE,
    Opcode::DIV,
    Opcode::ELU,
    Opcode::EQUAL,
    Opcode::EXP,
    Opcode::FLOOR,
    Opcode::FLOOR_DIV,
    Opcode::FLOOR_MOD,
    Opcode::GELU,
    Opcode::GREATER,
    Opcode::GREATER_EQUAL,
    Opcode::HARD_SWISH,
    Opcode::LEAKY_RELU,
    Opcode::LESS,
    Opcode::LESS_EQUAL,
    Opcode::LOG,
    Opcode::LOGICAL_AND,
    Opcode::LOGICAL_NOT,
    Opcode::LOGICAL_OR,
    Opcode::LOGISTIC,
    Opcode::MAXIMUM,
    Opcode::MINIMUM,
    Opcode::MUL,
    Opcode::NEG,
    Opcode::NOT_EQUAL,
    Opcode::PRELU,
    Opcode::QUANTIZE,
    Opcode::RELU,
    Opcode::RELU6,
    Opcode::RELU_0_TO_1,
    Opcode::RELU_N1_TO_1,
    Opcode::ROUND,
    Opcode::RSQRT,
    Opcode::SELECT_V2,
    Opcode::SQRT,
    Opcode::SQUARE,
    Opcode::SQUARED_DIFFERENCE,
    Opcode::SUB,
    Opcode::TANH,
];

/// What a tensor is a function of.
#[derive(Clone, Copy)]
struct Function {
    /// A tensor of bytes.
    of: TensorId,
    /// Longest way of operators from there.
    depth: usize,
}

/// Replaces operators that together are a function of one byte by a table each.
pub(crate) fn fuse(graph: &Graph, numerics: Numerics, steps: &mut [Result<Step, Refusal>]) {
    let functions = functions(graph, steps);
    let tables = tables(graph, numerics, &functions);
    let mut needed = vec![false; graph.tensors.len()];
    graph.outputs.iter().for_each(|&id| needed[id] = true);
    let operators = graph.operators.iter().zip(steps).zip(tables);
    for ((operator, step), table) in operators.rev() {
        let function = single(&operator.outputs).and_then(|id| functions[id]);
        let is_needed = operator.outputs.iter().any(|&id| needed[id]);
        match (function, table) {
            (Some(_), _) if !is_needed => *step = Ok(Step::Folded),
            (Some(function), Some(record)) => {
                *step = Ok(Step::Run(vec![record]));
                needed[function.of] = true;
            }
            _ => {
                let inputs = operator.inputs.iter().flatten();
                inputs.for_each(|&id| needed[id] = true);
            }
        }
    }
}

fn single(ids: &[TensorId]) -> Option<TensorId> {
    match ids {
        [id] => Some(*id),
        _ => None,
    }
}

/// What each tensor is a function of, if it is one of a byte.
fn functions(graph: &Graph, steps: &[Result<Step, Refusal>]) -> Vec<Option<Function>> {
    let mut functions = vec![None; graph.tensors.len()];
    for (operator, step) in graph.operators.iter().zip(steps) {
        if let (Some(output), Ok(Step::Run(_))) = (single(&operator.outputs), step) {
            functions[output] = function(graph, operator, output, &functions);
        }
    }
    functions
}

fn function(
    graph: &Graph,
    operator: &Operator,
    output: TensorId,
    functions: &[Option<Function>],
) -> Option<Function> {
    if !ELEMENTWISE.contains(&operator.opcode) {
        return None;
    }
    let shape = &graph.tensors[output].shape;
    let mut found: Option<Function> = None;
    for &id in &operator.inputs {
        let id = id?;
        let tensor = &graph.tensors[id];
        if tensor.data.is_some() && tensor.count() == 1 {
            continue;
        }
        let is_argument = is_byte(tensor) && tensor.data.is_none() && !tensor.variable;
        let argument = is_argument.then_some(Function { of: id, depth: 0 });
        let input = functions[id].or(argument)?;
        if tensor.shape != *shape || found.is_some_and(|found| found.of != input.of) {
            return None;
        }
        let depth = found.map_or(0, |found| found.depth).max(input.depth);
        found = Some(Function { depth, ..input });
    }
    let found = found.filter(|_| !shape.is_empty())?;
    Some(Function {
        depth: found.depth + 1,
        ..found
    })
}

/// Whether an element is one of 256 and has the quantisation of all others.
fn is_byte(tensor: &Tensor) -> bool {
    matches!(tensor.element, Element::INT8 | Element::UINT8) && tensor.per_tensor().is_some()
}

/// Records with a table for the operators that end a function of several.
fn tables(
    graph: &Graph,
    numerics: Numerics,
    functions: &[Option<Function>],
) -> Vec<Option<Record>> {
    let wanted = wanted(graph, functions);
    if !wanted.contains(&true) {
        return wanted.iter().map(|_| None).collect();
    }
    let mut all = graph.clone();
    let operators = graph.operators.iter().zip(wanted);
    let tables = operators.map(|(operator, wanted)| {
        let output = single(&operator.outputs).filter(|_| wanted)?;
        let function = functions[output]?;
        compute(&mut all, numerics, operator, function.of)?;
        let table = all.tensors[output].elements()?.to_vec();
        let site = Site {
            graph,
            operator,
            numerics,
        };
        let (from, to) = (Operand::Read(function.of), Operand::Write(output));
        let count = graph.tensors[output].count();
        let ends = ends(graph, function, output);
        ends.then(|| lookup::of_bytes(&site, count, from, table, to).ok())?
    });
    tables.collect()
}

/// Operators that have a part in a function of several.
fn wanted(graph: &Graph, functions: &[Option<Function>]) -> Vec<bool> {
    let mut is_part = vec![false; graph.tensors.len()];
    let mut wanted = vec![false; graph.operators.len()];
    for (operator, wanted) in graph.operators.iter().zip(&mut wanted).rev() {
        let output = single(&operator.outputs);
        let function = output.and_then(|id| Some((id, functions[id]?)));
        *wanted = function.is_some_and(|(id, function)| is_part[id] || ends(graph, function, id));
        if *wanted {
            let inputs = operator.inputs.iter().flatten();
            inputs.for_each(|&id| is_part[id] = true);
        }
    }
    wanted
}

/// Whether a function is one of several operators and gives bytes.
fn ends(graph: &Graph, function: Function, output: TensorId) -> bool {
    let output = &graph.tensors[output];
    function.depth > 1 && output.bytes() == output.count()
}

/// Computes what an operator gives for all bytes that `of` can be, in a graph where those before it have
/// been computed.
fn compute(all: &mut Graph, numerics: Numerics, operator: &Operator, of: TensorId) -> Option<()> {
    for &id in operator.outputs.iter().chain([&of]) {
        let shape = &mut all.tensors[id].shape;
        shape.fill(1);
        *shape.last_mut()? = 256;
    }
    all.tensors[of].data = Some(Cow::Owned((0..=u8::MAX).collect()));
    let site = Site {
        graph: all,
        operator,
        numerics,
    };
    let step = legalise::lower(&site).ok()?;
    matches!(fold::fold(all, operator, step), Step::Folded).then_some(())
}
