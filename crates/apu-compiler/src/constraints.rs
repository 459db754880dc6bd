//! What an operator must be like to run on the APU: the table that places operators, words the
//! reason when one can't be placed, and documents what is supported.

mod site;

mod operands;
mod quantisation;
mod shapes;
mod support;

pub(crate) use site::Site;
pub use support::SUPPORTED;

use crate::graph::Opcode;

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
}

impl Constraint {
    pub(crate) fn refuse(&self, got: impl Into<String>) -> Refusal {
        Refusal {
            constraint: self.name,
            got: got.into(),
            needed: self.needed,
        }
    }

    fn applies_to(&self, opcode: Opcode) -> bool {
        self.operators.is_empty() || self.operators.contains(&opcode)
    }
}

/// The first constraint that the operator breaks.
pub(crate) fn check(site: &Site) -> Result<(), Refusal> {
    for constraint in CONSTRAINTS
        .iter()
        .filter(|c| c.applies_to(site.operator.opcode))
    {
        if let Some(got) = (constraint.broken)(site) {
            return Err(constraint.refuse(got));
        }
    }
    Ok(())
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
/// Kinds that compute with 8-bit activations.
const ARITHMETIC: &[Opcode] = &[
    Opcode::ADD,
    Opcode::AVERAGE_POOL_2D,
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::FULLY_CONNECTED,
    Opcode::MAX_POOL_2D,
    Opcode::MEAN,
    Opcode::SOFTMAX,
];
/// Kinds that only give the same elements another shape.
const RESHAPING: &[Opcode] = &[Opcode::RESHAPE, Opcode::SQUEEZE, Opcode::EXPAND_DIMS];
/// Kinds that fill the edges.
const PADDING: &[Opcode] = &[Opcode::PAD, Opcode::PADV2];
/// Kinds with a fused activation.
const ACTIVATED: &[Opcode] = &[
    Opcode::ADD,
    Opcode::AVERAGE_POOL_2D,
    Opcode::CONV_2D,
    Opcode::DEPTHWISE_CONV_2D,
    Opcode::FULLY_CONNECTED,
    Opcode::MAX_POOL_2D,
];

/// The table, in the order in which it is checked: a later constraint may rely on an earlier one.
pub const CONSTRAINTS: &[Constraint] = &[
    Constraint {
        name: "operator",
        operators: &[],
        needed: "ADD, AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, EXPAND_DIMS, FULLY_CONNECTED, \
                 MAX_POOL_2D, MEAN, PAD, PADV2, QUANTIZE, RESHAPE, SOFTMAX or SQUEEZE",
        broken: support::operator,
    },
    Constraint {
        name: "operand count",
        operators: &[],
        needed: "the inputs that TFLite defines for it, and one output",
        broken: operands::count,
    },
    Constraint {
        name: "storage",
        operators: &[],
        needed: "dense tensors that are not variables",
        broken: operands::storage,
    },
    Constraint {
        name: "types",
        operators: ARITHMETIC,
        needed: "activations that are all int8 or all uint8",
        broken: operands::one_8bit_type,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::QUANTIZE],
        needed: "a float32, int8 or uint8 input and an int8 or uint8 output",
        broken: operands::quantize_types,
    },
    Constraint {
        name: "types",
        operators: &[Opcode::DEQUANTIZE],
        needed: "an int8 or uint8 input and a float32 output",
        broken: operands::dequantize_types,
    },
    Constraint {
        name: "types",
        operators: &[
            Opcode::RESHAPE,
            Opcode::SQUEEZE,
            Opcode::EXPAND_DIMS,
            Opcode::PAD,
            Opcode::PADV2,
        ],
        needed: "an input and an output of one type of 1, 2, 4 or 8 bytes",
        broken: operands::one_plain_type,
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
        operators: &[Opcode::ADD, Opcode::PAD, Opcode::PADV2, Opcode::MEAN],
        needed: "at most 6 dimensions",
        broken: shapes::rank_at_most_6,
    },
    Constraint {
        name: "rank",
        operators: &[Opcode::SOFTMAX],
        needed: "at least one dimension",
        broken: shapes::rank_at_least_1,
    },
    Constraint {
        name: "quantisation",
        operators: &[],
        needed: "8-bit activations with one scale above 0 and one zero point within the type",
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
        needed: "constant weights of the input's type",
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
        needed: "as many channels in each filter as in the input (no groups)",
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
        needed: "no bias, or a constant int32 one with an element for each output channel",
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
        needed: "for int8 an output scale of 1/256 and a zero point of -128",
        broken: quantisation::softmax_output,
    },
    Constraint {
        name: "axes",
        operators: &[Opcode::MEAN],
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
    fn the_first_constraint_names_every_supported_operator() {
        let named: Vec<&str> = CONSTRAINTS[0]
            .needed
            .split([',', ' '])
            .filter(|w| !w.is_empty() && *w != "or")
            .collect();
        let supported: Vec<String> = support::SUPPORTED.iter().map(ToString::to_string).collect();
        assert_eq!(named, supported);
    }
}
