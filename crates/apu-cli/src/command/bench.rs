//! `apu bench`: how long an inference takes.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use apu::Context;
use serde::Serialize;

use crate::arbitrary;
use crate::args::Bench;
use crate::console::Console;
use crate::error::Error;
use crate::model_file::ModelFile;

#[derive(Serialize)]
struct Report {
    model: String,
    macs: u64,
    numerics: &'static str,
    target: String,
    device: String,
    driver: String,
    isa: Option<String>,
    num_threads: usize,
    warmup_runs: usize,
    init: Init,
    first_inference_us: f64,
    inference: Statistics,
    /// Mean time of an inference on the device, by the device's own clock, if it has one.
    device_mean_us: Option<f64>,
}

/// From the file's bytes to a context that is ready.
#[derive(Serialize)]
struct Init {
    /// Compiled, or from the cache.
    program_us: f64,
    load_us: f64,
    total_us: f64,
}

/// Of the steady inferences: input in place to output in place.
#[derive(Debug, PartialEq, Serialize)]
struct Statistics {
    runs: usize,
    min_us: f64,
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    max_us: f64,
}

pub fn run(args: &Bench, console: &Console) -> Result<(), Error> {
    let file = ModelFile::read(&args.model)?;
    let (program, compile) = timed(|| console.step("compiling", || file.program(&args.compile)));
    let device_error = Error::device(&args.device.device);
    let (context, load) = timed(|| super::load(&args.device, program?));
    let mut context = context?;
    fill_inputs(&mut context).map_err(&device_error)?;

    let (first, first_time) = timed(|| context.run_in_place());
    first.map_err(&device_error)?;
    for _ in 0..args.warmup_runs {
        context.run_in_place().map_err(&device_error)?;
    }
    let before = context.device_time().map_err(&device_error)?;
    let times = measure(&mut context, args.runs.get(), console).map_err(&device_error)?;
    let after = context.device_time().map_err(&device_error)?;
    let on_device = |after: Duration| after.saturating_sub(before.unwrap_or_default());

    let model = context.model();
    let (program, device) = (model.program(), model.device());
    let info = device.info().map_err(&device_error)?;
    let report = Report {
        model: file.name.clone(),
        macs: program.macs(),
        numerics: program.numerics().name(),
        target: program.target().into(),
        device: device.name().into(),
        driver: info.driver,
        isa: info.isa,
        num_threads: args.device.threads.get(),
        warmup_runs: args.warmup_runs,
        init: Init {
            program_us: micros(compile),
            load_us: micros(load),
            total_us: micros(compile + load),
        },
        first_inference_us: micros(first_time),
        device_mean_us: after.map(|after| micros(on_device(after)) / times.len() as f64),
        inference: Statistics::of(times),
    };
    if args.json {
        super::print_json(&report)
    } else {
        print(&report)
    }
}

fn measure(
    context: &mut Context,
    runs: usize,
    console: &Console,
) -> Result<Vec<Duration>, apu::Error> {
    let bar = console.bar("measuring", runs as u64);
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let (outcome, time) = timed(|| context.run_in_place());
        outcome?;
        times.push(time);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(times)
}

fn fill_inputs(context: &mut Context) -> Result<(), apu::Error> {
    let inputs = arbitrary::inputs(context.model().program());
    for (index, bytes) in inputs.iter().enumerate() {
        context.input_mut(index)?.copy_from_slice(bytes);
    }
    Ok(())
}

impl Statistics {
    /// Of at least one time.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let runs = times.len();
        // The smallest time that `percent` of the runs don't exceed (nearest rank).
        let percentile = |percent: usize| {
            let rank = (runs * percent).div_ceil(100).max(1);
            times.get(rank - 1).copied().map(micros).unwrap_or_default()
        };
        let total: Duration = times.iter().sum();
        Self {
            runs,
            min_us: percentile(0),
            mean_us: micros(total) / runs as f64,
            p50_us: percentile(50),
            p90_us: percentile(90),
            p99_us: percentile(99),
            max_us: percentile(100),
        }
    }
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

fn print(report: &Report) -> Result<(), Error> {
    let mut out = stdout().lock();
    let Report {
        model,
        macs,
        numerics,
        target,
        device,
        driver,
        isa,
        num_threads,
        init,
        inference,
        device_mean_us,
        ..
    } = report;
    let isa = isa
        .as_ref()
        .map(|isa| format!(", {isa}"))
        .unwrap_or_default();
    writeln!(
        out,
        "model      {model}: {:.2} MMAC, numerics {numerics}, target {target}",
        *macs as f64 / 1e6
    )?;
    writeln!(
        out,
        "device     {device} ({driver}{isa}), {num_threads} thread{}",
        if *num_threads == 1 { "" } else { "s" }
    )?;
    let parts = (millis(init.program_us), millis(init.load_us));
    writeln!(
        out,
        "init       {} ({} program, {} load)",
        millis(init.total_us),
        parts.0,
        parts.1
    )?;
    writeln!(out, "first      {}", millis(report.first_inference_us))?;
    writeln!(
        out,
        "inference  p50 {}, p90 {}, p99 {}, mean {}, min {}, max {} ({} runs after {} to warm up)",
        millis(inference.p50_us),
        millis(inference.p90_us),
        millis(inference.p99_us),
        millis(inference.mean_us),
        millis(inference.min_us),
        millis(inference.max_us),
        inference.runs,
        report.warmup_runs,
    )?;
    if let Some(mean) = device_mean_us {
        writeln!(out, "on device  mean {}, by its own clock", millis(*mean))?;
    }
    Ok(())
}

/// Microseconds in the unit that reads best.
fn millis(us: f64) -> String {
    if us < 1000.0 {
        format!("{us:.1} us")
    } else {
        format!("{:.2} ms", us / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = (1..=10).rev().map(Duration::from_micros).collect();
        let expected = Statistics {
            runs: 10,
            min_us: 1.0,
            mean_us: 5.5,
            p50_us: 5.0,
            p90_us: 9.0,
            p99_us: 10.0,
            max_us: 10.0,
        };
        assert_eq!(Statistics::of(times), expected);
    }

    #[test]
    fn one_run_is_enough() {
        let statistics = Statistics::of(vec![Duration::from_micros(7)]);
        assert_eq!(
            (statistics.min_us, statistics.p50_us, statistics.max_us),
            (7.0, 7.0, 7.0)
        );
    }
}
