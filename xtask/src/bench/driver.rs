//! `bench driver`: what the driver costs, in one guest for each transport, as ratios to floors that are
//! measured beside it.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::guest;
use crate::workspace;

const NODE: &str = "/dev/accel/accel0";

/// How to tell.
#[derive(Args)]
pub struct Driver {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Only over this transport
    #[arg(long, value_parser = ["sim", "rpmsg"])]
    transport: Option<String>,
}

/// Measures over each transport, and tells.
pub fn main(driver: &Driver) -> Result<ExitCode> {
    let transports = match &driver.transport {
        Some(one) => vec![one.as_str()],
        None => vec!["sim", "rpmsg"],
    };
    let mut reports = serde_json::Map::new();
    for transport in transports {
        reports.insert(transport.into(), measure(transport)?);
    }
    let mut out = stdout().lock();
    if driver.json {
        serde_json::to_writer_pretty(&mut out, &reports)?;
        writeln!(out)?;
    } else {
        for (transport, report) in &reports {
            writeln!(out, "over {transport}")?;
            rows(report)
                .into_iter()
                .try_for_each(|row| writeln!(out, "  {row}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(transport: &str) -> Result<Value> {
    let programs = workspace::build_release(&["apu-simd", "apu-cli", "driver-bench"])?;
    // Two processors of a guest would wait for each other whenever the host has something else to do.
    let options = ["--cpus", "1", "--transport", transport];
    let bench = programs.join("driver-bench");
    let mut report = guest::report(&mut guest::guest(&options, bench.as_os_str())?)?;
    let model = guest::model();
    let inference = |device: &str| -> Result<f64> {
        let mut run = guest::guest(&options, programs.join("apu").as_os_str())?;
        run.args(["bench", model, "--runs", "60", "--json", "--device", device]);
        let report = guest::report(&mut run)?;
        report["inference"]["min_us"]
            .as_f64()
            .context("apu bench told no time")
    };
    let (kernel, in_process) = (inference(NODE)?, inference("in-process")?);
    report["model"] = json!({
        "name": guest::name_of(model),
        "kernel_us": kernel,
        "in_process_us": in_process,
        "kernel_to_in_process": kernel / in_process,
    });
    Ok(report)
}

fn rows(report: &Value) -> Vec<String> {
    let number = |path: &str| {
        report
            .pointer(path)
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN)
    };
    let mut rows = vec![
        format!(
            "null job            {:>7.2} x a ping-pong of two processes ({:.0} us, {:.0} us), {:.1} switches to {:.1}",
            number("/jobs/job_to_floor"),
            number("/jobs/job_us"),
            number("/jobs/floor_us"),
            number("/jobs/job_switches"),
            number("/jobs/floor_switches")
        ),
        format!(
            "64 under way        {:>7.2} x as many null jobs ({:.0} us, {:.1} switches each)",
            number("/jobs/pipelined_to_single"),
            number("/jobs/pipelined_us"),
            number("/jobs/pipelined_switches")
        ),
        format!(
            "model               {:>7.2} x in-process ({:.1} ms, {:.1} ms, {})",
            number("/model/kernel_to_in_process"),
            number("/model/kernel_us") / 1e3,
            number("/model/in_process_us") / 1e3,
            report["model"]["name"].as_str().unwrap_or_default()
        ),
        format!(
            "urgent job          {:>7.2} jobs until it has ended, others waiting ({:.1} ms each)",
            number("/priority/urgent_in_jobs"),
            number("/priority/job_ms")
        ),
        format!(
            "bind and unbind     {:>7.2} x with {} mappings as with {} ({:.0} us, {:.0} us)",
            number("/mappings/many_to_few"),
            number("/mappings/many"),
            number("/mappings/few"),
            number("/mappings/many_us"),
            number("/mappings/few_us")
        ),
    ];
    rows.extend(clients(&report["clients"], "do nothing"));
    rows.extend(clients(&report["working_clients"], "take some 0.1 ms"));
    rows
}

/// A row for each number of clients whose jobs do `what`.
fn clients(report: &Value, what: &str) -> impl Iterator<Item = String> {
    let rows = report.as_array().into_iter().flatten();
    rows.map(move |row| {
        let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
        format!(
            "{:>2} clients          {:>7.2} x the jobs of one, floor {:.2} x, fairness {:.3} ({:.0} jobs/s that {what})",
            number("clients"),
            number("to_one"),
            number("floor_to_one"),
            number("fairness"),
            number("jobs_per_second")
        )
    })
}
