//! A compiled program (`.apu`), checked and readable: what goes in and out, and which operators run.

use std::fmt;

use apu_proto::program::{self, ALIGN, Header, Io, MAGIC, MAX_RANK, Op, VERSION_MAJOR, opcode};
use zerocopy::{FromBytes, IntoBytes};

use crate::{DType, Error, Result};

/// A compiled program whose parts are where its header says. Whether its operators make sense is
/// the firmware's question, asked before each job.
#[derive(Clone)]
pub struct Program {
    bytes: Vec<u8>,
    header: Header,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    operations: Vec<Operation>,
}

/// An input or output of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Type of its elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes, dense and row-major.
    pub size: usize,
    /// How its integers stand for reals, if they do.
    pub quantization: Option<Quantization>,
}

/// `real = scale · (stored − zero point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Above 0.
    pub scale: f32,
    /// In the stored type.
    pub zero_point: i32,
}

/// One operator of a program.
#[derive(Clone, Debug)]
pub struct Operation {
    /// TFLite's name of its kind.
    pub kind: &'static str,
    /// Its own name in the model.
    pub name: String,
    /// Index of the operator in the model that it came from.
    pub source: usize,
    /// The record that the firmware runs.
    pub record: Op,
}

/// Which arithmetic a program's results follow to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numerics {
    /// TFLite's reference integer kernels.
    Tflite,
    /// XNNPACK's float requantisation.
    Xnnpack,
}

impl Numerics {
    /// The name that the command line and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tflite => "tflite",
            Self::Xnnpack => "xnnpack",
        }
    }
}

impl Program {
    /// Whether a file begins as a compiled program does.
    pub fn is_program(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads and checks a `.apu` file.
    ///
    /// # Errors
    /// [`Error::NotAProgram`], [`Error::ProgramVersion`], [`Error::Truncated`], [`Error::Damaged`]
    /// or [`Error::Malformed`].
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        let header = read_header(&bytes)?;
        check_layout(&header, bytes.len())?;
        check_hash(&header, &bytes)?;
        let parts = Parts {
            bytes: &bytes,
            header: &header,
        };
        let inputs = parts.tensors(0, header.input_count)?;
        let outputs = parts.tensors(header.input_count, header.output_count)?;
        let operations = parts.operations()?;
        Ok(Self {
            inputs,
            outputs,
            operations,
            header,
            bytes,
        })
    }

    /// What goes in, in the model's order.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// What comes out, in the model's order.
    pub fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    /// What runs, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Which arithmetic its results follow.
    pub fn numerics(&self) -> Numerics {
        if self.header.numerics == program::Numerics::XNNPACK {
            Numerics::Xnnpack
        } else {
            Numerics::Tflite
        }
    }

    /// Layout that its constants are packed for.
    pub fn target(&self) -> &str {
        text(&self.header.target)
    }

    /// Features that the firmware must have.
    pub fn required_features(&self) -> u64 {
        self.header.required_features
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.header.macs
    }

    /// Bytes of working memory of one context.
    pub fn arena_size(&self) -> u64 {
        self.header.arena_size
    }

