//! The stages in a row.

use crate::{
    Error, Numerics, Options, UnplacedOperator, bands, byte_functions,
    constraints::{Refusal, Site},
    emit::{self, Emitted},
    fold, fuse,
    graph::Graph,
    import,
    legalise::{self, Operand, Step},
    plan::Plan,
    prune, ramps,
    report::{Placement, Report},
    storage::Storage,
};

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The `.apu` file, as [`apu_proto::program`] describes it.
    pub program: Vec<u8>,
    /// What is in it.
    pub report: Report,
}

/// Compiles a `.tflite` model.
///
/// # Errors
/// The file is broken ([`Error::Damaged`] and its kin), an operator can't run on the APU
/// ([`Error::Unplaced`], with the reasons), or the options ask for what isn't there.
pub fn compile(model: &[u8], options: &Options) -> Result<Compiled, Error> {
    options.check()?;
    let graph = import::import(model)?;
    compile_checked(graph, model.len() as u64, options)
}

/// Compiles a graph that came from elsewhere than a file, such as a part of a model.
///
/// # Errors
/// As [`compile`].
pub fn compile_graph(graph: &Graph, options: &Options) -> Result<Compiled, Error> {
    options.check()?;
    graph.check()?;
    compile_checked(graph.clone(), constant_bytes(graph), options)
}

fn compile_checked(
    mut graph: Graph,
    model_size: u64,
    options: &Options,
) -> Result<Compiled, Error> {
    let steps = lower(&mut graph, model_size, options.numerics)?;
    let mut report = report(&graph, options, &steps);
    let mut steps = placed(steps).ok_or_else(|| Error::Unplaced(unplaced(&report)))?;
    prune::prune(&mut graph, &mut steps);
    let program = assemble(&graph, steps, options, &mut report)?;
    Ok(Compiled { program, report })
}

/// Reports on a model, whether or not all of it can run on the APU.
///
/// # Errors
/// Only for a broken file.
pub fn inspect(model: &[u8]) -> Result<Report, Error> {
    let options = Options::default();
    let mut graph = import::import(model)?;
    let steps = lower(&mut graph, model.len() as u64, options.numerics)?;
    let mut report = report(&graph, &options, &steps);
    if let Some(mut steps) = placed(steps) {
        prune::prune(&mut graph, &mut steps);
        match assemble(&graph, steps, &options, &mut report) {
            // Ends or sizes that no program has: the totals stay open, the operators are told all
            // the same.
            Ok(_) | Err(Error::Port { .. } | Error::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Reports on each operator of a graph that came from elsewhere than a file. The totals that only a
/// program has stay open.
///
/// # Errors
/// The graph contradicts itself, see [`Graph::check`], or the options ask for what isn't there.
pub fn inspect_graph(graph: &Graph, options: &Options) -> Result<Report, Error> {
    options.check()?;
    graph.check()?;
    let mut folded = graph.clone();
    let steps = lower(&mut folded, constant_bytes(graph), options.numerics)?;
    Ok(report(&folded, options, &steps))
}

fn constant_bytes(graph: &Graph) -> u64 {
    let constants = graph.tensors.iter().filter_map(|tensor| tensor.elements());
    constants.map(|data| data.len() as u64).sum()
}

/// Packed constants may be this many times as large as the model. Honest ones stay far below it; a
/// file whose operators all share one large tensor doesn't.
const CONSTANTS_PER_MODEL: u64 = 64;
/// What even a tiny model may take.
const CONSTANTS_AT_LEAST: u64 = 1 << 20;

/// Each operator, or why it can't be placed.
/// What is known before the run is computed into the graph on the way.
fn lower(
    graph: &mut Graph,
    model_size: u64,
    numerics: Numerics,
) -> Result<Vec<Result<Step, Refusal>>, Error> {
    let most = model_size
        .saturating_mul(CONSTANTS_PER_MODEL)
        .max(CONSTANTS_AT_LEAST);
    let mut packed = 0u64;
    let mut steps = Vec::with_capacity(graph.operators.len());
    let operators = graph.operators.clone();
    for operator in &operators {
        let site = Site {
            graph,
            operator,
            numerics,
        };
        let step = legalise::lower(&site);
        let step = step.map_err(|refusal| refusal.or_instead(&site, legalise::lower));
        let step = step.map(|step| fold::fold(graph, operator, step));
        packed += step.as_ref().map_or(0, packed_bytes);
        if packed > most {
            return Err(Error::TooLarge {
                what: "packed constants",
                got: packed,
                most,
            });
        }
        steps.push(step);
    }
    byte_functions::fuse(graph, numerics, &mut steps);
    Ok(steps)
}

fn packed_bytes(step: &Step) -> u64 {
    let Step::Run(records) = step else { return 0 };
    let size = |operand: &Operand| match operand {
        Operand::Packed(bytes) => bytes.len() as u64,
        _ => 0,
    };
    let operands = records.iter().flat_map(|record| &record.operands);
    operands.map(size).sum()
}

fn report(graph: &Graph, options: &Options, steps: &[Result<Step, Refusal>]) -> Report {
    let macs = |step: &Step| match step {
        Step::Run(records) => records.iter().fold(0, |sum, r| r.macs.saturating_add(sum)),
        Step::Folded | Step::View { .. } => 0,
    };
    let placed = steps
        .iter()
        .map(|step| step.as_ref().map(macs).map_err(Refusal::clone))
        .collect();
    Report::new(graph, options.numerics, &options.target, placed)
}

/// The steps, if every operator has been placed.
fn placed(steps: Vec<Result<Step, Refusal>>) -> Option<Vec<Step>> {
    steps.into_iter().map(Result::ok).collect()
}

fn unplaced(report: &Report) -> Vec<UnplacedOperator> {
    let unplaced = report
        .operators
        .iter()
        .filter(|op| op.placement != Placement::Apu);
    unplaced
        .map(|op| UnplacedOperator {
            index: op.index,
            name: op.name.clone(),
            opcode: op.opcode.clone(),
            placement: op.placement.clone(),
        })
        .collect()
}

fn assemble(
    graph: &Graph,
    steps: Vec<Step>,
    options: &Options,
    report: &mut Report,
) -> Result<Vec<u8>, Error> {
    let mut storage = Storage::assign(graph, steps);
    fuse::fuse(graph, &mut storage);
    ramps::add(&mut storage.records);
    bands::cut(graph, &mut storage, options.optimise);
    let plan = Plan::new(graph, &storage);
    let Emitted { file, constants } = emit::emit(graph, &storage, &plan, options)?;
    report.totals.arena_bytes = Some(plan.size);
    report.totals.arena_lower_bound = Some(plan.lower_bound);
    report.totals.constants_bytes = Some(constants);
    report.totals.records = Some(storage.records.len());
    Ok(file)
}
