//! `apu inspect`: what a model is made of, and where it will run.

mod compiled;

use std::io::{Write, stdout};

use apu_compiler::report::{OperatorReport, Placement, Report, TensorReport};

use crate::args::Inspect;
use crate::error::Error;
use crate::model_file::ModelFile;
use crate::table;

pub fn run(args: &Inspect) -> Result<(), Error> {
    let model = ModelFile::read(&args.model)?;
    if model.is_program() {
        return compiled::show(&model, args.json);
    }
    let report = apu_compiler::inspect(model.bytes()).map_err(|source| Error::Compile {
        path: model.name.clone(),
        source,
    })?;
    if args.json {
        super::print_json(&report)
    } else {
        print(&model.name, &report)
    }
}

fn print(name: &str, report: &Report) -> Result<(), Error> {
    let mut out = stdout().lock();
    let totals = &report.totals;
    writeln!(
        out,
        "{name}: {} operators, {} of them on the APU, {} MMAC; numerics {}, target {}",
        totals.operators,
        totals.placed,
        millions(totals.macs),
        report.numerics,
        report.target,
    )?;
    if let (Some(constants), Some(arena)) = (totals.constants_bytes, totals.arena_bytes) {
        writeln!(
            out,
            "memory: {} of constants, {} of arena",
            kibibytes(constants),
            kibibytes(arena)
        )?;
    }
    for (what, tensors) in [("input", &report.inputs), ("output", &report.outputs)] {
        for (index, tensor) in tensors.iter().enumerate() {
            writeln!(out, "{what} {index}: {} {}", tensor.name, describe(tensor))?;
        }
    }
    writeln!(out)?;
    print_operators(&report.operators)
}

fn print_operators(operators: &[OperatorReport]) -> Result<(), Error> {
    let mut table = table::new(["#", "operator", "runs on", "input", "output", "MMAC"]);
    for operator in operators {
        let place = match &operator.placement {
            Placement::Apu => "APU".to_owned(),
            unplaced => format!("nowhere yet: {unplaced}"),
        };
        table.add_row([
            operator.index.to_string(),
            operator.opcode.clone(),
            place,
            operator
                .inputs
                .first()
                .map(|tensor| describe(tensor))
                .unwrap_or_default(),
            operator
                .outputs
                .first()
                .map(|tensor| describe(tensor))
                .unwrap_or_default(),
            if operator.macs == 0 {
                String::new()
            } else {
                millions(operator.macs)
            },
        ]);
    }
    table::print(&table)
}

/// Type, shape and quantisation, such as `int8 [1, 10] 0.00390625 -128`.
fn describe(tensor: &TensorReport) -> String {
    let quantization = match (tensor.scale, tensor.zero_point) {
        _ if tensor.per_channel => " per channel".into(),
        (Some(scale), Some(zero_point)) => quantization(scale, zero_point),
        _ => String::new(),
    };
    format!("{} {:?}{quantization}", tensor.dtype, tensor.shape)
}

fn quantization(scale: f32, zero_point: i64) -> String {
    format!(" scale {scale} zero {zero_point}")
}

fn millions(macs: u64) -> String {
    format!("{:.2}", macs as f64 / 1e6)
}

fn kibibytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
