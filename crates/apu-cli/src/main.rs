//! The `apu` command.
//!
//! Results go to stdout, everything else (progress, warnings, errors) to stderr. Exit codes: 0 done,
//! 1 failed, 2 the command line or an input file is wrong. A reader that closes the pipe is no error.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod arbitrary;
mod args;
mod command;
mod console;
mod error;
mod labels;
mod model_file;
mod npy;
mod picture;
mod pixels;
mod scores;
mod table;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use console::Console;

fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new(args.quiet, args.verbose);
    let outcome = args
        .command
        .run(&console)
        .and_then(|()| Ok(std::io::stdout().flush()?));
    match outcome {
        Err(error) if !error.is_broken_pipe() => {
            let code = error.exit_code();
            console.show_error(error);
            code
        }
        _ => ExitCode::SUCCESS,
    }
}
