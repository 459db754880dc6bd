//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use apu_compiler::cache::Cache;
use apu_compiler::{Numerics, Optimise, Options};
use clap::{Parser, Subcommand};

use crate::command;
use crate::console::Console;
use crate::error::Error;

/// Runs TFLite models on an APU, or on its firmware inside this process.
#[derive(Debug, Parser)]
#[command(name = "apu", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, display_order = 100, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Show errors alone on stderr: no progress, no warnings
    #[arg(short, long, global = true, display_order = 101)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
MODEL is a .tflite file, or a .apu file that `apu compile` made.
Programs that were compiled are kept in APU_CACHE_DIR [default: tinyapu/programs in the user's cache
folder]; if it is set to nothing, none are.
Exit codes: 0 done, 1 failed, 2 the command line or an input file is wrong.";

const TARGETS: &str = "\
A target is the layout of a program's constants; `apu devices` tells that of each device. Without
--output the program is only put into the cache.";

const LITERT: &str = "\
For `--numerics tflite` LiteRT computes with its plain kernels, but for those that it has none of, int8
FULLY_CONNECTED, and SUM of int8 and int16, where the optimised ones are meant. For `--numerics xnnpack`
it computes as it does by default. What is behind an operator that differs may differ because of it.
The Python needs `pip install ai-edge-litert`.
Without INPUT the inputs are arbitrary, and the same each time.";

const OWN_PICTURE: &str = "\
Without MODEL and IMAGE it takes the model and the picture of a handwritten digit that come with it.";

const RULES: &str = "\
Each check opens the device anew and leaves nothing behind; other clients may go on meanwhile. A rule
that can't be seen here, for want of something, is ignored and says why. Exit code 1: a rule is broken.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a picture shows
    #[command(after_help = OWN_PICTURE)]
    Classify(Classify),
    /// Run a model once on tensors from .npy files
    Run(Run),
    /// List a model's operators and where each will run
    Inspect(Inspect),
    /// Measure how long an inference takes
    Bench(Bench),
    /// Compile a .tflite model to a .apu program
    #[command(after_help = TARGETS)]
    Compile(Compile),
    /// Compare what each operator computes with LiteRT
    #[command(after_help = LITERT)]
    Diff(Diff),
    /// List the devices of this machine
    Devices(Devices),
    /// Check that a device and its driver keep every rule of their interface
    #[command(after_help = RULES)]
    Conformance(Conformance),
    /// List the operators that can run on an APU, and what each needs (Markdown)
    Operators,
}

impl Command {
    pub fn run(self, console: &Console) -> Result<(), Error> {
        match self {
            Self::Classify(args) => command::classify::run(&args, console),
            Self::Run(args) => command::run::run(&args, console),
            Self::Inspect(args) => command::inspect::run(&args),
            Self::Bench(args) => command::bench::run(&args, console),
            Self::Compile(args) => command::compile::run(&args, console),
            Self::Diff(args) => command::diff::run(&args, console),
            Self::Devices(args) => command::devices::run(&args),
            Self::Conformance(args) => command::conformance::run(&args, console),
            Self::Operators => command::operators::run(),
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct DeviceArg {
    /// Where to run: `in-process`, or the path of a node such as /dev/accel/accel0
    #[arg(long, env = "APU_DEVICE", default_value = apu::Device::IN_PROCESS, value_name = "DEVICE")]
    pub device: String,
    /// Threads that work on one inference, on a device its cores
    #[arg(
        long,
        visible_alias = "num_threads",
        alias = "num-threads",
        default_value = "1",
        value_name = "N"
    )]
    pub threads: NonZeroUsize,
}

/// What comes first where a program can't have both.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Goal {
    #[default]
    Speed,
    Size,
}

impl From<Goal> for Optimise {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Speed => Self::Speed,
            Goal::Size => Self::Size,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct CompileArgs {
    /// What comes first: short inferences, or a small arena
    #[arg(long, value_name = "GOAL", default_value_t, value_enum)]
    pub optimise: Goal,
    /// Compile even what has been compiled before, and keep nothing
    #[arg(long)]
    pub no_cache: bool,
}

impl CompileArgs {
    /// For the layout that devices take.
    pub fn options(&self) -> Options {
        Options {
            optimise: self.optimise.into(),
            ..Options::default()
        }
    }

