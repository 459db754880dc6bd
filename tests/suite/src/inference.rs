//! From a model's bytes to its outputs on the device under test.

use std::error::Error;

use apu::{Context, Model, Program};
use apu_compiler::Options;

use crate::archive::Case;
use crate::compare::difference;
use crate::device;

/// Compiles a model and loads it into the device under test.
pub fn load(model: &[u8], options: &Options) -> Result<Context, Box<dyn Error>> {
    let compiled = apu_compiler::compile(model, options)?;
    let program = Program::parse(compiled.program)?;
    Ok(Model::load(device::under_test(), program)?.context()?)
}

/// Runs the model once; the outputs in model order.
pub fn run(context: &mut Context, inputs: &[&[u8]]) -> apu::Result<Vec<Vec<u8>>> {
    let sizes = context.model().program().outputs().iter().map(|o| o.size);
    let mut outputs: Vec<Vec<u8>> = sizes.map(|size| vec![0xa5; size]).collect();
    let mut borrowed: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    context.run(inputs, &mut borrowed)?;
    Ok(outputs)
}

/// What is wrong with the device's answers to a case; none when all bytes are equal.
pub fn verdict(case: &Case, options: &Options) -> Option<String> {
    assert!(
        case.runs() > 0 && !case.outputs.is_empty(),
        "{}: nothing to compare",
        case.name
    );
    match load(&case.model, options) {
        Err(error) => Some(format!("does not load: {error}")),
        Ok(mut context) => (0..case.runs()).find_map(|run| verdict_of_run(&mut context, case, run)),
    }
}

fn verdict_of_run(context: &mut Context, case: &Case, number: usize) -> Option<String> {
    let inputs: Vec<&[u8]> = case
        .inputs
        .iter()
        .map(|stack| stack.tensor(number))
        .collect();
    let outputs = match run(context, &inputs) {
        Ok(outputs) => outputs,
        Err(error) => return Some(format!("run {number} fails: {error}")),
    };
    if outputs.len() != case.outputs.len() {
        return Some(format!(
            "{} outputs, want {}",
            outputs.len(),
            case.outputs.len()
        ));
    }
    let pairs = outputs.iter().zip(&case.outputs);
    pairs.enumerate().find_map(|(index, (got, want))| {
        let difference = difference(got, want.tensor(number))?;
        Some(format!(
            "run {number}, output {index} {:?}: {difference}",
            want.shape
        ))
    })
}
