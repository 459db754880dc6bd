//! Which parts of a graph run on the APU, and why not the rest.

use std::collections::HashMap;

use apu::Program;
use apu_compiler::graph::{Graph, Operator, TensorId};
use apu_compiler::inspect_graph;
use apu_compiler::report::Placement as Where;
use tflite_delegate::{self as tflite, NodeId, Partition};

use crate::attributes;
use crate::import;
use crate::kernel::Part;
use crate::report::{PartReport, Report, Unplaced};
use crate::settings::Settings;

/// A part that runs on the APU, compiled.
pub(crate) struct PlacedPart {
    pub partition: Partition,
    pub part: Part,
    pub program: Program,
}

/// Places all that can be placed.
pub(crate) fn place(
    from: &tflite::Graph,
    settings: &Settings,
) -> Result<(Vec<PlacedPart>, Report), tflite::Error> {
    let graph = import::graph(from)?;
    let mut whole = Whole::inspect(from, &graph, settings)?;
    // What makes no program stays with the runtime, which groups the rest anew.
    loop {
        match whole.compile(from, settings)? {
            Ok(parts) => return Ok((parts, whole.report(settings))),
            Err((part, error)) => whole.give_up(&part, error),
        }
    }
}

/// A graph and where each of its operators runs.
struct Whole<'g> {
    graph: &'g Graph<'g>,
    places: HashMap<usize, Where>,
    macs: HashMap<usize, u64>,
    parts: Vec<PartReport>,
}

impl<'g> Whole<'g> {
    fn inspect(
        from: &tflite::Graph,
        graph: &'g Graph<'g>,
        settings: &Settings,
    ) -> Result<Self, tflite::Error> {
        let mut whole = Self {
            graph,
            places: HashMap::new(),
            macs: HashMap::new(),
            parts: Vec::new(),
        };
        match inspect_graph(graph, &settings.compile) {
            Ok(report) => {
                for operator in report.operators {
                    whole.macs.insert(operator.index, operator.macs);
                    whole.places.insert(operator.index, operator.placement);
                }
            }
            Err(error) => whole.keep(&graph.operators, "graph", &error.to_string()),
        }
        for operator in &graph.operators {
            let node = from.node(NodeId::try_from(operator.index)?)?;
            if whole.is_placed(operator) && attributes::read(&node).is_none() {
                let got = format!("version {} with others", operator.version);
                whole.keep([operator], "attributes", &got);
            }
        }
        Ok(whole)
    }

    /// Leaves with the runtime what kept a part from being a program: some operators, such as those
    /// that need a constant computed in another part, or all of them.
    fn give_up(&mut self, part: &Part, error: apu_compiler::Error) {
        match error {
            apu_compiler::Error::Unplaced(operators) => {
                let places = operators.into_iter().map(|op| (op.index, op.placement));
                self.places.extend(places);
            }
            error => self.keep(&part.operators, "program", &error.to_string()),
        }
    }

    /// Leaves operators with the runtime.
    fn keep<'o>(
        &mut self,
        operators: impl IntoIterator<Item = &'o Operator>,
        constraint: &'static str,
        got: &str,
    ) {
        let reason = Where::Unplaced {
            constraint,
            got: got.into(),
            needed: match constraint {
                "attributes" => "those that all runtimes have",
                _ => "what makes a program",
            },
            instead: None,
        };
        for operator in operators {
            self.places.insert(operator.index, reason.clone());
        }
    }

    fn is_placed(&self, operator: &Operator) -> bool {
        self.places.get(&operator.index) == Some(&Where::Apu)
    }

    /// Has the runtime group the operators and compiles each group; `Err` with the first group that
    /// makes no program, and why.
    fn compile(
        &mut self,
        from: &tflite::Graph,
        settings: &Settings,
    ) -> Result<Result<Vec<PlacedPart>, (Part, apu_compiler::Error)>, tflite::Error> {
        let placed = self.graph.operators.iter().filter(|op| self.is_placed(op));
        let nodes: Vec<NodeId> = placed
            .map(|op| NodeId::try_from(op.index))
            .collect::<Result<_, _>>()?;
        self.parts.clear();
        let mut parts = Vec::new();
        for partition in from.partition(&nodes)? {
            let part = self.part(&partition);
            match part.compile(self.graph.tensors.clone(), settings) {
                Ok(program) => {
                    let program = Program::parse(program)?;
                    self.parts.push(PartReport::new(&part, &program));
                    parts.push(PlacedPart {
                        partition,
                        part,
                        program,
                    });
                }
                Err(error) => return Ok(Err((part, error))),
            }
        }
        Ok(Ok(parts))
    }

    fn part(&self, partition: &Partition) -> Part {
        let operators = self.graph.operators.iter();
        let inside = |operator: &&Operator| {
            partition
                .nodes
                .iter()
                .any(|&node| usize::try_from(node) == Ok(operator.index))
        };
        let constant = |id: &usize| {
            let tensor = self.graph.tensors.get(*id);
            tensor.is_none_or(|tensor| tensor.data.is_some())
        };
        let inputs = partition.inputs.iter().copied();
        let inputs: Vec<TensorId> = inputs.filter(|id| !constant(id)).collect();
        // States stay in the runtime's tensors, where it and others can reset, set and read them.
        let states = inputs.iter().copied();
        let states = states.filter(|&id| self.graph.tensors[id].variable);
        Part {
            operators: operators.filter(inside).cloned().collect(),
            outputs: partition.outputs.iter().copied().chain(states).collect(),
            inputs,
        }
    }

    fn report(&self, settings: &Settings) -> Report {
        let operators = &self.graph.operators;
        let placed = operators.iter().filter(|op| self.is_placed(op));
        let macs = placed.clone().filter_map(|op| self.macs.get(&op.index));
        let unplaced = operators.iter().filter_map(|operator| {
            let reason = self.places.get(&operator.index)?;
            (*reason != Where::Apu).then(|| self.unplaced(operator, reason))
        });
        Report {
            device: settings.device.clone(),
            numerics: settings.compile.numerics,
            operators: operators.len(),
            placed: placed.clone().count(),
            macs: macs.sum(),
            parts: self.parts.clone(),
            unplaced: unplaced.collect(),
        }
    }

    fn unplaced(&self, operator: &Operator, reason: &Where) -> Unplaced {
        let output = operator.outputs.first();
        let output = output.and_then(|&id| self.graph.tensors.get(id));
        Unplaced {
            index: operator.index,
            opcode: operator.opcode.to_string(),
            name: output.map_or(String::new(), |tensor| tensor.name.clone()),
            reason: reason.clone(),
        }
    }
}