    /// The user's cache, unless it isn't wanted.
    pub fn cache(&self) -> Option<Cache> {
        if self.no_cache {
            None
        } else {
            Cache::of_user()
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Classify {
    /// The model: one picture in, one score per class out
    #[arg(requires = "image")]
    pub model: Option<PathBuf>,
    /// The picture: PNG, JPEG or BMP of any size
    pub image: Option<PathBuf>,
    /// Names of the classes, one a line [default: those inside the model file, if any]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// How many classes to show
    #[arg(long, default_value = "5", value_name = "K")]
    pub top: NonZeroUsize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compile: CompileArgs,
    #[command(flatten)]
    pub device: DeviceArg,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// The model
    pub model: PathBuf,
    /// A tensor, once for each of the model's inputs and in its order
    #[arg(long = "input", value_name = "FILE.npy", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Where output_0.npy, output_1.npy ... go; made if it is missing
    #[arg(long, visible_alias = "output_dir", value_name = "DIR")]
    pub output_dir: PathBuf,
    #[command(flatten)]
    pub compile: CompileArgs,
    #[command(flatten)]
    pub device: DeviceArg,
}

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The model
    pub model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Bench {
    /// The model
    pub model: PathBuf,
    /// Inferences that are measured
    #[arg(
        long,
        visible_alias = "num_runs",
        default_value = "50",
        value_name = "N"
    )]
    pub runs: NonZeroUsize,
    /// Inferences before those
    #[arg(
        long,
        visible_alias = "warmup_runs",
        default_value = "1",
        value_name = "N"
    )]
    pub warmup_runs: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compile: CompileArgs,
    #[command(flatten)]
    pub device: DeviceArg,
}

#[derive(Debug, clap::Args)]
pub struct Compile {
    /// The .tflite model
    pub model: PathBuf,
    /// The .apu file to write
    #[arg(short, long, value_name = "FILE.apu")]
    pub output: Option<PathBuf>,
    /// Whose numbers the program's shall be: tflite, or xnnpack as LiteRT's by default
    #[arg(long, value_name = "NUMERICS", default_value_t)]
    pub numerics: Numerics,
    /// What the program shall run on
    #[arg(long, value_name = "TARGET", default_value_t = Options::default().target)]
    pub target: String,
    /// Tell what the program takes of memory
    #[arg(long)]
    pub stats: bool,
    /// Tell how long compiling takes, and how long getting the program from the cache does
    #[arg(long)]
    pub time: bool,
    #[command(flatten)]
    pub compile: CompileArgs,
}

#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The .tflite model
    pub model: PathBuf,
    /// A .npy file for each of the model's inputs, in its order
    #[arg(value_name = "INPUT.npy")]
    pub inputs: Vec<PathBuf>,
    /// A Python that has LiteRT
    #[arg(
        long,
        env = "APU_LITERT_PYTHON",
        default_value = "python3",
        value_name = "PYTHON",
        hide_env_values = true
    )]
    pub python: PathBuf,
    /// Whose numbers to compare: tflite, or xnnpack as LiteRT's by default
    #[arg(long, value_name = "NUMERICS", default_value_t)]
    pub numerics: Numerics,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compile: CompileArgs,
    #[command(flatten)]
    pub device: DeviceArg,
}

#[derive(Debug, clap::Args)]
pub struct Devices {
    /// Print one JSON array
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Conformance {
    /// Path of the node, such as /dev/accel/accel0
    #[arg(
        env = "APU_DEVICE",
        required_unless_present = "list",
        value_name = "DEVICE"
    )]
    pub device: Option<PathBuf>,
    /// Only rules with this in their name, such as `bind` or `bind::unmap`; may be given more than once
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Filters are whole names
    #[arg(long)]
    pub exact: bool,
    /// List the rules instead of checking them
    #[arg(long)]
    pub list: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write a JUnit report as well
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
