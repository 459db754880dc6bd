//! An operator's attributes, from the runtime's structures to the compiler's: one row for each
//! kind that the compiler can place.

use apu_compiler::graph::{Activation, Opcode, Options, Padding, Sliding};
use tflite_delegate::{Node, params};

/// Reads one kind's attributes; `None` when the node has none.
type Read = fn(&Node) -> Option<Options>;

const ROWS: &[(Opcode, Read)] = &[
    (Opcode::ADD, |node| node.params().map(add)),
    (Opcode::AVERAGE_POOL_2D, |node| node.params().map(pool_2d)),
    (Opcode::CONV_2D, |node| node.params().map(conv_2d)),
    (Opcode::DEPTHWISE_CONV_2D, |node| {
        node.params().map(depthwise_conv_2d)
    }),
    (Opcode::DEQUANTIZE, nothing),
    (Opcode::EXPAND_DIMS, nothing),
    (Opcode::FULLY_CONNECTED, |node| {
        node.params().map(fully_connected)
    }),
    (Opcode::MAX_POOL_2D, |node| node.params().map(pool_2d)),
    (Opcode::MEAN, nothing),
    (Opcode::PAD, nothing),
    (Opcode::PADV2, nothing),
    (Opcode::QUANTIZE, nothing),
    (Opcode::RESHAPE, nothing),
    (Opcode::SOFTMAX, |node| node.params().map(softmax)),
    (Opcode::SQUEEZE, nothing),
];

/// The attributes of a node; `None` when there is no row for its kind, or it lacks them.
pub(crate) fn read(node: &Node) -> Option<Options> {
    let row = ROWS
        .iter()
        .find(|(opcode, _)| opcode.0 == node.operator())?;
    row.1(node)
}

/// For kinds whose operands say all that their attributes do.
fn nothing(_: &Node) -> Option<Options> {
    Some(Options::None)
}

fn add(params: params::Add) -> Options {
    Options::Add {
        activation: activation(params.activation),
    }
}

fn conv_2d(params: params::Conv) -> Options {
    Options::Conv2d {
        sliding: Sliding {
            padding: padding(params.padding),
            stride: [params.stride_height, params.stride_width],
            dilation: [params.dilation_height, params.dilation_width],
        },
        activation: activation(params.activation),
    }
}

fn depthwise_conv_2d(params: params::DepthwiseConv) -> Options {
    Options::DepthwiseConv2d {
        sliding: Sliding {
            padding: padding(params.padding),
            stride: [params.stride_height, params.stride_width],
            dilation: [params.dilation_height, params.dilation_width],
        },
        activation: activation(params.activation),
    }
}

fn pool_2d(params: params::Pool) -> Options {
    Options::Pool2d {
        sliding: Sliding {
            padding: padding(params.padding),
            stride: [params.stride_height, params.stride_width],
            dilation: [1, 1],
        },
        filter: [params.filter_height, params.filter_width],
        activation: activation(params.activation),
    }
}

fn fully_connected(params: params::FullyConnected) -> Options {
    Options::FullyConnected {
        activation: activation(params.activation),
        shuffled: params.weights_format != 0,
        keep_num_dims: params.keep_num_dims != 0,
    }
}

fn softmax(params: params::Softmax) -> Options {
    Options::Softmax { beta: params.beta }
}

/// The runtime numbers activations as the schema does.
fn activation(number: i32) -> Activation {
    Activation(i8::try_from(number).unwrap_or(i8::MAX))
}

fn padding(number: i32) -> Padding {
    if number == params::PADDING_SAME {
        Padding::Same
    } else {
        Padding::Valid
    }
}

#[cfg(test)]
mod tests {
    use apu_compiler::constraints::SUPPORTED;

    use super::*;

    #[test]
    fn every_kind_that_the_compiler_places_has_a_row() {
        let missing = |opcode: &&Opcode| !ROWS.iter().any(|(known, _)| known == *opcode);
        let missing: Vec<String> = SUPPORTED
            .iter()
            .filter(missing)
            .map(Opcode::to_string)
            .collect();
        assert!(missing.is_empty(), "no row for {missing:?}");
    }
}
