//! What an operator must be like to run on the APU: the table that places operators, words the
//! reason when one can't be placed, and documents what is supported.

mod site;

mod operands;
mod quantisation;
mod recurrent;
mod shapes;
mod support;
mod variables;

pub(crate) use site::Site;
pub use support::{Kind, SUPPORTED};

use crate::{
    Numerics,
    graph::{Element, Opcode},
};

/// One requirement on some kinds of operators.
pub struct Constraint {
    /// Short name, stable across versions.
    pub name: &'static str,
    /// The kinds that it applies to; empty for all.
    pub operators: &'static [Opcode],
    /// What satisfies it, as the end of "needs ...".
    pub needed: &'static str,
    /// What an operator has instead, `None` when it satisfies the constraint.
    broken: fn(&Site) -> Option<String>,
}

/// Why an operator can't be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub constraint: &'static str,
    pub got: String,
    pub needed: &'static str,
    /// Other numerics, with which it could.
    pub instead: Option<Numerics>,
}

impl Refusal {
    /// The same, if it is of one of the numerics only: the operator is lowered with the other ones, too.
    pub(crate) fn or_instead<T>(
        mut self,
        site: &Site,
        lower: impl FnOnce(&Site) -> Result<T, Self>,
    ) -> Self {
        let numerics = site.numerics.other();
        let is_placed = lower(&Site { numerics, ..*site }).is_ok();
        self.instead = is_placed.then_some(numerics);
        self
    }
}

impl Constraint {
    pub(crate) fn refuse(&self, got: impl Into<String>) -> Refusal {
        Refusal {
            constraint: self.name,
            got: got.into(),
            needed: self.needed,
            instead: None,
        }
    }

    fn applies_to(&self, opcode: Opcode) -> bool {
        self.operators.is_empty() || self.operators.contains(&opcode)
    }
}

/// The first constraint that the operator breaks.
pub(crate) fn check(site: &Site) -> Result<(), Refusal> {
    let opcode = site.operator.opcode;
    first_broken(CONSTRAINTS.iter().filter(|c| c.applies_to(opcode)), site)
}

fn first_broken<'a>(
    mut constraints: impl Iterator<Item = &'a Constraint>,
    site: &Site,
) -> Result<(), Refusal> {
    let broken = constraints.find_map(|c| Some(c.refuse((c.broken)(site)?)));
    broken.map_or(Ok(()), Err)
}

/// Whether a kind only moves elements.
pub(crate) fn is_moving(opcode: Opcode) -> bool {
    MOVING.contains(&opcode)
}

/// Whether a kind is a function of two inputs that broadcast.
pub(crate) fn is_broadcasting(opcode: Opcode) -> bool {
    BROADCASTING.contains(&opcode)
}

/// The first constraint on weights and bias that the operator breaks.
pub(crate) fn check_weights(site: &Site) -> Result<(), Refusal> {
    let about_weights = |c: &&Constraint| {
        c.operators == WEIGHTED || (c.name == "weight shape" && c.applies_to(site.operator.opcode))
    };
    first_broken(CONSTRAINTS.iter().filter(about_weights), site)
}

