//! Which kinds of operators there are, and with which attributes.

use super::Site;
use crate::{
    Numerics,
    graph::{Element, Opcode, Options},
    legalise::{wide_functions, xnnpack},
};

/// A kind of operator that can be placed, and what its operands are.
pub struct Kind {
    /// Its number.
    pub opcode: Opcode,
    /// Least and most inputs; those behind the least may be left out.
    pub inputs: (usize, usize),
    /// Least and most outputs.
    pub outputs: (usize, usize),
    /// The first input that carries activations, and the first behind them that doesn't.
    pub data: (usize, usize),
    /// Likewise of those that are kept from run to run.
    pub state: (usize, usize),
}

/// Any number of operands.
const MANY: usize = usize::MAX;

const fn unary(opcode: Opcode) -> Kind {
    with_arguments(opcode, 1, 1)
}

const fn binary(opcode: Opcode) -> Kind {
    Kind {
        data: (0, 2),
        ..with_arguments(opcode, 2, 2)
    }
}

/// One input with activations, then others that say what to do with it.
const fn with_arguments(opcode: Opcode, least: usize, most: usize) -> Kind {
    Kind {
        opcode,
        inputs: (least, most),
        outputs: (1, 1),
        data: (0, 1),
        state: (0, 0),
    }
}

/// Any number of inputs with activations.
const fn gathering(opcode: Opcode) -> Kind {
    Kind {
        opcode,
        inputs: (1, MANY),
        outputs: (1, 1),
        data: (0, MANY),
        state: (0, 0),
    }
}

/// Parts of one input.
const fn splitting(opcode: Opcode, inputs: usize, data: usize) -> Kind {
    Kind {
        opcode,
        inputs: (inputs, inputs),
        outputs: (1, MANY),
        data: (data, data + 1),
        state: (0, 0),
    }
}

/// A condition, then two inputs with activations.
const fn selecting(opcode: Opcode) -> Kind {
    Kind {
        data: (1, 3),
        ..with_arguments(opcode, 3, 3)
    }
}

/// The output's shape, weights, the input, and perhaps a bias.
const fn transposing(opcode: Opcode) -> Kind {
    Kind {
        data: (2, 3),
        ..with_arguments(opcode, 3, 4)
    }
}

/// The kinds that can be placed, by name.
pub const SUPPORTED: &[Kind] = &[
    unary(Opcode::ABS),
    binary(Opcode::ADD),
    Kind {
        inputs: (2, MANY),
        ..gathering(Opcode::ADD_N)
    },
    with_arguments(Opcode::ARG_MAX, 2, 2),
    with_arguments(Opcode::ARG_MIN, 2, 2),
    Kind {
        outputs: (0, 0),
        data: (1, 2),
        state: (0, 1),
        ..with_arguments(Opcode::ASSIGN_VARIABLE, 2, 2)
    },
    unary(Opcode::AVERAGE_POOL_2D),
    binary(Opcode::BATCH_MATMUL),
    with_arguments(Opcode::BATCH_TO_SPACE_ND, 3, 3),
    with_arguments(Opcode::BROADCAST_TO, 2, 2),
    Kind {
        outputs: (0, 0),
        ..with_arguments(Opcode::CALL_ONCE, 0, 0)
    },
    unary(Opcode::CAST),
    unary(Opcode::CEIL),
    gathering(Opcode::CONCATENATION),
    with_arguments(Opcode::CONV_2D, 2, 3),
    with_arguments(Opcode::DEPTHWISE_CONV_2D, 2, 3),
    unary(Opcode::DEPTH_TO_SPACE),
    unary(Opcode::DEQUANTIZE),
    binary(Opcode::DIV),
    unary(Opcode::ELU),
    binary(Opcode::EQUAL),
    unary(Opcode::EXP),
    with_arguments(Opcode::EXPAND_DIMS, 2, 2),
    Kind {
        data: (1, 2),
        ..with_arguments(Opcode::FILL, 2, 2)
    },
    unary(Opcode::FLOOR),
    binary(Opcode::FLOOR_DIV),
    binary(Opcode::FLOOR_MOD),
    with_arguments(Opcode::FULLY_CONNECTED, 2, 3),
    with_arguments(Opcode::GATHER, 2, 2),
    with_arguments(Opcode::GATHER_ND, 2, 2),
    unary(Opcode::GELU),
    binary(Opcode::GREATER),
    binary(Opcode::GREATER_EQUAL),
    unary(Opcode::HARD_SWISH),
    unary(Opcode::L2_NORMALIZATION),
    unary(Opcode::LEAKY_RELU),
    binary(Opcode::LESS),
    binary(Opcode::LESS_EQUAL),
    unary(Opcode::LOG),
    binary(Opcode::LOGICAL_AND),
    unary(Opcode::LOGICAL_NOT),
    binary(Opcode::LOGICAL_OR),
    unary(Opcode::LOGISTIC),
    unary(Opcode::LOG_SOFTMAX),
    binary(Opcode::MAXIMUM),
    unary(Opcode::MAX_POOL_2D),
    with_arguments(Opcode::MEAN, 2, 2),
    binary(Opcode::MINIMUM),
    with_arguments(Opcode::MIRROR_PAD, 2, 2),
    binary(Opcode::MUL),
    unary(Opcode::NEG),
    binary(Opcode::NOT_EQUAL),
    gathering(Opcode::PACK),
    with_arguments(Opcode::PAD, 2, 2),
    with_arguments(Opcode::PADV2, 3, 3),
    binary(Opcode::PRELU),
    unary(Opcode::QUANTIZE),
    unary(Opcode::RANK),
    Kind {
        state: (0, 1),
        ..unary(Opcode::READ_VARIABLE)
    },
    with_arguments(Opcode::REDUCE_MAX, 2, 2),
    with_arguments(Opcode::REDUCE_MIN, 2, 2),
    unary(Opcode::RELU),
    unary(Opcode::RELU6),
    unary(Opcode::RELU_0_TO_1),
    unary(Opcode::RELU_N1_TO_1),
    with_arguments(Opcode::RESHAPE, 1, 2),
    with_arguments(Opcode::RESIZE_BILINEAR, 2, 2),
    with_arguments(Opcode::RESIZE_NEAREST_NEIGHBOR, 2, 2),
    with_arguments(Opcode::REVERSE_V2, 2, 2),
    unary(Opcode::ROUND),
    unary(Opcode::RSQRT),
    selecting(Opcode::SELECT),
    selecting(Opcode::SELECT_V2),
    unary(Opcode::SHAPE),
    with_arguments(Opcode::SLICE, 3, 3),
    unary(Opcode::SOFTMAX),
    with_arguments(Opcode::SPACE_TO_BATCH_ND, 3, 3),
    unary(Opcode::SPACE_TO_DEPTH),
    splitting(Opcode::SPLIT, 2, 1),
    splitting(Opcode::SPLIT_V, 3, 0),
    unary(Opcode::SQRT),
    unary(Opcode::SQUARE),
    binary(Opcode::SQUARED_DIFFERENCE),
    unary(Opcode::SQUEEZE),
    with_arguments(Opcode::STRIDED_SLICE, 4, 4),
    binary(Opcode::SUB),
    with_arguments(Opcode::SUM, 2, 2),
    Kind {
        state: (4, 5),
        ..with_arguments(Opcode::SVDF, 5, 5)
    },
    unary(Opcode::TANH),
    Kind {
        opcode: Opcode::DETECTION_POSTPROCESS,
        inputs: (3, 3),
        outputs: (4, 4),
        data: (0, 3),
        state: (0, 0),
    },
    with_arguments(Opcode::TILE, 2, 2),
    with_arguments(Opcode::TRANSPOSE, 2, 2),
    transposing(Opcode::TRANSPOSE_CONV),
    Kind {
        state: (18, 20),
        ..with_arguments(Opcode::UNIDIRECTIONAL_SEQUENCE_LSTM, 20, 24)
    },
    splitting(Opcode::UNPACK, 1, 0),
    with_arguments(Opcode::VAR_HANDLE, 0, 0),
    unary(Opcode::ZEROS_LIKE),
];

