//! The kinds of operators, by their numbers in the schema's `BuiltinOperator`.

use std::fmt;

/// Kind of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub i32);

#[allow(missing_docs)]
impl Opcode {
    pub const ABS: Self = Self(101);
    pub const ADD: Self = Self(0);
    pub const ADD_N: Self = Self(106);
    pub const ARG_MAX: Self = Self(56);
    pub const ARG_MIN: Self = Self(79);
    pub const ASSIGN_VARIABLE: Self = Self(144);
    pub const AVERAGE_POOL_2D: Self = Self(1);
    pub const BATCH_MATMUL: Self = Self(126);
    pub const BATCH_TO_SPACE_ND: Self = Self(37);
    pub const BROADCAST_TO: Self = Self(130);
    pub const CALL_ONCE: Self = Self(129);
    pub const CAST: Self = Self(53);
    pub const CEIL: Self = Self(104);
    pub const CONCATENATION: Self = Self(2);
    pub const CONV_2D: Self = Self(3);
    pub const CUSTOM: Self = Self(32);
    /// The custom operator of that name; the schema has no number for it.
    pub const DETECTION_POSTPROCESS: Self = Self(-1);
    pub const DEPTHWISE_CONV_2D: Self = Self(4);
    pub const DEPTH_TO_SPACE: Self = Self(5);
    pub const DEQUANTIZE: Self = Self(6);
    pub const DIV: Self = Self(42);
    pub const ELU: Self = Self(111);
    pub const EQUAL: Self = Self(71);
    pub const EXP: Self = Self(47);
    pub const EXPAND_DIMS: Self = Self(70);
    pub const FILL: Self = Self(94);
    pub const FLOOR: Self = Self(8);
    pub const FLOOR_DIV: Self = Self(90);
    pub const FLOOR_MOD: Self = Self(95);
    pub const FULLY_CONNECTED: Self = Self(9);
    pub const GATHER: Self = Self(36);
    pub const GATHER_ND: Self = Self(107);
    pub const GELU: Self = Self(150);
    pub const GREATER: Self = Self(61);
    pub const GREATER_EQUAL: Self = Self(62);
    pub const HARD_SWISH: Self = Self(117);
    pub const L2_NORMALIZATION: Self = Self(11);
    pub const LEAKY_RELU: Self = Self(98);
    pub const LESS: Self = Self(58);
    pub const LESS_EQUAL: Self = Self(63);
    pub const LOG: Self = Self(73);
    pub const LOGICAL_AND: Self = Self(86);
    pub const LOGICAL_NOT: Self = Self(87);
    pub const LOGICAL_OR: Self = Self(84);
    pub const LOGISTIC: Self = Self(14);
    pub const LOG_SOFTMAX: Self = Self(50);
    pub const MAXIMUM: Self = Self(55);
    pub const MAX_POOL_2D: Self = Self(17);
    pub const MEAN: Self = Self(40);
    pub const MINIMUM: Self = Self(57);
    pub const MIRROR_PAD: Self = Self(100);
    pub const MUL: Self = Self(18);
    pub const NEG: Self = Self(59);
    pub const NOT_EQUAL: Self = Self(72);
    pub const PACK: Self = Self(83);
    pub const PAD: Self = Self(34);
    pub const PADV2: Self = Self(60);
    pub const PRELU: Self = Self(54);
    pub const QUANTIZE: Self = Self(114);
    pub const RANK: Self = Self(110);
    pub const READ_VARIABLE: Self = Self(143);
    pub const REDUCE_MAX: Self = Self(82);
    pub const REDUCE_MIN: Self = Self(89);
    pub const RELU: Self = Self(19);
    pub const RELU_0_TO_1: Self = Self(152);
    pub const RELU6: Self = Self(21);
    pub const RELU_N1_TO_1: Self = Self(20);
    pub const RESHAPE: Self = Self(22);
    pub const RESIZE_BILINEAR: Self = Self(23);
    pub const RESIZE_NEAREST_NEIGHBOR: Self = Self(97);
    pub const REVERSE_V2: Self = Self(105);
    pub const ROUND: Self = Self(116);
    pub const RSQRT: Self = Self(76);
    pub const SELECT: Self = Self(64);
    pub const SELECT_V2: Self = Self(123);
    pub const SHAPE: Self = Self(77);
    pub const SLICE: Self = Self(65);
    pub const SOFTMAX: Self = Self(25);
    pub const SPACE_TO_BATCH_ND: Self = Self(38);
    pub const SPACE_TO_DEPTH: Self = Self(26);
    pub const SPLIT: Self = Self(49);
    pub const SPLIT_V: Self = Self(102);
    pub const SQRT: Self = Self(75);
    pub const SQUARE: Self = Self(92);
    pub const SQUARED_DIFFERENCE: Self = Self(99);
    pub const SQUEEZE: Self = Self(43);
    pub const STRIDED_SLICE: Self = Self(45);
    pub const SUB: Self = Self(41);
    pub const SUM: Self = Self(74);
    pub const SVDF: Self = Self(27);
    pub const TANH: Self = Self(28);
    pub const TILE: Self = Self(69);
    pub const TRANSPOSE: Self = Self(39);
    pub const TRANSPOSE_CONV: Self = Self(67);
    pub const UNIDIRECTIONAL_SEQUENCE_LSTM: Self = Self(44);
    pub const UNPACK: Self = Self(88);
    pub const VAR_HANDLE: Self = Self(142);
    pub const ZEROS_LIKE: Self = Self(93);
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::DETECTION_POSTPROCESS {
            return f.write_str("TFLite_Detection_PostProcess");
        }
        match usize::try_from(self.0).ok().and_then(|i| NAMES.get(i)) {
            Some(name) => f.write_str(name),
            None => write!(f, "BUILTIN_{}", self.0),
        }
    }
}

/// The schema's names, in the order of their numbers.
#[rustfmt::skip]
const NAMES: [&str; 210] = [
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
    "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU",
    "RELU_N1_TO_1", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH",
    "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB",
    "DIV", "SQUEEZE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2",
    "SPLIT", "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM", "ARG_MAX",
    "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT", "SLICE", "SIN",
    "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT",
    "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT", "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT",
    "LOGICAL_AND", "LOGICAL_NOT", "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL",
    "FLOOR_MOD", "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS",
    "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU",
    "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF", "WHILE",
    "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM",
    "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM", "CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D",
    "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL",
    "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "ATAN2", "UNSORTED_SEGMENT_MIN", "SIGN",
    "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_LOGISTIC", "STABLEHLO_ADD", "STABLEHLO_DIVIDE",
    "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE",
    "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE", "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_REDUCE", "STABLEHLO_ABS", "STABLEHLO_AND", "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER",
    "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT", "STABLEHLO_SUBTRACT", "STABLEHLO_TANH",
    "STABLEHLO_SCATTER", "STABLEHLO_COMPARE", "STABLEHLO_CONVERT", "STABLEHLO_DYNAMIC_SLICE",
    "STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_PAD", "STABLEHLO_IOTA", "STABLEHLO_DOT_GENERAL",
    "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SORT", "STABLEHLO_WHILE", "STABLEHLO_GATHER", "STABLEHLO_TRANSPOSE",
    "DILATE", "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE", "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT", "STABLEHLO_CASE",
];
