//! `apu diff`: a model layer by layer, beside LiteRT.

mod compare;
mod layers;
mod litert;

use std::io::{Write, stdout};

use apu::DType;
use apu_compiler::Options;
use apu_compiler::graph::{Graph, TensorId};
use serde::Serialize;

use crate::args::Diff;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;
use crate::{arbitrary, npy, table};
use compare::Difference;

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    /// The first operator whose output differs; all that it read is equal.
    first: Option<usize>,
    layers: Vec<Layer>,
    /// Whether the outputs are equal, too, when the device keeps nothing but them.
    outputs: Vec<Option<Difference>>,
}

/// A tensor that an operator computes.
#[derive(Serialize)]
struct Layer {
    /// Index of the operator in the model.
    operator: usize,
    opcode: String,
    /// The tensor's.
    name: String,
    dtype: &'static str,
    shape: Vec<u32>,
    difference: Option<Difference>,
}

pub fn run(args: &Diff, console: &Console) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    if model.is_program() {
        return Err(Error::AlreadyCompiled { path: model.name });
    }
    let graph = model.graph()?;
    let options = Options {
        numerics: args.numerics,
        ..args.compile.options()
    };
    let program = model.program_for(&options, &args.compile)?;
    let inputs = if args.inputs.is_empty() {
        arbitrary::inputs(&program)
    } else {
        npy::read_all(&args.inputs, &model.name, &program)?
    };
    let wanted = console.step("running LiteRT", || {
        litert::tensors(&args.python, &args.model, args.numerics, &inputs)
    })?;
    let on_device = layers::Runner::new(&model, args.numerics, &args.device, &inputs);
    let ours = console.step("running the model", || on_device.tensors(&graph))?;
    let outputs = on_device.outputs(program)?;

    let layers: Vec<Layer> = places(&graph)
        .filter_map(|(operator, id)| {
            let (got, want) = (ours.get(&id)?, wanted.get(&id)?);
            Some(layer(&graph, operator, id, got, want))
        })
        .collect();
    let pairs = graph.outputs.iter().zip(&outputs);
    let report = Report {
        model: model.name.clone(),
        device: args.device.device.clone(),
        first: layers
            .iter()
            .find(|l| l.difference.is_some())
            .map(|l| l.operator),
        outputs: pairs
            .filter_map(|(id, got)| {
                Some(compare::difference(
                    dtype(&graph, *id)?,
                    got,
                    wanted.get(id)?,
                ))
            })
            .collect(),
        layers,
    };
    if args.json {
        super::print_json(&report)?;
    } else {
        print(&report)?;
    }
    match report.verdict() {
        None => Ok(()),
        Some(what) => Err(Error::Differs { what }),
    }
}

/// Operators and what they compute, in the order in which they run.
fn places<'a>(graph: &'a Graph<'_>) -> impl Iterator<Item = (usize, TensorId)> + 'a {
    let operators = graph.operators.iter().enumerate();
    operators.flat_map(|(place, operator)| operator.outputs.iter().map(move |&id| (place, id)))
}

fn dtype(graph: &Graph, id: TensorId) -> Option<DType> {
    graph.tensors.get(id)?.element.dtype()
}

fn layer(graph: &Graph, place: usize, id: TensorId, got: &[u8], want: &[u8]) -> Layer {
    let (operator, tensor) = (&graph.operators[place], &graph.tensors[id]);
    let dtype = tensor.element.dtype();
    Layer {
        operator: operator.index,
        opcode: operator.opcode.to_string(),
        name: tensor.name.clone(),
        dtype: tensor.element.name(),
        shape: tensor.shape.clone(),
        difference: dtype.and_then(|dtype| compare::difference(dtype, got, want)),
    }
}

impl Report {
    /// What is wrong, if anything is.
    fn verdict(&self) -> Option<String> {
        let wrong = |layer: &&Layer| layer.difference.is_some();
        if let Some((layer, difference)) = self
            .layers
            .iter()
            .find(wrong)
            .and_then(|layer| Some((layer, layer.difference.as_ref()?)))
        {
            return Some(format!(
                "operator {} {} (`{}`) is the first that differs: {difference}",
                layer.operator, layer.opcode, layer.name
            ));
        }
        let (index, difference) = (0..)
            .zip(&self.outputs)
            .find_map(|(i, d)| Some((i, d.as_ref()?)))?;
        Some(format!(
            "every operator is equal by itself, output {index} is not: {difference}"
        ))
    }
}

fn print(report: &Report) -> Result<(), Error> {
    let mut table = table::new(["#", "operator", "output", "difference"]);
    for layer in &report.layers {
        table.add_row([
            layer.operator.to_string(),
            layer.opcode.clone(),
            format!("{} {:?} {}", layer.dtype, layer.shape, layer.name),
            match &layer.difference {
                None => "none".into(),
                Some(difference) => difference.to_string(),
            },
        ]);
    }
    table::print(&table)?;
    if report.verdict().is_none() {
        writeln!(stdout(), "\n{}: every byte is equal", report.model)?;
    }
    Ok(())
}
