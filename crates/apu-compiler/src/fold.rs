//! Operators that are computed when compiling: those that read nothing but constants. They run in the
//! firmware's own interpreter, so that the result is what the device would have computed.

use std::borrow::Cow;

use apu_firmware::{Program, View};
use apu_kernels::Isa;
use apu_proto::program::Header;
use zerocopy::FromBytes;

use crate::{
    Options, emit,
    graph::{Graph, Operator, TensorId},
    legalise::{Operand, Record, Step},
    plan::Plan,
    storage::Storage,
};

/// Most bytes that the results of one operator may have; larger ones are computed in each run.
const MAX_BYTES: u64 = 1 << 20;

/// Computes the outputs of an operator into the graph, if they are known before the run.
pub(crate) fn fold(graph: &mut Graph, operator: &Operator, step: Step) -> Step {
    let outputs = operator.outputs.iter().map(|&id| graph.tensors[id].bytes());
    if outputs.sum::<u64>() > MAX_BYTES {
        return step;
    }
    match step {
        Step::Run(records) if records.iter().all(|r| reads_constants(graph, r)) => {
            run(graph, operator, records)
        }
        Step::View { input, output } if graph.tensors[input].data.is_some() => {
            graph.tensors[output].data = graph.tensors[input].data.clone();
            Step::Folded
        }
        step => step,
    }
}

fn reads_constants(graph: &Graph, record: &Record) -> bool {
    record.operands.iter().all(|operand| match operand {
        Operand::Read(id) => graph.tensors[*id].data.is_some(),
        // What it computes depends on the runs before.
        Operand::State(_) | Operand::Variable { .. } => false,
        _ => true,
    })
}

/// Runs the records; what fails is left for the device to report.
fn run(graph: &mut Graph, operator: &Operator, records: Vec<Record>) -> Step {
    let part = part(graph, operator, &records);
    let Some(values) = evaluate(part) else {
        return Step::Run(records);
    };
    for (&id, value) in operator.outputs.iter().zip(values) {
        graph.tensors[id].data = Some(Cow::Owned(value));
    }
    Step::Folded
}

/// A graph of the operator alone, and the records with the numbers that tensors have in it.
fn part<'m>(
    graph: &Graph<'m>,
    operator: &Operator,
    records: &[Record],
) -> (Graph<'m>, Vec<Record>) {
    let mut ids: Vec<TensorId> = operator.outputs.clone();
    let mut number = |id: TensorId| {
        ids.iter()
            .position(|&known| known == id)
            .unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            })
    };
    let mut records = records.to_vec();
    for record in &mut records {
        record.output = number(record.output);
        for operand in &mut record.operands {
            if let Operand::Read(id) | Operand::Write(id) = operand {
                *id = number(*id);
            }
        }
    }
    let part = Graph {
        name: String::new(),
        description: String::new(),
        tensors: ids.iter().map(|&id| graph.tensors[id].clone()).collect(),
        operators: Vec::new(),
        inputs: Vec::new(),
        outputs: (0..operator.outputs.len()).collect(),
    };
    (part, records)
}

/// The outputs, if all goes well.
fn evaluate((graph, records): (Graph, Vec<Record>)) -> Option<Vec<Vec<u8>>> {
    let storage = Storage::assign(&graph, vec![Step::Run(records)]);
    let plan = Plan::new(&graph, &storage);
    let file = emit::emit(&graph, &storage, &plan, &Options::default())
        .ok()?
        .file;
    let header = Header::read_from_prefix(&file).ok()?.0;
    let program = Program::validate(file.get(..header.code_size as usize)?).ok()?;
    let constants = usize::try_from(header.constants_offset).ok()?;
    let constants = file
        .get(constants..)?
        .get(..header.constants_size as usize)?;
    let sizes = program.layout().segment_sizes();
    let mut arena = vec![0; *sizes.get(1)?];
    let mut outputs: Vec<Vec<u8>> = sizes.get(2..)?.iter().map(|&size| vec![0; size]).collect();
    let mut segments = vec![View::Read(constants), View::Write(&mut arena)];
    segments.extend(outputs.iter_mut().map(|output| View::Write(output)));
    apu_firmware::run(&program, Isa::plain(), &mut segments, || false).ok()?;
    drop(segments);
    Some(outputs)
}
