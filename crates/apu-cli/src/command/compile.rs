//! `apu compile`: a .tflite in, a .apu out.

use std::path::Path;

use crate::args::Compile;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;

pub fn run(args: &Compile, console: &Console) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    if model.is_program() {
        return Err(Error::AlreadyCompiled { path: model.name });
    }
    let compiled = console.step("compiling", || model.compile())?;
    write_whole(&args.output, &compiled.program).map_err(|source| Error::Write {
        path: args.output.clone(),
        source,
    })
}

/// Writes beside the target and renames, so that nobody ever finds half a program there.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))
}
