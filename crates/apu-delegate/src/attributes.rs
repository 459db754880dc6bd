//! An operator's attributes, from the runtime's structures to the compiler's: one row for each
//! kind that the compiler can place.

use apu_compiler::custom_operator;
use apu_compiler::graph::{Activation, Opcode, Options, Padding, Sliding, StridedSlice};
use tflite_delegate::{Node, params};

/// Reads one kind's attributes; `None` when the node has none.
type Read = fn(&Node) -> Option<Options>;

const ROWS: &[(Opcode, Read)] = &[
    (Opcode::ABS, nothing),
    (Opcode::ADD, |node| node.params().map(sum)),
    (Opcode::ADD_N, nothing),
    (Opcode::ARG_MAX, nothing),
    (Opcode::ARG_MIN, nothing),
    // The runtime keeps variables to itself, so nothing is known of them here.
    (Opcode::ASSIGN_VARIABLE, nothing),
    (Opcode::AVERAGE_POOL_2D, |node| node.params().map(pool_2d)),
    (Opcode::BATCH_MATMUL, |node| node.params().map(batch_matmul)),
    (Opcode::BATCH_TO_SPACE_ND, nothing),
    (Opcode::BROADCAST_TO, nothing),
    (Opcode::CALL_ONCE, nothing),
    (Opcode::CAST, nothing),
    (Opcode::CEIL, nothing),
    (Opcode::CONCATENATION, |node| {
        node.params().map(concatenation)
    }),
    (Opcode::CONV_2D, |node| node.params().map(conv_2d)),
    (Opcode::DEPTHWISE_CONV_2D, |node| {
        node.params().map(depthwise_conv_2d)
    }),
    (Opcode::DEPTH_TO_SPACE, |node| node.params().map(block)),
    (Opcode::DEQUANTIZE, nothing),
    (Opcode::DIV, |node| node.params().map(fused)),
    (Opcode::ELU, nothing),
    (Opcode::EQUAL, nothing),
    (Opcode::EXP, nothing),
    (Opcode::EXPAND_DIMS, nothing),
    (Opcode::FILL, nothing),
    (Opcode::FLOOR, nothing),
    (Opcode::FLOOR_DIV, nothing),
    (Opcode::FLOOR_MOD, nothing),
    (Opcode::FULLY_CONNECTED, |node| {
        node.params().map(fully_connected)
    }),
    (Opcode::GATHER, |node| node.params().map(gather)),
    (Opcode::GATHER_ND, nothing),
    (Opcode::GELU, |node| node.params().map(gelu)),
    (Opcode::GREATER, nothing),
    (Opcode::GREATER_EQUAL, nothing),
    (Opcode::HARD_SWISH, nothing),
    (Opcode::L2_NORMALIZATION, nothing),
    (Opcode::LEAKY_RELU, |node| node.params().map(leaky_relu)),
    (Opcode::LESS, nothing),
    (Opcode::LESS_EQUAL, nothing),
    (Opcode::LOG, nothing),
    (Opcode::LOGICAL_AND, nothing),
    (Opcode::LOGICAL_NOT, nothing),
    (Opcode::LOGICAL_OR, nothing),
    (Opcode::LOGISTIC, nothing),
    (Opcode::LOG_SOFTMAX, nothing),
    (Opcode::MAXIMUM, nothing),
    (Opcode::MAX_POOL_2D, |node| node.params().map(pool_2d)),
    (Opcode::MEAN, nothing),
    (Opcode::MINIMUM, nothing),
    (Opcode::MIRROR_PAD, |node| node.params().map(mirror_pad)),
    (Opcode::MUL, |node| node.params().map(fused)),
    (Opcode::NEG, nothing),
    (Opcode::NOT_EQUAL, nothing),
    (Opcode::PACK, |node| node.params().map(stack)),
    (Opcode::PAD, nothing),
    (Opcode::PADV2, nothing),
    (Opcode::PRELU, nothing),
    (Opcode::QUANTIZE, nothing),
    (Opcode::RANK, nothing),
    (Opcode::READ_VARIABLE, nothing),
    (Opcode::REDUCE_MAX, nothing),
    (Opcode::REDUCE_MIN, nothing),
    (Opcode::RELU, nothing),
    (Opcode::RELU6, nothing),
    (Opcode::RELU_0_TO_1, nothing),
    (Opcode::RELU_N1_TO_1, nothing),
    (Opcode::RESHAPE, nothing),
    (Opcode::RESIZE_BILINEAR, |node| node.params().map(resize)),
    (Opcode::RESIZE_NEAREST_NEIGHBOR, |node| {
        node.params().map(resize)
    }),
    (Opcode::REVERSE_V2, nothing),
    (Opcode::ROUND, nothing),
    (Opcode::RSQRT, nothing),
    (Opcode::SELECT, nothing),
    (Opcode::SELECT_V2, nothing),
    (Opcode::SHAPE, nothing),
    (Opcode::SLICE, nothing),
    (Opcode::SOFTMAX, |node| node.params().map(softmax)),
    (Opcode::SPACE_TO_BATCH_ND, nothing),
    (Opcode::SPACE_TO_DEPTH, |node| node.params().map(block)),
    (Opcode::SPLIT, nothing),
    (Opcode::SPLIT_V, nothing),
    (Opcode::SQRT, nothing),
    (Opcode::SQUARE, nothing),
    (Opcode::SQUARED_DIFFERENCE, nothing),
    (Opcode::SQUEEZE, nothing),
    (Opcode::STRIDED_SLICE, strided_slice),
    (Opcode::SUB, |node| node.params().map(sum)),
    (Opcode::SUM, nothing),
    (Opcode::SVDF, |node| node.params().map(svdf)),
    (Opcode::UNIDIRECTIONAL_SEQUENCE_LSTM, |node| {
        node.params().map(lstm)
    }),
    (Opcode::TANH, nothing),
    (Opcode::TILE, nothing),
    (Opcode::TRANSPOSE, nothing),
    (Opcode::TRANSPOSE_CONV, |node| {
        node.params().map(transpose_conv)
    }),
    (Opcode::UNPACK, |node| node.params().map(stack)),
    (Opcode::VAR_HANDLE, nothing),
    (Opcode::ZEROS_LIKE, nothing),
];

