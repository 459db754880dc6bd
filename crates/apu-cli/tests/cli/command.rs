//! Runs the command in a folder of its own.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

pub const DIGITS: &[u8] = include_bytes!("../../../../models/digits/digits.tflite");
pub const DIGIT: &[u8] = include_bytes!("../../../../models/digits/digit.png");

/// A folder with `digits.tflite` and `digit.png`, in which commands run.
pub struct Folder(TempDir);

/// What a command did.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("digits.tflite", DIGITS);
        folder.write("digit.png", DIGIT);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    /// `apu` with arguments that are parted by blanks, not started yet.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apu"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path());
        command
            .env("APU_CACHE_DIR", self.path().join("cache"))
            .env_remove("APU_DEVICE")
            .env_remove("RUST_BACKTRACE");
        command
    }

    pub fn apu(&self, arguments: &str) -> Done {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().unwrap();
        Done {
            code: status.code().unwrap(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Like [`Folder::apu`], for what must go well and say nothing beside its result.
    pub fn result(&self, arguments: &str) -> String {
        let done = self.apu(arguments);
        assert_eq!(
            (done.code, done.stderr.as_str()),
            (0, ""),
            "apu {arguments}"
        );
        done.stdout
    }

    pub fn json(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.result(arguments)).unwrap()
    }
}
