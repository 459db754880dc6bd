//! `bench transports`: how soon after insmod a model has run over each transport, and how long it takes
//! then, beside the same in process and in the same guest.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::guest::{guest, model, name_of, report};
use crate::workspace;

/// Each transport, and what its guest is started with.
const TRANSPORTS: [(&str, &[&str]); 3] = [
    ("sim", &["--no-daemon"]),
    ("rpmsg", &["--transport", "rpmsg"]),
    (
        "mediatek",
        &[
            "--no-daemon",
            "--device-tree",
            "kernel/configs/device-trees/mt8183-apu.dts",
        ],
    ),
];

/// How to tell.
#[derive(Args)]
pub struct Transports {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures over each transport, and tells.
pub fn main(transports: &Transports) -> Result<ExitCode> {
    let programs = workspace::build_release(&["apu-simd", "apu-cli", "driver-bench"])?;
    let mut reports = serde_json::Map::new();
    for (transport, options) in TRANSPORTS {
        let mut run = guest(options, programs.join("driver-bench").as_os_str())?;
        run.args(["transport", transport, model()])
            .env("APU_TEST_SIMD", programs.join("apu-simd"));
        reports.insert(transport.into(), report(&mut run)?);
    }
    let mut out = stdout().lock();
    if transports.json {
        let all = json!({ "model": name_of(model()), "transports": reports });
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(model(), &reports))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The reports as a table of Markdown.
fn table(model: &str, reports: &serde_json::Map<String, Value>) -> String {
    let mut table = format!(
        "{}; ms\n\n\
        | transport | insmod to first result | in-process | inference | in-process | ratio | of the shortest |\n\
        |---|---:|---:|---:|---:|---:|---:|\n",
        name_of(model).unwrap_or_default()
    );
    for (transport, report) in reports {
        let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
        table += &format!(
            "| {transport} | {:.0} | {:.0} | {:.1} | {:.1} | {:.2} | {:.2} |\n",
            number("insmod_to_result_ms"),
            number("in_process_to_result_ms"),
            number("inference_ms"),
            number("in_process_ms"),
            number("inference_to_in_process"),
            number("shortest_to_in_process"),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{json, table};

    #[test]
    fn a_row_says_what_was_measured() {
        let report = json!({
            "insmod_to_result_ms": 61.6, "in_process_to_result_ms": 30.2,
            "inference_ms": 12.34, "in_process_ms": 12.0, "inference_to_in_process": 1.028,
            "shortest_to_in_process": 1.0,
        });
        let reports = [("sim".to_owned(), report)].into_iter().collect();
        let table = table("models/a.tflite", &reports);
        assert!(table.starts_with("a.tflite; ms\n"));
        assert!(table.ends_with("| sim | 62 | 30 | 12.3 | 12.0 | 1.03 | 1.00 |\n"));
    }
}
