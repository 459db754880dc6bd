//! What a compiled program holds.

use std::io::{Write, stdout};

use apu::{Program, Quantization, Tensor};
use serde::Serialize;

use super::{kibibytes, millions, quantization};
use crate::error::Error;
use crate::model_file::ModelFile;
use crate::{npy, table};

#[derive(Serialize)]
struct Report {
    target: String,
    numerics: &'static str,
    macs: u64,
    arena_bytes: u64,
    constants_bytes: usize,
    inputs: Vec<End>,
    outputs: Vec<End>,
    operators: Vec<Operator>,
}

#[derive(Serialize)]
struct End {
    name: String,
    shape: Vec<usize>,
    dtype: &'static str,
    scale: Option<f32>,
    zero_point: Option<i32>,
}

#[derive(Serialize)]
struct Operator {
    index: usize,
    opcode: &'static str,
    name: String,
    /// Index in the model that the program was compiled from.
    source: usize,
}

pub fn show(model: &ModelFile, json: bool) -> Result<(), Error> {
    let report = Report::of(&model.parse(model.bytes().to_vec())?);
    if json {
        super::super::print_json(&report)
    } else {
        print(&model.name, &report)
    }
}

impl Report {
    fn of(program: &Program) -> Self {
        let operations = program.operations().iter().enumerate();
        Self {
            target: program.target().into(),
            numerics: program.numerics().name(),
            macs: program.macs(),
            arena_bytes: program.arena_size(),
            constants_bytes: program.constants().len(),
            inputs: program.inputs().iter().map(End::of).collect(),
            outputs: program.outputs().iter().map(End::of).collect(),
            operators: operations
                .map(|(index, op)| Operator {
                    index,
                    opcode: op.kind,
                    name: op.name.clone(),
                    source: op.source,
                })
                .collect(),
        }
    }
}

impl End {
    fn of(tensor: &Tensor) -> Self {
        let Quantization { scale, zero_point } = tensor.quantization.unwrap_or(Quantization {
            scale: 0.0,
            zero_point: 0,
        });
        let quantized = tensor.quantization.is_some();
        Self {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: npy::numpy_name(tensor.dtype),
            scale: quantized.then_some(scale),
            zero_point: quantized.then_some(zero_point),
        }
    }
}

fn print(name: &str, report: &Report) -> Result<(), Error> {
    let mut out = stdout().lock();
    let Report {
        target,
        numerics,
        macs,
        operators,
        ..
    } = report;
    let count = operators.len();
    writeln!(
        out,
        "{name}: {count} operations, {} MMAC; numerics {numerics}, target {target}",
        millions(*macs)
    )?;
    let (constants, arena) = (report.constants_bytes as u64, report.arena_bytes);
    writeln!(
        out,
        "memory: {} of constants, {} of arena",
        kibibytes(constants),
        kibibytes(arena)
    )?;
    for (what, ends) in [("input", &report.inputs), ("output", &report.outputs)] {
        for (index, end) in ends.iter().enumerate() {
            let quantized = end.scale.zip(end.zero_point);
            let quantized = quantized.map(|(scale, zero)| quantization(scale, zero.into()));
            let End {
                name, dtype, shape, ..
            } = end;
            writeln!(
                out,
                "{what} {index}: {name} {dtype} {shape:?}{}",
                quantized.unwrap_or_default()
            )?;
        }
    }
    writeln!(out)?;
    let mut table = table::new(["#", "operation", "name", "from operator"]);
    for Operator {
        index,
        opcode,
        name,
        source,
    } in operators
    {
        table.add_row([
            index.to_string(),
            (*opcode).into(),
            name.clone(),
            source.to_string(),
        ]);
    }
    table::print(&table)
}
