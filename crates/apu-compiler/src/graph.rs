//! A model after import: indices checked, sizes known, nothing lowered yet.

use std::borrow::Cow;

use apu_proto::program::DType;

pub use self::opcode::Opcode;

pub(crate) mod check;
mod opcode;

/// Index into [`Graph::tensors`].
pub type TensorId = usize;

/// The main subgraph of a model. Constant data is borrowed from the model's bytes, unless it was
/// computed when compiling.
#[derive(Clone, Debug)]
pub struct Graph<'m> {
    /// Name of the subgraph, often empty.
    pub name: String,
    /// The model's description.
    pub description: String,
    /// All tensors; every [`TensorId`] in the graph is an index of this.
    pub tensors: Vec<Tensor<'m>>,
    /// Operators in an order in which they can run.
    pub operators: Vec<Operator>,
    /// Inputs in the model's order. A state among them isn't kept: each run begins with the one that it is
    /// given.
    pub inputs: Vec<TensorId>,
    /// Outputs in the model's order; one tensor may stand here twice. A state that is among the inputs and
    /// here is what the run has made of it.
    pub outputs: Vec<TensorId>,
}

/// One tensor.
#[derive(Clone, Debug)]
pub struct Tensor<'m> {
    /// Name, for people.
    pub name: String,
    /// Dimensions, outermost first; a dynamic batch is taken at its static size.
    pub shape: Vec<u32>,
    /// Type of the elements.
    pub element: Element,
    /// Affine quantisation, if it has one.
    pub quantization: Option<Quantization>,
    /// Little-endian elements when it is a constant, exactly as many as the shape asks for.
    pub data: Option<Cow<'m, [u8]>>,
    /// Whether its data is stored sparse; such data isn't imported.
    pub sparse: bool,
    /// Whether it keeps its value between inferences.
    pub variable: bool,
}

impl Tensor<'_> {
    /// The name as it stands in messages: quoted, and short however long it is.
    pub fn label(&self) -> String {
        format!("tensor \"{}\"", short(&self.name))
    }

    /// The elements of a constant.
    pub fn elements(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// Number of elements. Import has checked that it fits.
    pub fn count(&self) -> u64 {
        self.shape.iter().map(|&d| u64::from(d)).product()
    }

    /// Bytes of the elements; 0 when the type has no whole number of them.
    pub fn bytes(&self) -> u64 {
        self.element
            .dtype()
            .map_or(0, |dtype| self.count() * dtype.size() as u64)
    }

    /// Scale and zero point of the whole tensor, when there is one of each.
    pub fn per_tensor(&self) -> Option<(f32, i64)> {
        match &self.quantization {
            Some(q) if q.scales.len() == 1 => Some((q.scales[0], q.zero_point(0))),
            _ => None,
        }
    }
}

/// The beginning of a text, enough to recognise it. Many messages may quote one text of a model, so
/// that they would outgrow the model otherwise.
pub(crate) fn short(text: &str) -> String {
    const LENGTH: usize = 80;
    text.chars().take(LENGTH).collect()
}

/// Affine quantisation: `real = scale · (stored − zero point)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one for each index of dimension `axis`. Never empty.
    pub scales: Vec<f32>,
    /// As many as scales, or one for all of them, or none for 0.
    pub zero_points: Vec<i64>,
    /// The dimension that several scales run along.
    pub axis: i32,
}

impl Quantization {
    /// Zero point of channel `c`.
    pub fn zero_point(&self, c: usize) -> i64 {
        let one = if self.zero_points.len() == 1 { 0 } else { c };
        self.zero_points.get(one).copied().unwrap_or(0)
    }
}

/// Element type by its number in the schema, `TensorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub i8);

#[allow(missing_docs)]
impl Element {
    pub const FLOAT32: Self = Self(0);
    pub const INT32: Self = Self(2);
    pub const UINT8: Self = Self(3);
    pub const INT64: Self = Self(4);
    pub const BOOL: Self = Self(6);
    pub const INT16: Self = Self(7);
    pub const INT8: Self = Self(9);
}

impl Element {
    const NAMES: [&str; 23] = [
        "float32",
        "float16",
        "int32",
        "uint8",
        "int64",
        "string",
        "bool",
        "int16",
        "complex64",
        "int8",
        "float64",
        "complex128",
        "uint64",
        "resource",
        "variant",
        "uint32",
        "uint16",
        "int4",
        "bfloat16",
        "int2",
        "uint4",
        "float8_e4m3fn",
        "float8_e5m2",
    ];

    /// Name as in the schema, in lower case.
    pub fn name(self) -> &'static str {
        usize::try_from(self.0)
            .ok()
            .and_then(|i| Self::NAMES.get(i))
            .copied()
            .unwrap_or("unknown")
    }

    /// The program's type, when it has one.
    pub fn dtype(self) -> Option<DType> {
        Some(match self.name() {
            "int8" => DType::Int8,
            "uint8" => DType::UInt8,
            "int16" => DType::Int16,
            "int32" => DType::Int32,
            "int64" => DType::Int64,
            "float32" => DType::Float32,
            "bool" => DType::Bool,
            _ => return None,
        })
    }

    /// Least and largest stored value of a type that is quantised.
    pub fn range(self) -> Option<(i32, i32)> {
        match self {
            Self::INT16 => Some((-32768, 32767)),
            _ => self.range8(),
        }
    }

    /// Least and largest stored value of an 8-bit type.
    pub fn range8(self) -> Option<(i32, i32)> {
        match self {
            Self::INT8 => Some((-128, 127)),
            Self::UINT8 => Some((0, 255)),
            _ => None,
        }
    }
}

