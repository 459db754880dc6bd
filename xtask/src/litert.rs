//! LiteRT with the APU delegate: what it is tested with, and the demonstration in a guest.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::{command, readme, setup, workspace};

/// The documentation.
pub const DOCUMENT: &str = "docs/litert.md";
/// The node of a guest's APU.
const NODE: &str = "/dev/accel/accel0";

/// What can be shown.
#[derive(Subcommand)]
pub enum Demo {
    /// An unmodified LiteRT in a guest, on the APU through the kernel's driver
    Litert,
}

/// Shows it.
pub fn demo(what: &Demo) -> Result<ExitCode> {
    let Demo::Litert = what;
    let kit = Kit::build()?;
    command::run(&mut kit.make_models())?;
    let status = kit.demo()?.status().context("running the guest")?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| {
        ExitCode::from(u8::try_from(code).unwrap_or(1))
    }))
}

/// The delegate, the Python that runs the newest LiteRT, and where models for it are.
pub struct Kit {
    delegate: PathBuf,
    simd: PathBuf,
    python: PathBuf,
    models: PathBuf,
}

impl Kit {
    /// Builds the delegate and the simulated APU.
    pub fn build() -> Result<Self> {
        let built = workspace::build_release(&["apu-delegate", "apu-simd"])?;
        Ok(Self {
            delegate: built.join("libapu_delegate.so"),
            simd: built.join("apu-simd"),
            python: setup::litert()?,
            models: workspace::target()?.join("litert"),
        })
    }

    /// Writes the models, with what LiteRT's own kernels compute for them.
    pub fn make_models(&self) -> Command {
        let mut make = self.script(&self.python, "make_models.py");
        make.arg(&self.models);
        make.args(["models/digits", "../shared/models"]);
        make
    }

    /// The delegate's tests in one runtime.
    pub fn test(&self, python: &Path) -> Command {
        let mut test = self.script(python, "test_delegate.py");
        test.env("APU_TEST_DELEGATE", &self.delegate)
            .env("APU_TEST_MODELS", &self.models);
        test
    }

    /// The Python that the documentation shows.
    pub fn example(&self) -> Result<Command> {
        let built = self.delegate.parent().unwrap_or(&self.delegate);
        let shown = readme::python_of(DOCUMENT)?;
        let mut example = Command::new(&self.python);
        example.arg("-c");
        example.arg(shown.replace("target/release", &built.display().to_string()));
        Ok(example)
    }

    /// The demonstration, in a guest.
    pub fn demo(&self) -> Result<Command> {
        let shared = "../shared/models/mobilenet_v2_1.0_224_quant.tflite";
        let picture = if workspace::root().join(shared).exists() {
            [
                shared,
                "../shared/images/grace_hopper.bmp",
                "../shared/models/imagenet_labels.txt",
                "military uniform",
            ]
        } else {
            [
                "models/digits/digits.tflite",
                "models/digits/digit.png",
                "models/digits/labels.txt",
                "8",
            ]
        };
        let mut guest = self.guest(&[])?;
        guest.arg("tests/litert/demo.py").arg(&self.delegate);
        guest.arg(NODE).arg(&self.models).args(picture);
        Ok(guest)
    }

    /// The tests of a device that dies and hangs, in a guest.
    pub fn recovery(&self) -> Result<Command> {
        let mut guest = self.guest(&["--no-daemon"])?;
        guest.arg("tests/litert/test_recovery.py");
        guest
            .env("APU_TEST_DELEGATE", &self.delegate)
            .env("APU_TEST_MODELS", &self.models)
            .env("APU_TEST_SIMD", &self.simd)
            .env("APU_TEST_DEVICE", NODE);
        Ok(guest)
    }

    fn guest(&self, options: &[&str]) -> Result<Command> {
        let mut guest = Command::new(std::env::current_exe()?);
        guest.args(["uml", "run"]).args(options).arg("--");
        guest.arg(&self.python).current_dir(workspace::root());
        Ok(guest)
    }

    fn script(&self, python: &Path, name: &str) -> Command {
        let mut script = Command::new(python);
        script.arg(format!("tests/litert/{name}"));
        script.current_dir(workspace::root());
        script
    }
}
