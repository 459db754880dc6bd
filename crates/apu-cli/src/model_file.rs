//! Model files: told apart by what they begin with, compiled where that is needed.

use std::borrow::Cow;
use std::path::Path;

use apu::Program;
use apu_compiler::Options;
use apu_compiler::cache::{Cache, Cached, Origin};
use apu_compiler::graph::Graph;

use crate::args::CompileArgs;
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

/// A program, and whether it had been compiled before.
#[derive(Debug)]
pub struct Compiled {
    pub program: Vec<u8>,
    pub from_cache: bool,
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

    /// Compiles it, unless it is or has been.
    pub fn program(&self, args: &CompileArgs) -> Result<Program, Error> {
        self.program_for(&args.options(), args)
    }

    /// Likewise for options of which the arguments have some only.
    pub fn program_for(&self, options: &Options, args: &CompileArgs) -> Result<Program, Error> {
        let bytes = if self.is_program() {
            self.bytes.to_vec()
        } else {
            self.compile(options, args.cache().as_ref())?.program
        };
        self.parse(bytes)
    }

    /// Reads a program of this model.
    pub fn parse(&self, program: Vec<u8>) -> Result<Program, Error> {
        Program::parse(program).map_err(|source| Error::Program {
            path: self.name.clone(),
            source,
        })
    }

    /// The operators of a .tflite.
    pub fn graph(&self) -> Result<Graph<'_>, Error> {
        apu_compiler::import(&self.bytes).map_err(|source| self.refused(source))
    }

    /// Why the compiler refuses this model.
    pub fn refused(&self, source: apu_compiler::Error) -> Error {
        Error::Compile {
            path: self.name.clone(),
            source,
        }
    }

    /// Compiles a .tflite, unless it has been.
    pub fn compile(&self, options: &Options, cache: Option<&Cache>) -> Result<Compiled, Error> {
        let compiled = match cache {
            Some(cache) => cache.compile(&self.bytes, options).map(|cached| Compiled {
                from_cache: is_hit(&cached, cache),
                program: cached.program,
            }),
            None => apu_compiler::compile(&self.bytes, options).map(|compiled| Compiled {
                from_cache: false,
                program: compiled.program,
            }),
        };
        compiled.map_err(|source| self.refused(source))
    }

    /// The labels that the file carries, if it does.
    pub fn labels(&self) -> Option<Labels> {
        Labels::inside(&self.bytes)
    }
}

/// Whether it came from the cache; tells why it isn't there now if so.
fn is_hit(cached: &Cached, cache: &Cache) -> bool {
    if let Origin::Compiler { kept: Err(error) } = &cached.origin {
        let folder = cache.folder().display();
        tracing::info!("the program is not kept in {folder}: {error}");
    }
    matches!(cached.origin, Origin::Cache)
}
