//! Why a model gives no program.

use flatbuffers::InvalidFlatbuffer;
use serde::Serialize;
use thiserror::Error;

use crate::report::Placement;

/// Why a model gives no program.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The file doesn't begin like a TFLite flatbuffer.
    #[error("this is not a .tflite model: bytes 4 to 8 are {got:02x?}, a model has \"TFL3\" there")]
    NotAModel {
        /// What stands in the place of the identifier; shorter when the file is.
        got: Vec<u8>,
    },
    /// The flatbuffer doesn't verify.
    #[error("the model is damaged: {}", .0.to_string().trim_end())]
    Damaged(Box<InvalidFlatbuffer>),
    /// A table lacks something that every model has.
    #[error("the model is damaged: {what} is missing")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// An index points past the end of what it indexes.
    #[error("the model is damaged: {place} names {what} {got}, there are {count}")]
    Dangling {
        /// Who points.
        place: String,
        /// At what kind of thing.
        what: &'static str,
        /// The index.
        got: i64,
        /// How many there are.
        count: usize,
    },
    /// A buffer is stored behind the flatbuffer or in another file.
    #[error(
        "tensor {tensor} keeps its data outside the flatbuffer; convert the model so that it is below 2 GB and self-contained"
    )]
    BufferOutside {
        /// Index of the tensor.
        tensor: usize,
    },
    /// A tensor's shape can't be.
    #[error("tensor {tensor} has the impossible shape {shape:?}")]
    Shape {
        /// Index of the tensor.
        tensor: usize,
        /// The dimensions as stored.
        shape: Vec<i32>,
    },
    /// A constant's data doesn't fill its shape.
    #[error("tensor {tensor} has {got} bytes of data, its shape and type need {needed}")]
    DataSize {
        /// Index of the tensor.
        tensor: usize,
        /// Bytes of the buffer.
        got: usize,
        /// Bytes that the shape and type ask for.
        needed: u64,
    },
    /// A tensor is written twice, or is a constant or an input and written.
    #[error("operator {operator} writes tensor {tensor}, which already has a value")]
    WrittenTwice {
        /// Index of the operator.
        operator: usize,
        /// Index of the tensor.
        tensor: usize,
    },
    /// A tensor is read and nothing has written it.
    #[error("{reader} reads tensor {tensor}, which has no value by then")]
    NoValue {
        /// Who reads.
        reader: String,
        /// Index of the tensor.
        tensor: usize,
    },
    /// Operators that the APU can't run; [`inspect`](crate::inspect) lists them too.
    #[error("{} of the model's operators can't run on the APU:{}", .0.len(), listed(.0))]
    Unplaced(Vec<UnplacedOperator>),
    /// An end of the model that a program can't have.
    #[error("{end} {index} ({name}) has {got}; a program can have {needed} there")]
    Port {
        /// "input" or "output".
        end: &'static str,
        /// Which one.
        index: usize,
        /// Its name.
        name: String,
        /// What is there.
        got: String,
        /// What may be there.
        needed: &'static str,
    },
    /// A size doesn't fit the program's fields, or is out of proportion to the model.
    #[error("{what} would be {got} bytes, the most is {most}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Bytes it would take.
        got: u64,
        /// Bytes it may take.
        most: u64,
    },
    /// Numerics that nobody knows.
    #[error("unknown numerics \"{got}\"; there are \"tflite\" and \"xnnpack\"")]
    UnknownNumerics {
        /// What was asked for.
        got: String,
    },
    /// A layout of constants that this compiler can't write.
    #[error("unknown target \"{got}\"; this compiler packs for \"{known}\"")]
    UnknownTarget {
        /// What was asked for.
        got: String,
        /// What there is.
        known: &'static str,
    },
}

/// An operator that has to run elsewhere, and why.
#[derive(Clone, Debug, Serialize)]
pub struct UnplacedOperator {
    /// Index in the model.
    pub index: usize,
    /// Name of its first output.
    pub name: String,
    /// Name of the operator's kind.
    pub opcode: String,
    /// The constraint that it breaks.
    pub placement: Placement,
}

/// More operators than this are counted, not listed, in the error's text.
const LISTED: usize = 10;

fn listed(operators: &[UnplacedOperator]) -> String {
    let mut text: String = operators
        .iter()
        .take(LISTED)
        .map(|op| {
            format!(
                "\n  {} {} ({}): {}",
                op.index, op.opcode, op.name, op.placement
            )
        })
        .collect();
    if operators.len() > LISTED {
        text.push_str(&format!("\n  and {} more", operators.len() - LISTED));
    }
    text
}