/// Kinds with weights.
const WEIGHTED: &[Opcode] = &[
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::FULLY_CONNECTED,
];
/// Kinds with a sliding window.
const WINDOWED: &[Opcode] = &[
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::AVERAGE_POOL_2D,
    Opcode::MAX_POOL_2D,
];
/// Kinds that compute with quantised activations.
const ARITHMETIC: &[Opcode] = &[
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::FULLY_CONNECTED,
    Opcode::TRANSPOSE_CONV,
];
/// Kinds that compute with quantised activations or with float32.
const ARITHMETIC_OR_FLOAT: &[Opcode] = &[
    Opcode::AVERAGE_POOL_2D,
    Opcode::LEAKY_RELU,
    Opcode::LOGISTIC,
    Opcode::MAX_POOL_2D,
    Opcode::TANH,
];
/// Functions of two inputs of one shape, or of two that broadcast to one.
const BROADCASTING: &[Opcode] = &[
    Opcode::ADD,
    Opcode::DIV,
    Opcode::EQUAL,
    Opcode::FLOOR_DIV,
    Opcode::FLOOR_MOD,
    Opcode::GREATER,
    Opcode::GREATER_EQUAL,
    Opcode::LESS,
    Opcode::LESS_EQUAL,
    Opcode::LOGICAL_AND,
    Opcode::LOGICAL_OR,
    Opcode::MAXIMUM,
    Opcode::MINIMUM,
    Opcode::MUL,
    Opcode::NOT_EQUAL,
    Opcode::PRELU,
    Opcode::SQUARED_DIFFERENCE,
    Opcode::SUB,
];
const COMPARING: &[Opcode] = &[
    Opcode::GREATER,
    Opcode::GREATER_EQUAL,
    Opcode::LESS,
    Opcode::LESS_EQUAL,
];
const LOGICAL: &[Opcode] = &[Opcode::LOGICAL_AND, Opcode::LOGICAL_NOT, Opcode::LOGICAL_OR];
/// Kinds that move elements, of any type, and compute nothing.
const MOVING: &[Opcode] = &[
    Opcode::BATCH_TO_SPACE_ND,
    Opcode::BROADCAST_TO,
    Opcode::CONCATENATION,
    Opcode::DEPTH_TO_SPACE,
    Opcode::FILL,
    Opcode::GATHER,
    Opcode::GATHER_ND,
    Opcode::MIRROR_PAD,
    Opcode::PACK,
    Opcode::RANK,
    Opcode::RESIZE_NEAREST_NEIGHBOR,
    Opcode::REVERSE_V2,
    Opcode::SHAPE,
    Opcode::SLICE,
    Opcode::SPACE_TO_BATCH_ND,
    Opcode::SPACE_TO_DEPTH,
    Opcode::SPLIT,
    Opcode::SPLIT_V,
    Opcode::STRIDED_SLICE,
    Opcode::TILE,
    Opcode::TRANSPOSE,
    Opcode::UNPACK,
    Opcode::ZEROS_LIKE,
];
/// Kinds that compare or convert stored values, whatever they mean.
const AS_STORED: &[Opcode] = &[
    Opcode::ARG_MAX,
    Opcode::ARG_MIN,
    Opcode::ASSIGN_VARIABLE,
    Opcode::CAST,
    Opcode::FLOOR_DIV,
    Opcode::FLOOR_MOD,
    Opcode::MAXIMUM,
    Opcode::MINIMUM,
    Opcode::NEG,
    Opcode::READ_VARIABLE,
    Opcode::REDUCE_MAX,
    Opcode::REDUCE_MIN,
    Opcode::SELECT,
    Opcode::SELECT_V2,
];
/// Kinds that move elements, and by a rule that is known before the run.
const MOVING_BY_ARGUMENTS: &[Opcode] = &[
    Opcode::ARG_MAX,
    Opcode::ARG_MIN,
    Opcode::BATCH_TO_SPACE_ND,
    Opcode::BROADCAST_TO,
    Opcode::FILL,
    Opcode::MIRROR_PAD,
    Opcode::RESIZE_BILINEAR,
    Opcode::RESIZE_NEAREST_NEIGHBOR,
    Opcode::REVERSE_V2,
    Opcode::SLICE,
    Opcode::SPACE_TO_BATCH_ND,
    Opcode::SPLIT,
    Opcode::SPLIT_V,
    Opcode::STRIDED_SLICE,
    Opcode::TILE,
    Opcode::TRANSPOSE,
];
/// Kinds that only give the same elements another shape.
const RESHAPING: &[Opcode] = &[Opcode::RESHAPE, Opcode::SQUEEZE, Opcode::EXPAND_DIMS];
/// Kinds that use variables.
const OF_VARIABLES: &[Opcode] = &[
    Opcode::ASSIGN_VARIABLE,
    Opcode::CALL_ONCE,
    Opcode::READ_VARIABLE,
    Opcode::VAR_HANDLE,
];
/// Kinds that fill the edges.
const PADDING: &[Opcode] = &[Opcode::PAD, Opcode::PADV2];
/// Kinds with a fused activation.
const ACTIVATED: &[Opcode] = &[
    Opcode::ADD,
    Opcode::AVERAGE_POOL_2D,
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::DIV,
    Opcode::FULLY_CONNECTED,
    Opcode::MAX_POOL_2D,
    Opcode::MUL,
    Opcode::SUB,
];
/// The types without scales.
const UNSCALED: &[Element] = &[Element::FLOAT32, Element::INT32, Element::INT64];
/// These, and those whose stored values are what is meant.
const STORED: &[Element] = &[
    Element::INT8,
    Element::INT16,
    Element::FLOAT32,
    Element::INT32,
    Element::INT64,
];
/// All that can be computed with.
const NUMBERS: &[Element] = &[
    Element::INT8,
    Element::UINT8,
    Element::INT16,
    Element::FLOAT32,
    Element::INT32,
    Element::INT64,
];

