//! `apu compile`: a .tflite in, a .apu out.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use apu_compiler::Options;

use crate::args::Compile;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;

pub fn run(args: &Compile, console: &Console) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    if model.is_program() {
        return Err(Error::AlreadyCompiled { path: model.name });
    }
    let options = Options {
        numerics: args.numerics,
        target: args.target.clone(),
        ..args.compile.options()
    };
    let cache = args.compile.cache();
    let compiled = console.step("compiling", || model.compile(&options, cache.as_ref()))?;
    if let Some(path) = &args.output {
        write_whole(path, &compiled.program).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    if args.stats {
        print_stats(&model, &options)?;
    }
    if args.time {
        print_times(args, &options)?;
    }
    Ok(())
}

/// Memory of a context. The lower bound is the most that lives at one time.
fn print_stats(model: &ModelFile, options: &Options) -> Result<(), Error> {
    let compiled = apu_compiler::compile(model.bytes(), options);
    let totals = compiled
        .map_err(|source| model.refused(source))?
        .report
        .totals;
    let [arena, bound, constants] = [
        totals.arena_bytes,
        totals.arena_lower_bound,
        totals.constants_bytes,
    ]
    .map(Option::unwrap_or_default);
    let mut out = stdout().lock();
    writeln!(out, "arena       {arena} bytes")?;
    let ratio = if bound == 0 {
        1.0
    } else {
        arena as f64 / bound as f64
    };
    writeln!(out, "lower bound {bound} bytes, ratio {ratio:.3}")?;
    writeln!(out, "constants   {constants} bytes")?;
    writeln!(out, "records     {}", totals.records.unwrap_or_default())?;
    Ok(())
}

/// From a file's name to a program in memory, compiled and from the cache.
fn print_times(args: &Compile, options: &Options) -> Result<(), Error> {
    let mut out = stdout().lock();
    let start = Instant::now();
    ModelFile::read(&args.model)?.compile(options, None)?;
    writeln!(out, "compile    {:.2} ms", millis(start))?;
    let Some(cache) = args.compile.cache() else {
        return Ok(());
    };
    let start = Instant::now();
    let cached = ModelFile::read(&args.model)?.compile(options, Some(&cache))?;
    if cached.from_cache {
        writeln!(out, "from cache {:.2} ms", millis(start))?;
    } else {
        tracing::warn!("the program is not in the cache; --verbose says why");
    }
    Ok(())
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Writes beside the target and renames, so that nobody ever finds half a program there.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, path))
        .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))
}
