//! `bench models`: inferences on one thread, beside other runtimes, in one run.
//!
//! Runtimes take turns: in each round each of them runs the model some times in a row and tells the
//! median. What else the machine does meanwhile falls on all of them, so how two compare is the
//! median of how they compared in each round.

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use super::contender::{self, Greeting, Ours, median};
use super::peak::Peaks;
use super::report::{Model, Other, Outcome, Report, geometric_mean};
use crate::progress::Progress;
use crate::{setup, workspace};

/// Folders of models: the project's own, and an optional one beside the checkout.
const FOLDERS: [&str; 2] = ["models", "../shared/models"];
/// The runtimes beside ours, as `tests/bench/contender.py` calls them.
const OTHERS: [&str; 4] = ["litert-xnnpack", "litert-plain", "openvino", "onnxruntime"];
/// What `apu compile --numerics` takes.
const NUMERICS: [&str; 2] = ["tflite", "xnnpack"];
/// About what a turn should take, in microseconds.
const TURN_US: f64 = 100_000.0;

/// What to measure, and how to tell.
#[derive(Args)]
pub struct Models {
    /// Rounds in which each runtime has a turn
    #[arg(long, default_value = "11", value_name = "N")]
    rounds: u32,
    /// Whose numbers ours are: tflite, or xnnpack as litert-xnnpack's
    #[arg(long, default_value = NUMERICS[0], value_name = "NUMERICS", value_parser = NUMERICS)]
    numerics: String,
    /// Only beside this runtime; may be given more than once
    #[arg(long, value_name = "RUNTIME", value_parser = OTHERS)]
    beside: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Models [default: all in models/ and ../shared/models]
    models: Vec<PathBuf>,
}

/// Measures, and tells.
pub fn main(arguments: &Models) -> Result<ExitCode> {
    let models = match arguments.models.as_slice() {
        [] => all_models(),
        some => some.to_vec(),
    };
    ensure!(!models.is_empty(), "no models in {}", FOLDERS.join(" or "));
    let mut runtimes = OTHERS.to_vec();
    if !arguments.beside.is_empty() {
        runtimes.retain(|runtime| arguments.beside.iter().any(|wanted| wanted == runtime));
    }
    let report = measure(arguments, &runtimes, &models)?;
    let mut out = stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The `.tflite` files in the folders and in those within.
fn all_models() -> Vec<PathBuf> {
    let within = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let folders = FOLDERS.map(|folder| workspace::root().join(folder));
    let top = folders.into_iter().flat_map(within).collect::<Vec<_>>();
    let deeper = top.clone().into_iter().flat_map(within);
    let mut models: Vec<PathBuf> = deeper.chain(top).collect();
    models.retain(|path| path.extension().is_some_and(|kind| kind == "tflite"));
    models.sort();
    models
}

fn measure(arguments: &Models, runtimes: &[&'static str], models: &[PathBuf]) -> Result<Report> {
    let rounds = arguments.rounds.max(1);
    let apu = workspace::build_release(&["apu-cli"])?.join("apu");
    let programs = tempfile::tempdir()?;
    // The Python that the tests have anyway does for LiteRT, and is a tenth as large.
    let python = if runtimes.iter().all(|runtime| runtime.starts_with("litert")) {
        setup::litert()?
    } else {
        setup::contenders()?
    };
    let mut peaks = Peaks::new()?;
    let progress = Progress::start("measuring");
    let mut measured = Vec::new();
    for model in models {
        progress.detail(&format!("measuring {}", model.display()));
        let ours = programs.path().join("model.apu");
        let ours = Ours::compile(&apu, model, &arguments.numerics, ours)?;
        measured.push(Match::new(ours, &python, runtimes, model)?.play(rounds, &mut peaks)?);
    }
    let peak = peaks.median();
    for model in &mut measured {
        let rate = model.macs as f64 / model.ours_us * 1e6;
        model.share_of_peak = peak.as_ref().map(|peak| rate / peak.macs_per_second);
    }
    let mean = |&runtime| Some((runtime, geometric_mean(runtime, &measured)?));
    Ok(Report {
        rounds,
        numerics: arguments.numerics.clone(),
        geometric_means: runtimes.iter().filter_map(mean).collect(),
        peak,
        models: measured,
    })
}

/// All runtimes with one model.
struct Match<'a> {
    ours: Ours<'a>,
    model: &'a Path,
    others: Vec<(&'static str, contender::Other, Greeting)>,
}

impl<'a> Match<'a> {
    fn new(
        ours: Ours<'a>,
        python: &Path,
        runtimes: &[&'static str],
        model: &'a Path,
    ) -> Result<Self> {
        let start = |&runtime| {
            let (other, greeting) = contender::Other::start(python, runtime, model)?;
            Ok((runtime, other, greeting))
        };
        let others = runtimes.iter().map(start).collect::<Result<_>>()?;
        Ok(Self {
            ours,
            model,
            others,
        })
    }

    fn play(self, rounds: u32, peaks: &mut Peaks) -> Result<Model> {
        let warm_up = self.ours.turn(5)?;
        let runs = (TURN_US / warm_up.median_us()).clamp(5.0, 1000.0) as u32;
        let mut ours = Vec::new();
        let mut theirs = vec![Vec::new(); self.others.len()];
        let mut others = self.others;
        for _ in 0..rounds {
            peaks.measure()?;
            ours.push(self.ours.turn(runs)?.median_us());
            for ((_, other, greeting), times) in others.iter_mut().zip(&mut theirs) {
                if let Greeting::Version(_) = greeting {
                    times.push(other.turn(runs)?);
                }
            }
        }
        let told = others.into_iter().zip(theirs);
        let told = told.map(|((runtime, _, greeting), times)| Other {
            runtime,
            outcome: outcome(greeting, times, &ours),
        });
        Ok(Model {
            name: self
                .model
                .file_stem()
                .unwrap_or_default()
                .display()
                .to_string(),
            macs: warm_up.macs,
            others: told.collect(),
            ours_us: median(&mut ours.clone()),
            share_of_peak: None,
        })
    }
}

fn outcome(greeting: Greeting, mut times: Vec<f64>, ours: &[f64]) -> Outcome {
    match greeting {
        Greeting::Absent(absent) => Outcome::Absent { absent },
        Greeting::Version(version) => {
            let ratios = times.iter().zip(ours).map(|(theirs, ours)| theirs / ours);
            let ratio = median(&mut ratios.collect::<Vec<_>>());
            Outcome::Measured {
                version,
                median_us: median(&mut times),
                ratio,
            }
        }
    }
}
