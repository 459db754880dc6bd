//! LiteRT, run live.

use std::path::{Path, PathBuf};
use std::process::Command;

use apu_compiler::Numerics;

use crate::archive::{Archive, Case};
use crate::skip::Skip;

/// Names a Python that has `tests/golden/requirements.txt` installed.
pub const VARIABLE: &str = "APU_LITERT_PYTHON";

/// A Python with LiteRT.
pub struct LiteRt {
    python: PathBuf,
}

impl LiteRt {
    /// The one that the environment names.
    ///
    /// # Errors
    /// [`Skip`] when it names none.
    pub fn find() -> Result<Self, Skip> {
        let python = std::env::var_os(VARIABLE)
            .ok_or_else(|| Skip(format!("{VARIABLE} names no Python with LiteRT")))?;
        Ok(Self {
            python: python.into(),
        })
    }

    /// Writes cases of every operator to a folder, drawn with this seed and computed by LiteRT: by its own
    /// kernels, or by XNNPACK where that takes the operator.
    pub fn draw_cases(&self, seed: &str, numerics: Numerics, folder: &Path) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../golden/make_golden.py");
        let output = Command::new(&self.python)
            .args([script, "--seed", seed, "--numerics", &numerics.to_string()])
            .arg("--out")
            .arg(folder)
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.python.display()));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "LiteRT fails:\n{complaint}");
    }

    /// What LiteRT computes for a model from `runs` random inputs and from pictures.
    pub fn reference(
        &self,
        model: &Path,
        numerics: Numerics,
        runs: u32,
        pictures: &[PathBuf],
    ) -> Case {
        let folder = tempfile::tempdir().expect("a folder for the answers");
        let answers = folder.path().join("answers.npz");
        let output = Command::new(&self.python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/litert.py"))
            .args([model, &answers])
            .args(["--numerics", &numerics.to_string()])
            .args(["--runs", &runs.to_string(), "--picture"])
            .args(pictures)
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.python.display()));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "LiteRT fails on {}:\n{complaint}",
            model.display()
        );
        let mut cases = Archive::open(&answers).cases("live");
        cases.pop().expect("the script writes one case")
    }
}
