//! LiteRT, run live.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use apu_compiler::Numerics;

use crate::archive::{Archive, Case};
use crate::skip::Skip;

/// Names a Python that has `tests/golden/requirements.txt` installed.
pub const VARIABLE: &str = "APU_LITERT_PYTHON";

/// How many random inputs of a model to compare: `usual`, unless `APU_MODEL_RUNS` asks for others.
pub fn runs(usual: u32) -> u32 {
    let asked = std::env::var("APU_MODEL_RUNS").ok();
    asked.and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

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
        let mut draw = self.script("golden/make_golden.py");
        draw.args(["--seed", seed, "--numerics", &numerics.to_string()]);
        succeed(draw.arg("--out").arg(folder));
    }

    /// Writes the networks of `tests/networks` to a folder.
    pub fn make_networks(&self, folder: &Path) {
        succeed(self.script("networks/make_networks.py").arg(folder));
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
        succeed(
            self.answer(model, &answers, numerics, runs)
                .arg("--picture")
                .args(pictures),
        );
        live(&answers)
    }

    /// What LiteRT computes for each model in a folder from `runs` random inputs, with the models' names.
    pub fn references(
        &self,
        models: &Path,
        numerics: Numerics,
        runs: u32,
    ) -> BTreeMap<String, Case> {
        let folder = tempfile::tempdir().expect("a folder for the answers");
        succeed(&mut self.answer(models, folder.path(), numerics, runs));
        let answers = std::fs::read_dir(folder.path()).expect("the folder is readable");
        let answers = answers.map(|entry| entry.expect("the folder is readable").path());
        let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
        answers
            .filter_map(|path| Some((name(&path)?, live(&path))))
            .collect()
    }

    fn answer(&self, model: &Path, answers: &Path, numerics: Numerics, runs: u32) -> Command {
        let mut answer = self.script("suite/litert.py");
        answer.args([model, answers]);
        answer.args(["--numerics", &numerics.to_string()]);
        answer.args(["--runs", &runs.to_string()]);
        answer
    }

    /// A script below `tests`.
    fn script(&self, path: &str) -> Command {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut script = Command::new(&self.python);
        script.arg("-B").arg(tests.join(path));
        script
    }
}

fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} fails:\n{complaint}");
}

/// The one case of an archive that `litert.py` wrote.
fn live(answers: &Path) -> Case {
    let mut cases = Archive::open(answers).cases("live");
    cases.pop().expect("the script writes one case")
}