/// The row of a kind, if it can be placed.
pub(crate) fn kind(opcode: Opcode) -> Option<&'static Kind> {
    SUPPORTED.iter().find(|kind| kind.opcode == opcode)
}

pub(super) fn operator(site: &Site) -> Option<String> {
    let opcode = site.operator.opcode;
    kind(opcode).is_none().then(|| match &site.operator.custom {
        Some(name) if opcode == Opcode::CUSTOM => format!("CUSTOM \"{name}\"{}", origin(name)),
        _ => opcode.to_string(),
    })
}

/// What is known of whoever makes operators of this name.
fn origin(name: &str) -> &'static str {
    match name {
        "ethos-u" | "edgetpu-custom-op" | "NeutronGraph" => {
            ", which a compiler for another accelerator made; take the model as it was before that"
        }
        _ => "",
    }
}

pub(super) fn detection(site: &Site) -> Option<String> {
    match site.operator.options {
        Options::Detection(d) if d.regular && d.per_class == 0 => {
            Some("regular suppression that keeps nothing".into())
        }
        Options::Detection(d) if d.classes_per_detection != 1 => {
            Some(format!("{} classes a detection", d.classes_per_detection))
        }
        Options::Detection(_) => None,
        _ => Some("no attributes".into()),
    }
}

/// Where XNNPACK's result depends on the processor, or LiteRT's is neither XNNPACK's nor TFLite's.
pub(super) fn numerics(site: &Site) -> Option<String> {
    let element = site.activations_in().next()?.element;
    let unlike = match site.operator.opcode {
        Opcode::TRANSPOSE_CONV => element.range8().is_some() && !xnnpack::takes(site),
        Opcode::FULLY_CONNECTED => element == Element::INT16,
        // That from the tables of the optimised kernel.
        Opcode::SOFTMAX if site.output()?.element == Element::INT16 => element.range8().is_some(),
        Opcode::LOGISTIC | Opcode::TANH if element == Element::INT16 => {
            wide_functions::is_shifted(site.input(0)?.per_tensor()?.0)
        }
        Opcode::QUANTIZE => element == Element::FLOAT32 && site.output()?.element == Element::INT16,
        _ => element == Element::FLOAT32,
    };
    (site.numerics == Numerics::Xnnpack && unlike).then(|| element.name().into())
}

/// Approximations of Eigen's, which multiplies and adds in one step where the processor can, in either path.
pub(super) fn transcendental(site: &Site) -> Option<String> {
    let input = site.input(0)?;
    (input.element == Element::FLOAT32).then(|| input.element.name().into())
}

pub(super) fn activation(site: &Site) -> Option<String> {
    let activation = site.activation();
    activation
        .interval()
        .is_none()
        .then(|| activation.name().into())
}

pub(super) fn window(site: &Site) -> Option<String> {
    site.window()
        .is_none()
        .then(|| format!("{:?}", site.operator.options))
}

pub(super) fn weight_format(site: &Site) -> Option<String> {
    matches!(
        site.operator.options,
        Options::FullyConnected { shuffled: true, .. }
    )
    .then(|| "shuffled weights".into())
}
