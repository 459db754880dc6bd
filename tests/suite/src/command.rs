//! The `apu` command, used by a test as somebody at a shell would.

use std::path::PathBuf;
use std::process::Command;

use crate::device;
use crate::skip::Skip;

/// Names the `apu` to use.
pub const VARIABLE: &str = "APU_TEST_CLI";

/// The program.
pub struct Apu(PathBuf);

impl Apu {
    /// The one that the environment names.
    ///
    /// # Errors
    /// [`Skip`] when it names none.
    pub fn find() -> Result<Self, Skip> {
        let program = std::env::var_os(VARIABLE)
            .ok_or_else(|| Skip(format!("{VARIABLE} names no apu command")))?;
        Ok(Self(program.into()))
    }

    /// What `apu classify` says of a picture, as soon as there is a device that answers.
    pub fn classify(&self, arguments: &[&str]) -> String {
        let mut classify = Command::new(&self.0);
        classify.arg("classify").args(arguments);
        let said = classify.arg("--device").arg(device::online()).output();
        let said = said.unwrap();
        String::from_utf8(said.stdout).unwrap() + &String::from_utf8_lossy(&said.stderr)
    }

    /// Whether its own digit is told right.
    pub fn knows_its_digit(&self) -> bool {
        self.classify(&[]).contains("0.996094: 8 8")
    }
}