/// What a node is to the compiler, and its attributes; `None` when there is no row for its kind, or it
/// lacks them.
pub(crate) fn read(node: &Node) -> Option<(Opcode, Options)> {
    if node.operator() == Opcode::CUSTOM.0 {
        return custom_operator(&node.custom_name()?, node.custom_data());
    }
    let (opcode, read) = ROWS.iter().find(|(it, _)| it.0 == node.operator())?;
    Some((*opcode, read(node)?))
}

/// For kinds whose operands say all that their attributes do.
fn nothing(_: &Node) -> Option<Options> {
    Some(Options::None)
}

fn fused(params: params::Fused) -> Options {
    Options::Fused {
        activation: activation(params.activation),
    }
}

fn sum(params: params::Sum) -> Options {
    Options::Sum {
        activation: activation(params.activation),
        shifted: params.pot_scale_int16 != 0,
    }
}

fn concatenation(params: params::Concatenation) -> Options {
    Options::Concatenation {
        axis: params.axis,
        activation: activation(params.activation),
    }
}

fn leaky_relu(params: params::LeakyRelu) -> Options {
    Options::LeakyRelu {
        alpha: params.alpha,
    }
}

fn gelu(params: params::Gelu) -> Options {
    Options::Gelu {
        approximate: params.approximate != 0,
    }
}

fn stack(params: params::Stack) -> Options {
    Options::Stack { axis: params.axis }
}

fn block(params: params::Block) -> Options {
    Options::Block { size: params.size }
}

fn gather(params: params::Gather) -> Options {
    Options::Gather {
        axis: params.axis,
        batch_dims: params.batch_dims,
    }
}

fn mirror_pad(params: params::MirrorPad) -> Options {
    Options::MirrorPad {
        symmetric: params.mode == params::MODE_SYMMETRIC,
    }
}

fn resize(params: params::Resize) -> Options {
    Options::Resize {
        align_corners: params.align_corners != 0,
        half_pixel_centers: params.half_pixel_centers != 0,
    }
}

fn batch_matmul(params: params::BatchMatmul) -> Options {
    Options::BatchMatmul {
        adj_x: params.adj_x != 0,
        adj_y: params.adj_y != 0,
    }
}

fn transpose_conv(params: params::TransposeConv) -> Options {
    Options::TransposeConv {
        sliding: Sliding {
            padding: padding(params.padding),
            stride: [params.stride_height, params.stride_width],
            dilation: [1, 1],
        },
        activation: activation(params.activation),
    }
}

fn svdf(params: params::Svdf) -> Options {
    Options::Svdf {
        rank: params.rank,
        activation: activation(params.activation),
    }
}

fn lstm(params: params::Lstm) -> Options {
    Options::Lstm {
        activation: activation(params.activation),
        cell_clip: params.cell_clip,
        projection_clip: params.projection_clip,
        time_major: params.time_major != 0,
    }
}

/// Ends count from the beginnings only where the structure can say so.
fn strided_slice(node: &Node) -> Option<Options> {
    let params: params::StridedSlice = node.params()?;
    let offset = node
        .params()
        .is_some_and(|longer: params::OffsetSlice| longer.offset != 0);
    Some(Options::StridedSlice(StridedSlice {
        begin: params.begin_mask,
        end: params.end_mask,
        ellipsis: params.ellipsis_mask,
        new_axis: params.new_axis_mask,
        shrink_axis: params.shrink_axis_mask,
        offset,
    }))
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
        let missing = |opcode: &Opcode| !ROWS.iter().any(|(known, _)| known == opcode);
        let missing: Vec<String> = SUPPORTED
            .iter()
            .map(|kind| kind.opcode)
            // Custom operators have attributes of another kind, which the compiler reads.
            .filter(|opcode| opcode.0 >= 0)
            .filter(missing)
            .map(|opcode| opcode.to_string())
            .collect();
        assert!(missing.is_empty(), "no row for {missing:?}");
    }
}
