//! Model files: told apart by what they begin with, compiled where that is needed.

use std::borrow::Cow;
use std::path::Path;

use apu::Program;
use apu_compiler::Options;

use crate::error::Error;
use crate::labels::Labels;

/// Bytes 4 to 8 of a TFLite flatbuffer.
const TFLITE: &[u8] = b"TFL3";

/// The content of a model file.
#[derive(Debug)]
pub struct ModelFile {
    /// As the user gave it, for messages.
    pub name: String,
    bytes: Cow<'static, [u8]>,
}

impl ModelFile {
    /// Reads a file that begins as a model does.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            what: "the model",
            path: path.into(),
            source,
        })?;
        let file = Self {
            name: path.display().to_string(),
            bytes: bytes.into(),
        };
        if !file.is_program() && file.bytes.get(4..8) != Some(TFLITE) {
            let found = file.bytes.iter().copied().take(8).collect();
            return Err(Error::NotAModel {
                path: file.name,
                found,
            });
        }
        Ok(file)
    }

    /// The model of handwritten digits that comes with this program.
    pub fn digits() -> Self {
        let bytes = include_bytes!("../../../models/digits/digits.tflite");
        Self {
            name: "digits.tflite".into(),
            bytes: bytes.as_slice().into(),
        }
    }

    /// Whether it is compiled already.
    pub fn is_program(&self) -> bool {
        Program::is_program(&self.bytes)
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Compiles it, unless it is.
    pub fn program(&self) -> Result<Program, Error> {
        let bytes = if self.is_program() {
            self.bytes.to_vec()
        } else {
            self.compile()?.program
        };
        Program::parse(bytes).map_err(|source| Error::Program {
            path: self.name.clone(),
            source,
        })
    }

    /// Compiles a .tflite.
    pub fn compile(&self) -> Result<apu_compiler::Compiled, Error> {
        apu_compiler::compile(&self.bytes, &Options::default()).map_err(|source| Error::Compile {
            path: self.name.clone(),
            source,
        })
    }

    /// The labels that the file carries, if it does.
    pub fn labels(&self) -> Option<Labels> {
        Labels::inside(&self.bytes)
    }
}