/// One operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Index in the model.
    pub index: usize,
    /// What it does.
    pub opcode: Opcode,
    /// Name of a custom operator.
    pub custom: Option<String>,
    /// Version of the operator's semantics.
    pub version: i32,
    /// Inputs in the schema's order; `None` where an optional one is left out.
    pub inputs: Vec<Option<TensorId>>,
    /// Outputs in the schema's order.
    pub outputs: Vec<TensorId>,
    /// Tensors that only say how what lies between is quantised.
    pub intermediates: Vec<TensorId>,
    /// Attributes.
    pub options: Options,
}

/// Attributes of the operators that have any that matter here.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Options {
    /// No attributes, or those of an operator that isn't lowered.
    None,
    Conv2d {
        sliding: Sliding,
        activation: Activation,
    },
    DepthwiseConv2d {
        sliding: Sliding,
        activation: Activation,
    },
    Pool2d {
        sliding: Sliding,
        filter: [i32; 2],
        activation: Activation,
    },
    FullyConnected {
        activation: Activation,
        shuffled: bool,
        keep_num_dims: bool,
    },
    /// MUL, DIV and L2_NORMALIZATION.
    Fused {
        activation: Activation,
    },
    /// ADD and SUB.
    Sum {
        activation: Activation,
        /// `pot_scale_int16`: int16 is shifted instead of rescaled where scales are powers of two.
        shifted: bool,
    },
    Softmax {
        beta: f32,
    },
    Concatenation {
        axis: i32,
        activation: Activation,
    },
    LeakyRelu {
        alpha: f32,
    },
    Gelu {
        approximate: bool,
    },
    /// PACK and UNPACK.
    Stack {
        axis: i32,
    },
    /// SPACE_TO_DEPTH and DEPTH_TO_SPACE.
    Block {
        size: i32,
    },
    Gather {
        axis: i32,
        batch_dims: i32,
    },
    MirrorPad {
        /// Whether the edge itself is repeated.
        symmetric: bool,
    },
    /// RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.
    Resize {
        align_corners: bool,
        half_pixel_centers: bool,
    },
    StridedSlice(StridedSlice),
    Detection(Detection),
    TransposeConv {
        sliding: Sliding,
        activation: Activation,
    },
    BatchMatmul {
        adj_x: bool,
        adj_y: bool,
    },
    Svdf {
        rank: i32,
        activation: Activation,
    },
    Lstm {
        activation: Activation,
        cell_clip: f32,
        projection_clip: f32,
        time_major: bool,
    },
    /// Of the operators of variables, when the variable is known.
    Variable {
        /// What each of its bytes is before the first run.
        initial: u8,
    },
}

/// Attributes of TFLite_Detection_PostProcess.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Detection {
    pub max_detections: u32,
    pub classes_per_detection: u32,
    /// Without the background.
    pub classes: u32,
    /// Whether overlapping boxes of different classes are kept.
    pub regular: bool,
    /// Most detections of one class in that form.
    pub per_class: u32,
    pub score_threshold: f32,
    pub overlap_threshold: f32,
    /// What the encodings of y, x, height and width are divided by.
    pub scale: [f32; 4],
}

/// Masks of a STRIDED_SLICE: bit i is about element i of begin, end and strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedSlice {
    /// The begin is the first element, whatever it says.
    pub begin: i32,
    /// The end is behind the last element.
    pub end: i32,
    /// Stands for as many whole dimensions as are missing.
    pub ellipsis: i32,
    /// Adds a dimension of 1.
    pub new_axis: i32,
    /// Takes one element and drops the dimension.
    pub shrink_axis: i32,
    /// The end counts from the begin.
    pub offset: bool,
}

/// How a window moves. Height first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// How the edges are treated.
    pub padding: Padding,
    /// Steps between windows.
    pub stride: [i32; 2],
    /// Steps between taps.
    pub dilation: [i32; 2],
}

/// How the edges of an image are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As much padding as keeps `ceil(size / stride)` windows.
    Same,
    /// No padding.
    Valid,
}

/// Fused activation by its number in the schema, `ActivationFunctionType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation(pub i8);

impl Activation {
    const NAMES: [&str; 6] = ["NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"];

    /// Name as in the schema.
    pub fn name(self) -> &'static str {
        usize::try_from(self.0)
            .ok()
            .and_then(|i| Self::NAMES.get(i))
            .copied()
            .unwrap_or("unknown")
    }

    /// The real interval that it clamps to, open ends as `None`. The outer `None` for an activation
    /// that isn't a clamp.
    pub fn interval(self) -> Option<(Option<f32>, Option<f32>)> {
        match self.0 {
            0 => Some((None, None)),
            1 => Some((Some(0.0), None)),
            2 => Some((Some(-1.0), Some(1.0))),
            3 => Some((Some(0.0), Some(6.0))),
            _ => None,
        }
    }
}