/// The table, in the order in which it is checked: a later constraint may rely on an earlier one.
pub const CONSTRAINTS: &[Constraint] = &[
    Constraint {
        name: "operator",
        operators: &[],
        needed: "one of the operators in SUPPORTED_OPS.md",
        broken: support::operator,
    },
    Constraint {
        name: "operand count",
        operators: &[],
        needed: "the inputs and outputs that TFLite defines for it",
        broken: operands::count,
    },
    Constraint {
        name: "variable",
        operators: OF_VARIABLES,
        needed: "variables that CALL_ONCE's subgraph fills with constants, each of one repeated byte, and nothing else, \
                 and values of their type and shape",
        broken: variables::unknown,
    },
    Constraint {
        name: "storage",
        operators: &[],
        needed: "dense tensors, of which only states are variables",
        broken: operands::storage,
    },
    Constraint {
        name: "numerics",
        operators: &[Opcode::GELU],
        needed: "a quantised type: LiteRT approximates that of float32 in another way for each kind of processor",
        broken: support::transcendental,
    },
    Constraint {
        name: "types",
        operators: &[
            Opcode::HARD_SWISH,
            Opcode::L2_NORMALIZATION,
            Opcode::LOG_SOFTMAX,
        ],
        needed: "activations that are all int8, all uint8 or all float32",
        broken: |site| {
            let types = [Element::INT8, Element::UINT8, Element::FLOAT32];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::SOFTMAX],
        needed: "activations that are all int8, all uint8, all int16 or all float32, but for an output of int16 of bytes",
        broken: operands::softmax_types,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::MEAN],
        needed: "activations of one type: int8, uint8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, NUMBERS),
    },
    Constraint {
        name: "types",
        operators: ARITHMETIC_OR_FLOAT,
        needed: "activations that are all int8, all uint8, all int16 or all float32",
        broken: |site| {
            let types = [
                Element::INT8,
                Element::UINT8,
                Element::INT16,
                Element::FLOAT32,
            ];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: ARITHMETIC,
        needed: "activations that are all int8, all uint8 or all int16",
        broken: |site| {
            let types = [Element::INT8, Element::UINT8, Element::INT16];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "form",
        operators: &[Opcode::SVDF],
        needed: "int8 activations and weights, int16 weights by time and state, a constant int32 bias or none, and RELU",
        broken: recurrent::svdf,
    },
    Constraint {
        name: "form",
        operators: &[Opcode::UNIDIRECTIONAL_SEQUENCE_LSTM],
        needed: "int8 activations and weights, an int16 cell, int32 biases and five intermediates, TANH, and no peephole, projection or layer normalisation",
        broken: recurrent::lstm,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::QUANTIZE],
        needed: "a float32, int8, uint8 or int16 input and an int8, uint8 or int16 output, not int16 to uint8; int32 to int8 or int16, or int16 to int32",
        broken: operands::quantize_types,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::DEQUANTIZE],
        needed: "an int8, uint8 or int16 input and a float32 output",
        broken: operands::dequantize_types,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::GELU],
        needed: "an int8, uint8 or int16 input, and an output of its type",
        broken: |site| {
            let types = [Element::INT8, Element::UINT8, Element::INT16];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::ELU],
        needed: "an int8 or float32 input, and an output of its type",
        broken: |site| operands::one_type_of(site, &[Element::INT8, Element::FLOAT32]),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::ABS],
        needed: "an int8, int16, int32 or float32 input, and an output of its type",
        broken: |site| {
            let types = [
                Element::INT8,
                Element::INT16,
                Element::INT32,
                Element::FLOAT32,
            ];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::EXP, Opcode::LOG, Opcode::RSQRT, Opcode::SQRT],
        needed: "an int8, int16 or float32 input, and an output of its type",
        broken: |site| {
            let types = [Element::INT8, Element::INT16, Element::FLOAT32];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::RELU, Opcode::RELU6],
        needed: "an int8, uint8, int16 or float32 input, and an output of its type",
        broken: |site| {
            let types = [
                Element::INT8,
                Element::UINT8,
                Element::INT16,
                Element::FLOAT32,
            ];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::RELU_0_TO_1, Opcode::RELU_N1_TO_1],
        needed: "an int8, uint8 or float32 input, and an output of its type",
        broken: |site| {
            operands::one_type_of(site, &[Element::INT8, Element::UINT8, Element::FLOAT32])
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::CEIL, Opcode::FLOOR, Opcode::ROUND],
        needed: "a float32 input and output",
        broken: |site| operands::one_type_of(site, &[Element::FLOAT32]),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::BATCH_MATMUL],
        needed: "inputs and an output that are all int8 or all int16, but for a second input of int8 with a zero point of 0 beside int16",
        broken: operands::matmul_types,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::REDUCE_MAX, Opcode::REDUCE_MIN, Opcode::SUM],
        needed: "an input and an output of one type: int8, uint8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, NUMBERS),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::ARG_MAX, Opcode::ARG_MIN],
        needed: "an int8, uint8, float32, int32 or bool input, and an int32 or int64 output",
        broken: operands::searched,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::CAST],
        needed: "types of 1, 2, 4 or 8 bytes",
        broken: operands::castable,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::SELECT, Opcode::SELECT_V2],
        needed: "a bool condition, and inputs and an output of one type of 1, 2, 4 or 8 bytes",
        broken: operands::selected,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::DETECTION_POSTPROCESS],
        needed: "inputs that are all float32 or all uint8, and float32 outputs",
        broken: |site| {
            let types = [Element::FLOAT32, Element::UINT8];
            operands::types_from_to(site, &types, Element::FLOAT32)
        },
    },
    Constraint {
        name: "attributes",
        operators: &[Opcode::DETECTION_POSTPROCESS],
        needed: "max_classes_per_detection 1, and detections_per_class above 0",
        broken: support::detection,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::PRELU],
        needed: "inputs and an output of one type: int8, uint8 or float32",
        broken: |site| {
            operands::one_type_of(site, &[Element::INT8, Element::UINT8, Element::FLOAT32])
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::SQUARED_DIFFERENCE],
        needed: "inputs and an output of one type: int8, float32, int32 or int64",
        broken: |site| {
            let types = [
                Element::INT8,
                Element::FLOAT32,
                Element::INT32,
                Element::INT64,
            ];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[
            Opcode::ADD,
            Opcode::MAXIMUM,
            Opcode::MINIMUM,
            Opcode::MUL,
            Opcode::SUB,
        ],
        needed: "inputs and an output of one type: int8, uint8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, NUMBERS),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::ADD_N],
        needed: "inputs and an output of one type: float32 or int32",
        broken: |site| operands::one_type_of(site, &[Element::FLOAT32, Element::INT32]),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::DIV],
        needed: "inputs and an output of one type: int8, uint8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, NUMBERS),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::FLOOR_DIV, Opcode::FLOOR_MOD],
        needed: "inputs and an output of one type: int8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, STORED),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::EQUAL, Opcode::NOT_EQUAL],
        needed: "inputs of one type: int8, uint8, int16, float32, int32, int64 or bool, and a bool output",
        broken: |site| {
            let types = [NUMBERS, &[Element::BOOL]].concat();
            operands::types_from_to(site, &types, Element::BOOL)
        },
    },
    Constraint {
        name: "types",
        operators: COMPARING,
        needed: "inputs of one type: int8, uint8, int16, float32, int32 or int64, and a bool output",
        broken: |site| operands::types_from_to(site, NUMBERS, Element::BOOL),
    },
    Constraint {
        name: "types",
        operators: LOGICAL,
        needed: "bool inputs and a bool output",
        broken: |site| operands::one_type_of(site, &[Element::BOOL]),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::SQUARE],
        needed: "an input and an output of one type: float32, int32 or int64",
        broken: |site| operands::one_type_of(site, UNSCALED),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::NEG],
        needed: "an input and an output of one type: int8, int16, float32, int32 or int64",
        broken: |site| operands::one_type_of(site, STORED),
    },
    Constraint {
        name: "types",
        operators: &[Opcode::RESIZE_BILINEAR],
        needed: "an input and an output of one type: int8, uint8, int16 or float32",
        broken: |site| {
            let types = [
                Element::INT8,
                Element::UINT8,
                Element::INT16,
                Element::FLOAT32,
            ];
            operands::one_type_of(site, &types)
        },
    },
    Constraint {
        name: "types",
        operators: &[Opcode::SHAPE, Opcode::RANK],
        needed: "an int32 or int64 output",
        broken: operands::integer_output,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::GATHER, Opcode::GATHER_ND],
        needed: "int16, int32 or int64 indices",
        broken: operands::indices,
    },
    Constraint {
        name: "types",
        operators: &[
            Opcode::BATCH_TO_SPACE_ND,
            Opcode::BROADCAST_TO,
            Opcode::CONCATENATION,
            Opcode::DEPTH_TO_SPACE,
            Opcode::EXPAND_DIMS,
            Opcode::FILL,
            Opcode::GATHER,
            Opcode::GATHER_ND,
            Opcode::MIRROR_PAD,
            Opcode::PACK,
            Opcode::PAD,
            Opcode::PADV2,
            Opcode::RESHAPE,
            Opcode::RESIZE_NEAREST_NEIGHBOR,
            Opcode::REVERSE_V2,
            Opcode::SLICE,
            Opcode::SPACE_TO_BATCH_ND,
            Opcode::SPACE_TO_DEPTH,
            Opcode::SPLIT,
            Opcode::SPLIT_V,
            Opcode::SQUEEZE,
            Opcode::STRIDED_SLICE,
            Opcode::TILE,
            Opcode::TRANSPOSE,
            Opcode::UNPACK,
            Opcode::ZEROS_LIKE,
        ],
        needed: "inputs and outputs of one type of 1, 2, 4 or 8 bytes",
        broken: operands::one_plain_type,
    },
    Constraint {
        name: "arguments",
        operators: MOVING_BY_ARGUMENTS,
        needed: "constant int32 or int64 arguments",
        broken: operands::arguments,
    },
    Constraint {
        name: "numerics",
        operators: &[
            Opcode::AVERAGE_POOL_2D,
            Opcode::ELU,
            Opcode::EXP,
            Opcode::FULLY_CONNECTED,
            Opcode::HARD_SWISH,
            Opcode::L2_NORMALIZATION,
            Opcode::LEAKY_RELU,
            Opcode::LOG,
            Opcode::LOGISTIC,
            Opcode::LOG_SOFTMAX,
            Opcode::MAX_POOL_2D,
            Opcode::MEAN,
            Opcode::NEG,
            Opcode::QUANTIZE,
            Opcode::RESIZE_BILINEAR,
            Opcode::ROUND,
            Opcode::RSQRT,
            Opcode::SOFTMAX,
            Opcode::SQRT,
            Opcode::SUM,
            Opcode::TANH,
            Opcode::TRANSPOSE_CONV,
        ],
        needed: "for xnnpack's numerics what LiteRT gives to XNNPACK, and is the same on every processor",
        broken: support::numerics,
    },
    Constraint {
        name: "empty tensor",
        operators: &[],
        needed: "activations and weights without a dimension of 0",
        broken: shapes::empty,
    },
    Constraint {
        name: "rank",
        operators: WINDOWED,
        needed: "four-dimensional activations and weights (NHWC)",
        broken: shapes::rank_4,
    },
    Constraint {
        name: "rank",
        operators: &[
            Opcode::ADD_N,
            Opcode::MEAN,
            Opcode::PAD,
            Opcode::PADV2,
            Opcode::REDUCE_MAX,
            Opcode::REDUCE_MIN,
            Opcode::SELECT,
            Opcode::SELECT_V2,
            Opcode::SUM,
        ],
        needed: "at most 6 dimensions",
        broken: shapes::rank_at_most_6,
    },
    Constraint {
        name: "rank",
        operators: BROADCASTING,
        needed: "at most 6 dimensions",
        broken: shapes::rank_at_most_6,
    },
    Constraint {
        name: "rank",
        operators: &[Opcode::RESIZE_BILINEAR, Opcode::RESIZE_NEAREST_NEIGHBOR],
        needed: "a four-dimensional input and output (NHWC)",
        broken: shapes::rank_4,
    },
    Constraint {
        name: "rank",
        operators: &[
            Opcode::L2_NORMALIZATION,
            Opcode::LOG_SOFTMAX,
            Opcode::SOFTMAX,
        ],
        needed: "at least one dimension",
        broken: shapes::rank_at_least_1,
    },
    Constraint {
        name: "quantisation",
        operators: &[],
        needed: "quantised activations with one scale above 0 and one zero point within the type",
        broken: quantisation::activations,
    },
    Constraint {
        name: "fused activation",
        operators: ACTIVATED,
        needed: "NONE, RELU, RELU_N1_TO_1 or RELU6",
        broken: support::activation,
    },
    Constraint {
        name: "window",
        operators: WINDOWED,
        needed: "a window, strides and dilations of at least 1",
        broken: support::window,
    },
    Constraint {
        name: "weights",
        operators: WEIGHTED,
        needed: "constant weights of the input's type, or of int8 for int16",
        broken: operands::weights,
    },
    Constraint {
        name: "weight layout",
        operators: &[Opcode::FULLY_CONNECTED],
        needed: "weights in the default format, not shuffled",
        broken: support::weight_format,
    },
    Constraint {
        name: "weight shape",
        operators: &[Opcode::CONV_2D],
        needed: "filters whose channels divide the input's into groups, and as many filters for each group",
        broken: shapes::conv_channels,
    },
    Constraint {
        name: "weight shape",
        operators: &[Opcode::DEPTHWISE_CONV_2D],
        needed: "filters [1, height, width, channels] with channels a multiple of the input's",
        broken: shapes::depthwise_channels,
    },
    Constraint {
        name: "weight shape",
        operators: &[Opcode::FULLY_CONNECTED],
        needed: "weights [units, depth] with the input's elements a multiple of depth",
        broken: shapes::fully_connected_depth,
    },
    Constraint {
        name: "weight quantisation",
        operators: WEIGHTED,
        needed: "one scale, or for int8 one for each output channel, all above 0, and zero points within the type",
        broken: quantisation::weights,
    },
    Constraint {
        name: "weight zero point",
        operators: WEIGHTED,
        needed: "zero points of 0 for int8 convolutions and for per-channel weights",
        broken: quantisation::symmetric_weights,
    },
    Constraint {
        name: "bias",
        operators: WEIGHTED,
        needed: "no bias, or a constant int32 one, for int16 int64, with an element for each output channel",
        broken: operands::bias,
    },
    Constraint {
        name: "bias scale",
        operators: WEIGHTED,
        needed: "a bias scale within 2 % of an output step of input scale times weight scale",
        broken: quantisation::bias_scale,
    },
    Constraint {
        name: "softmax quantisation",
        operators: &[Opcode::SOFTMAX],
        needed: "for int8 an output scale of 1/256 and a zero point of -128, for int16 by int16 1/32768 and 0",
        broken: quantisation::softmax_output,
    },
    Constraint {
        name: "output quantisation",
        operators: &[Opcode::LOGISTIC],
        needed: "an output scale of 1/256, and the least value of the type as its zero point",
        broken: |site| quantisation::fixed_output(site, (1.0 / 256.0, -128), (1.0 / 256.0, 0)),
    },
    Constraint {
        name: "wide quantisation",
        operators: &[Opcode::LOGISTIC, Opcode::TANH],
        needed: "for int16 zero points of 0 and an output scale of 1/32768",
        broken: quantisation::wide_function,
    },
    Constraint {
        name: "wide quantisation",
        operators: &[
            Opcode::AVERAGE_POOL_2D,
            Opcode::ABS,
            Opcode::BATCH_MATMUL,
            Opcode::DIV,
            Opcode::EXP,
            Opcode::LEAKY_RELU,
            Opcode::LOG,
            Opcode::MAX_POOL_2D,
            Opcode::MEAN,
            Opcode::RELU,
            Opcode::RELU6,
            Opcode::RSQRT,
            Opcode::SUM,
        ],
        needed: "for int16 zero points of 0",
        broken: quantisation::wide_zero_points,
    },
    Constraint {
        name: "output quantisation",
        operators: &[Opcode::L2_NORMALIZATION],
        needed: "an output scale of 1/128, and 0 or 128 amid the type as its zero point",
        broken: |site| quantisation::fixed_output(site, (1.0 / 128.0, 0), (1.0 / 128.0, 128)),
    },
    Constraint {
        name: "output quantisation",
        operators: &[Opcode::LOG_SOFTMAX],
        needed: "an output scale of 1/16, and the largest value of the type as its zero point",
        broken: |site| quantisation::fixed_output(site, (1.0 / 16.0, 127), (1.0 / 16.0, 255)),
    },
    Constraint {
        name: "scales",
        operators: &[Opcode::ADD, Opcode::SUB],
        needed: "for int16 whose scales are all powers of two, and pot_scale_int16: one input in the output's steps, the other in none larger, and for ADD inputs of one shape",
        broken: quantisation::shifted,
    },
    Constraint {
        name: "quotient",
        operators: &[Opcode::DIV],
        needed: "for quantised types an output step of 2⁻⁶ to 2⁻²³ of the ratio of the input steps, for int16 2⁻¹³ to 2⁻¹⁵, outside of which TFLite's arithmetic is undefined",
        broken: quantisation::quotient,
    },
    Constraint {
        name: "axes",
        operators: &[
            Opcode::MEAN,
            Opcode::REDUCE_MAX,
            Opcode::REDUCE_MIN,
            Opcode::SUM,
        ],
        needed: "constant int32 axes within the input's rank",
        broken: operands::axes,
    },
    Constraint {
        name: "paddings",
        operators: PADDING,
        needed: "constant int32 or int64 paddings of shape [rank, 2], none below 0",
        broken: operands::paddings,
    },
    Constraint {
        name: "padding value",
        operators: &[Opcode::PADV2],
        needed: "one constant of the input's type and of the output's quantisation",
        broken: operands::padding_value,
    },
    Constraint {
        name: "new shape",
        operators: RESHAPING,
        needed: "a shape known before the run, with as many elements as the input",
        broken: shapes::reshaping,
    },
    Constraint {
        name: "output shape",
        operators: &[],
        needed: "the output shape that follows from the inputs",
        broken: shapes::output,
    },
];

/// What the arguments of an operator that moves elements are found to be when it is lowered.
pub const ARGUMENTS: Constraint = Constraint {
    name: "arguments",
    operators: MOVING,
    needed: "arguments and attributes that TFLite allows for these shapes, and the output shape that follows",
    broken: |_| None,
};

/// What remains after [`CONSTRAINTS`]: sizes and ratios that don't fit the program's fields.
pub const LIMITS: Constraint = Constraint {
    name: "limits",
    operators: &[],
    needed: "sizes and scale ratios within the APU's limits",
    broken: |_| None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_operators_stand_in_order_and_once() {
        let names: Vec<String> = support::SUPPORTED
            .iter()
            .map(|kind| kind.opcode.to_string())
            .collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
