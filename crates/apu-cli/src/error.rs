//! Everything that stops a command, in the words that the user reads.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use miette::Diagnostic;

/// Why a command failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error("cannot read {what} {}", path.display())]
    Read {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make the folder {}", path.display())]
    MakeFolder { path: PathBuf, source: io::Error },
    #[error("cannot write to stdout")]
    Stdout(#[from] io::Error),

    #[error("{path} is not a model: it begins with {found:02x?}")]
    #[diagnostic(help("give a .tflite file, or a .apu file that `apu compile` made"))]
    NotAModel { path: String, found: Vec<u8> },
    #[error("{path} is a compiled program already")]
    #[diagnostic(help("`apu run`, `apu bench` and `apu classify` take it as it is"))]
    AlreadyCompiled { path: String },
    #[error("cannot compile {path}")]
    #[diagnostic(help("{}", compile_help(.source, .path)))]
    Compile {
        path: String,
        source: apu_compiler::Error,
    },
    #[error("cannot use {path}")]
    #[diagnostic(help("compile the .tflite model again with `apu compile`"))]
    Program { path: String, source: apu::Error },

    #[error("{path} does not classify pictures: {what}")]
    #[diagnostic(help("`apu inspect` shows its inputs and outputs, `apu run` runs any model"))]
    NotAClassifier { path: String, what: String },
    #[error("cannot read the picture {}", path.display())]
    #[diagnostic(help("PNG, JPEG and BMP can be read"))]
    Picture {
        path: PathBuf,
        source: image::ImageError,
    },
    #[error("the labels in {} are not UTF-8 text", path.display())]
    #[diagnostic(help("a labels file holds the name of one class a line, beginning with class 0"))]
    Labels {
        path: PathBuf,
        source: std::str::Utf8Error,
    },

    #[error("{got} tensors were given, {model} needs {needed}")]
    #[diagnostic(help("give one file for each, in this order:\n{wanted}"))]
    InputCount {
        model: String,
        needed: usize,
        got: usize,
        wanted: String,
    },
    #[error("input {index} (`{name}`) does not fit: {} holds {got}, the model needs {needed}", path.display())]
    #[diagnostic(help("{way_out}"))]
    InputMismatch {
        index: usize,
        name: Box<str>,
        path: PathBuf,
        got: Box<str>,
        needed: Box<str>,
        way_out: Box<str>,
    },
    #[error("input {index} (`{name}`): {} is not a .npy file that can be used", path.display())]
    #[diagnostic(help("in Python: numpy.save(file, numpy.ascontiguousarray(array))"))]
    Npy {
        index: usize,
        name: String,
        path: PathBuf,
        source: io::Error,
    },

    #[error("the model differs from LiteRT: {what}")]
    Differs { what: String },
    #[error("cannot run LiteRT with {}: {what}", python.display())]
    #[diagnostic(help("`pip install ai-edge-litert` into some Python and name it with --python"))]
    LiteRt { python: PathBuf, what: String },
    #[error("LiteRT itself can't run {}: {what}", model.display())]
    #[diagnostic(help("there is nothing to compare with; `apu run` needs no LiteRT"))]
    LiteRtRefuses { model: PathBuf, what: String },
    #[error("{broken} of {checked} rules are broken")]
    #[diagnostic(help("`apu conformance {device} NAME --exact` checks one alone"))]
    Broken {
        broken: usize,
        checked: usize,
        device: String,
    },
    #[error("no rule matches {filters}")]
    #[diagnostic(help("`apu conformance --list` names them all"))]
    NoRule { filters: String },
    #[error("in-process is no node: the rules are those of a kernel's driver")]
    #[diagnostic(help("`apu devices` lists the devices of this machine"))]
    NoNode,

    #[error("cannot run on {device}")]
    #[diagnostic(help("{}", device_help(.source)))]
    Device { device: String, source: apu::Error },
}

impl Error {
    /// Whether the reader of our output has gone, which is its right.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// 2 when the command line or an input file is to blame, else 1.
    pub fn exit_code(&self) -> ExitCode {
        let by_user = match self {
            Self::Compile { source, .. } => !matches!(source, apu_compiler::Error::Unplaced(_)),
            Self::Device { source, .. } => matches!(
                source,
                apu::Error::UnknownDevice { .. } | apu::Error::TooManyThreads { .. }
            ),
            Self::Write { .. } | Self::MakeFolder { .. } | Self::Stdout(_) => false,
            Self::Differs { .. }
            | Self::LiteRt { .. }
            | Self::LiteRtRefuses { .. }
            | Self::Broken { .. } => false,
            _ => true,
        };
        ExitCode::from(if by_user { 2 } else { 1 })
    }

    /// For `map_err`: what the device said, with its name.
    pub fn device(name: &str) -> impl Fn(apu::Error) -> Self {
        move |source| Self::Device {
            device: name.into(),
            source,
        }
    }
}

fn compile_help(source: &apu_compiler::Error, path: &str) -> String {
    match source {
        apu_compiler::Error::Unplaced(_) => {
            format!(
                "`apu inspect {path}` shows all operators and the reason for each that the APU can't run"
            )
        }
        _ => "check that the file is whole: export or download it again".into(),
    }
}

fn device_help(source: &apu::Error) -> &'static str {
    match source {
        apu::Error::UnknownDevice { .. } | apu::Error::NotAnApu { .. } => {
            "`apu devices` lists the devices of this machine"
        }
        apu::Error::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "ask for access to the node (often the group `render`), or use `--device in-process`"
        }
        apu::Error::Open { .. } => {
            "`apu devices` lists the devices of this machine; `--device in-process` needs none"
        }
        apu::Error::DeviceLost => {
            "start the device's firmware (`apu-simd` for the simulated one), or use `--device in-process`"
        }
        apu::Error::TooManyThreads { .. } => "`apu devices` tells how many cores each device has",
        error if error.is_retryable() => "run the command again",
        _ => "try `--device in-process`; if that works, the device or its driver is at fault",
    }
}