    /// BLAKE3 of the file, its identity.
    pub fn hash(&self) -> [u8; 32] {
        self.header.hash
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a job hands to the firmware.
    pub fn code(&self) -> &[u8] {
        // `check_layout` placed it within the file.
        self.bytes
            .get(..self.header.code_size as usize)
            .unwrap_or_default()
    }

    /// Segment 0.
    pub fn constants(&self) -> &[u8] {
        // `check_layout` placed them within the file.
        let start = self.header.constants_offset as usize;
        self.bytes
            .get(start..start + self.header.constants_size as usize)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Program {
    /// Without the bytes, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("target", &self.target())
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

fn read_header(bytes: &[u8]) -> Result<Header> {
    if !Program::is_program(bytes) {
        return Err(Error::NotAProgram {
            found: bytes.iter().copied().take(MAGIC.len()).collect(),
        });
    }
    let (header, _) = Header::read_from_prefix(bytes)
        .map_err(|_| truncated("header", size_of::<Header>() as u64, bytes.len()))?;
    if header.version_major != VERSION_MAJOR {
        return Err(Error::ProgramVersion {
            major: header.version_major,
            minor: header.version_minor,
        });
    }
    Ok(header)
}

/// Checks that each part lies within the file and has the size that its records need.
fn check_layout(header: &Header, length: usize) -> Result<()> {
    let ios = u64::from(header.input_count) + u64::from(header.output_count);
    let records = size_of::<Header>() as u64
        + ios * size_of::<Io>() as u64
        + u64::from(header.op_count) * size_of::<Op>() as u64;
    if header.header_size as usize != size_of::<Header>() || u64::from(header.code_size) != records
    {
        let what = format!(
            "its code has {} bytes, its records need {records}",
            header.code_size
        );
        return Err(Error::Malformed { what });
    }
    let parts = [
        ("code", 0, records),
        ("constants", header.constants_offset, header.constants_size),
        (
            "names",
            header.names_offset.into(),
            header.names_size.into(),
        ),
    ];
    for (part, start, size) in parts {
        if start % ALIGN as u64 != 0 {
            return Err(Error::Malformed {
                what: format!("its {part} begin at {start}, not at a multiple of {ALIGN}"),
            });
        }
        let end = start.saturating_add(size);
        if end > length as u64 {
            return Err(truncated(part, end, length));
        }
    }
    Ok(())
}

fn check_hash(header: &Header, bytes: &[u8]) -> Result<()> {
    let unhashed = Header {
        hash: [0; 32],
        ..*header
    };
    let rest = bytes.get(size_of::<Header>()..).unwrap_or_default();
    let hash = blake3::Hasher::new()
        .update(unhashed.as_bytes())
        .update(rest)
        .finalize();
    if *hash.as_bytes() == header.hash {
        Ok(())
    } else {
        Err(Error::Damaged)
    }
}

fn truncated(part: &'static str, needed: u64, length: usize) -> Error {
    Error::Truncated {
        part,
        needed,
        got: length as u64,
    }
}

/// The records and names of a file whose layout was checked.
struct Parts<'a> {
    bytes: &'a [u8],
    header: &'a Header,
}

impl Parts<'_> {
    fn tensors(&self, first: u32, count: u32) -> Result<Vec<Tensor>> {
        (first..first + count)
            .map(|index| self.tensor(index as usize))
            .collect()
    }

    fn tensor(&self, index: usize) -> Result<Tensor> {
        let io: Io = self.record(size_of::<Header>() + index * size_of::<Io>())?;
        let malformed = |what: &str| Error::Malformed {
            what: format!("tensor {index}: {what}"),
        };
        let dtype = DType::from_raw(io.dtype).ok_or_else(|| malformed("its type is unknown"))?;
        let rank = io.rank as usize;
        let shape = io
            .shape
            .get(..rank)
            .ok_or_else(|| malformed(&format!("its rank is above {MAX_RANK}")))?;
        let elements = shape
            .iter()
            .try_fold(1_u64, |n, &d| n.checked_mul(d.into()));
        if elements.and_then(|n| n.checked_mul(dtype.size() as u64)) != Some(io.size) {
            return Err(malformed("its size does not follow from its shape"));
        }
        let scale = f32::from_bits(io.scale);
        Ok(Tensor {
            name: self.name(io.name_offset, io.name_size)?,
            dtype,
            shape: shape.iter().map(|&d| d as usize).collect(),
            size: usize::try_from(io.size)
                .map_err(|_| malformed("its size exceeds the address space"))?,
            quantization: (scale > 0.0).then_some(Quantization {
                scale,
                zero_point: io.zero_point,
            }),
        })
    }

    fn operations(&self) -> Result<Vec<Operation>> {
        let ios = (self.header.input_count + self.header.output_count) as usize;
        let first = size_of::<Header>() + ios * size_of::<Io>();
        (0..self.header.op_count as usize)
            .map(|index| self.operation(first + index * size_of::<Op>()))
            .collect()
    }

    fn operation(&self, offset: usize) -> Result<Operation> {
        let record: Op = self.record(offset)?;
        let name = self.name(record.name_offset, record.name_size)?;
        Ok(Operation {
            kind: kind(record.opcode),
            name,
            source: record.source as usize,
            record,
        })
    }

    fn record<T: FromBytes>(&self, offset: usize) -> Result<T> {
        let bytes = self.bytes.get(offset..).unwrap_or_default();
        let (record, _) = T::read_from_prefix(bytes).map_err(|_| {
            truncated(
                "records",
                (offset + size_of::<T>()) as u64,
                self.bytes.len(),
            )
        })?;
        Ok(record)
    }

    fn name(&self, offset: u32, size: u32) -> Result<String> {
        let start = self.header.names_offset as usize;
        let names = self
            .bytes
            .get(start..start + self.header.names_size as usize)
            .unwrap_or_default();
        let offset = offset as usize;
        let name = names
            .get(offset..offset.saturating_add(size as usize))
            .ok_or_else(|| Error::Malformed {
                what: format!(
                    "a name of {size} bytes at {offset} leaves the {} bytes of names",
                    names.len()
                ),
            })?;
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}

/// Zero-padded UTF-8.
pub(crate) fn text(padded: &[u8]) -> &str {
    let end = padded
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(padded.len());
    std::str::from_utf8(padded.get(..end).unwrap_or_default()).unwrap_or("(not UTF-8)")
}

fn kind(opcode: u32) -> &'static str {
    match opcode {
        opcode::CONV_2D => "CONV_2D",
        opcode::DEPTHWISE_CONV_2D => "DEPTHWISE_CONV_2D",
        opcode::ELEMENTWISE => "ELEMENTWISE",
        opcode::AVERAGE_POOL_2D => "AVERAGE_POOL_2D",
        opcode::MAX_POOL_2D => "MAX_POOL_2D",
        opcode::COPY => "COPY",
        opcode::SOFTMAX => "SOFTMAX",
        opcode::QUANTIZE => "QUANTIZE",
        opcode::DEQUANTIZE => "DEQUANTIZE",
        opcode::PAD => "PAD",
        opcode::MEAN => "MEAN",
        opcode::LOOKUP => "LOOKUP",
        opcode::STRIDED_COPY => "STRIDED_COPY",
        opcode::GATHER => "GATHER",
        opcode::RESIZE_BILINEAR => "RESIZE_BILINEAR",
        opcode::REDUCE => "REDUCE",
        opcode::ARG_MAX => "ARG_MAX",
        opcode::BATCH_MATMUL => "BATCH_MATMUL",
        opcode::SELECT => "SELECT",
        opcode::CAST => "CAST",
        opcode::FLOAT_FUNCTION => "FLOAT_FUNCTION",
        opcode::FLOAT_SOFTMAX => "FLOAT_SOFTMAX",
        opcode::L2_NORMALIZATION => "L2_NORMALIZATION",
        opcode::LOG_SOFTMAX => "LOG_SOFTMAX",
        opcode::LSTM => "LSTM",
        opcode::SVDF => "SVDF",
        opcode::WIDE_CONV_2D => "WIDE_CONV_2D",
        opcode::DETECTION => "DETECTION",
        _ => "(unknown)",
    }
}
