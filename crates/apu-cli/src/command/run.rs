//! `apu run`: tensors in, tensors out.

use apu::{Program, Tensor};

use crate::args::Run;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;
use crate::npy;

pub fn run(args: &Run, console: &Console) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    let program = console.step("compiling", || model.program(args.cache.cache().as_ref()))?;
    let inputs = read_inputs(args, &model, &program)?;
    let device = Error::device(&args.device.device);
    let mut context = super::load(&args.device.device, program)?;
    for (index, bytes) in inputs.iter().enumerate() {
        context
            .input_mut(index)
            .map_err(&device)?
            .copy_from_slice(bytes);
    }
    console
        .step("running", || context.run_in_place())
        .map_err(&device)?;

    std::fs::create_dir_all(&args.output_dir).map_err(|source| Error::MakeFolder {
        path: args.output_dir.clone(),
        source,
    })?;
    for (index, tensor) in context.model().program().outputs().iter().enumerate() {
        let path = args.output_dir.join(format!("output_{index}.npy"));
        npy::write(&path, tensor, context.output(index).map_err(&device)?)?;
        tracing::info!("wrote {}", path.display());
    }
    Ok(())
}

fn read_inputs(args: &Run, model: &ModelFile, program: &Program) -> Result<Vec<Vec<u8>>, Error> {
    let tensors = program.inputs();
    if args.inputs.len() != tensors.len() {
        let wanted: Vec<String> = tensors.iter().map(line).collect();
        return Err(Error::InputCount {
            model: model.name.clone(),
            needed: tensors.len(),
            got: args.inputs.len(),
            wanted: wanted.join("\n"),
        });
    }
    let pairs = args.inputs.iter().zip(tensors).enumerate();
    pairs
        .map(|(index, (path, tensor))| npy::read(path, index, tensor))
        .collect()
}

fn line(tensor: &Tensor) -> String {
    format!("`{}` {}", tensor.name, npy::describe_needed(tensor))
}
