//! `apu run`: tensors in, tensors out.

use crate::args::Run;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;
use crate::npy;

pub fn run(args: &Run, console: &Console) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    let program = console.step("compiling", || model.program(&args.compile))?;
    let inputs = npy::read_all(&args.inputs, &model.name, &program)?;
    let device = Error::device(&args.device.device);
    let mut context = super::load(&args.device, program)?;
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
