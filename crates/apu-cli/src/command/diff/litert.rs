//! What LiteRT computes, in a Python of the user.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use apu_compiler::Numerics;
use apu_compiler::graph::TensorId;
use serde::Deserialize;

use crate::error::Error;

const SCRIPT: &str = include_str!("stages.py");
/// How it ends where LiteRT itself refuses the model.
const REFUSED: i32 = 3;

/// Where in the file of tensors one of them is.
#[derive(Deserialize)]
struct Place {
    tensor: TensorId,
    start: usize,
    size: usize,
}

/// What LiteRT computes on the way through a model, by tensor.
pub fn tensors(
    python: &Path,
    model: &Path,
    numerics: Numerics,
    inputs: &[Vec<u8>],
) -> Result<HashMap<TensorId, Vec<u8>>, Error> {
    let failed = |what: String| Error::LiteRt {
        python: python.into(),
        what,
    };
    let (folder, answer) =
        run(python, model, numerics, inputs).map_err(|error| failed(error.to_string()))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map_or_else(|| format!("it ended with {}", answer.status), str::to_owned);
        return Err(match answer.status.code() {
            Some(REFUSED) => Error::LiteRtRefuses {
                model: model.into(),
                what: last,
            },
            _ => failed(last),
        });
    }
    let places: Vec<Place> =
        serde_json::from_slice(&answer.stdout).map_err(|error| failed(error.to_string()))?;
    let tensors = fs::read(folder.path().join("tensors")).map_err(|e| failed(e.to_string()))?;
    let cut = |place: Place| {
        let bytes = tensors.get(place.start..)?.get(..place.size)?;
        Some((place.tensor, bytes.to_vec()))
    };
    Ok(places.into_iter().filter_map(cut).collect())
}

fn run(
    python: &Path,
    model: &Path,
    numerics: Numerics,
    inputs: &[Vec<u8>],
) -> std::io::Result<(tempfile::TempDir, std::process::Output)> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("stages.py");
    fs::write(&script, SCRIPT)?;
    for (index, bytes) in inputs.iter().enumerate() {
        fs::write(folder.path().join(format!("input_{index}")), bytes)?;
    }
    let mut command = Command::new(python);
    command.arg(script).arg(model).arg(folder.path());
    command.arg(numerics.to_string());
    let output = command.output()?;
    Ok((folder, output))
}
