//! What can go wrong, in words for the user of a framework.

use std::path::PathBuf;

use tflite_delegate::TensorId;

/// Why there is no delegate, no placement, or no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the APU delegate has no option `{key}`; it has {known}")]
    UnknownOption { key: String, known: String },
    #[error("{place} is `{value}`; it may be {allowed}")]
    Setting {
        /// `option report` or `environment variable APU_REPORT`.
        place: String,
        value: String,
        allowed: &'static str,
    },
    #[error("the report can't be written to {}", path.display())]
    Report {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("require_full is set, and {}", report.trim_end())]
    NotFull { report: String },
    #[error("the APU can't run the shapes that its part of the model has now")]
    Reshaped(#[source] apu_compiler::Error),
    #[error("tensor {id} (\"{name}\") has {got} bytes of memory, the APU's program needs {needed}")]
    TensorSize {
        id: TensorId,
        name: String,
        got: usize,
        needed: usize,
    },
}
