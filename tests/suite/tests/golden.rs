//! Every operator, byte for byte as LiteRT computes it.
#![allow(missing_docs, clippy::expect_used)]

use apu::Context;
use apu_compiler::Options;
use suite::inference::{load, run};

macro_rules! operators {
    ($($operator:ident { $($kind:ident),* $(,)? })*) => {
        $(mod $operator {
            $(#[test]
            fn $kind() {
                suite::golden::check(stringify!($operator), stringify!($kind));
            })*
        })*

        const OPERATORS: &[(&str, &[&str])] =
            &[$((stringify!($operator), &[$(stringify!($kind)),*])),*];
    };
}

operators! {
    conv_2d {
        int8_per_channel, int8_per_tensor, uint8,
        grouped_int8_per_channel, grouped_int8_per_tensor, grouped_uint8,
    }
    depthwise_conv_2d { int8_per_channel, int8_per_tensor, uint8 }
    fully_connected { int8_per_channel, int8_per_tensor, uint8 }
    wide {
        conv_2d_per_channel, conv_2d_grouped, depthwise_conv_2d_per_channel,
        fully_connected_per_tensor, transpose_conv_per_channel,
    }
    add { int8, uint8 }
    average_pool_2d { int8, uint8, int16, float32 }
    max_pool_2d { int8, uint8, int16, float32 }
    softmax { int8, uint8, int16, float32, int8_to_int16, uint8_to_int16 }
    log_softmax { int8, uint8, float32 }
    quantize {
        float32_to_int8, float32_to_uint8, float32_to_int16,
        int8_to_int8, int8_to_uint8, uint8_to_int8, uint8_to_uint8,
        int16_to_int16, int16_to_int8, int8_to_int16, uint8_to_int16,
        int32_to_int8, int32_to_int16, int16_to_int32,
        int16_off_centre_to_int8, int16_off_centre_to_int32,
    }
    dequantize { int8, uint8, int16 }
    pad { int8, uint8, float32, v2_int8, v2_uint8, v2_float32 }
    mean { int8, uint8, int16 }
    transpose_conv {
        int8_per_channel, int8_per_tensor, uint8,
    }
    batch_matmul { int8, int16, int16_by_int8 }
    reductions {
        sum_int8, sum_uint8, sum_float32, sum_int32, reduce_max_int8, reduce_max_uint8,
        reduce_max_int16, reduce_max_float32, reduce_max_int32, reduce_min_int8, reduce_min_uint8,
        reduce_min_int16, reduce_min_float32, reduce_min_int32, arg_max_int8, arg_max_uint8,
        arg_max_float32, arg_min_int8, arg_min_uint8, arg_min_float32,
        add_n_float32, add_n_int32, sum_int16, mean_float32, mean_int32, mean_int64,
        arg_max_int32, arg_max_bool, arg_min_int32, arg_min_bool,
    }
    detection { uint8, float32, regular_uint8, regular_float32 }
    l2_normalization {
        int8, uint8, float32,
    }
    plain {
        abs_float32, ceil_float32, floor_float32, round_float32, sqrt_float32, rsqrt_float32,
        exp_float32, log_float32, logistic_float32, tanh_float32, neg_float32, square_float32, relu_float32, relu6_float32, relu_n1_to_1_float32,
        relu_0_to_1_float32, neg_int32, neg_int64, cast_float32_to_int32, cast_float32_to_uint8,
        cast_float32_to_int64, cast_int32_to_float32, cast_int64_to_float32, cast_int32_to_int64,
        cast_int64_to_int32, cast_bool_to_float32, cast_int8_to_int32, cast_uint8_to_float32,
        neg_int8, neg_int16, abs_int32, elu_float32, hard_swish_float32, leaky_relu_float32,
        cast_int32_to_bool, select_v2_int8, select_v2_float32, select_int8, select_float32,
    }
    recurrent {
        svdf_int8, lstm_int8,
    }
    reshape { int8, uint8, float32, int32 }
    unary {
        gelu_int8, hard_swish_int8, leaky_relu_int8, logistic_int8, relu_int8, relu6_int8,
        relu_n1_to_1_int8, relu_0_to_1_int8, tanh_int8, abs_int8, elu_int8, exp_int8, log_int8,
        rsqrt_int8, sqrt_int8, gelu_uint8, hard_swish_uint8, leaky_relu_uint8, logistic_uint8,
        relu_uint8, relu6_uint8, relu_n1_to_1_uint8, relu_0_to_1_uint8, tanh_uint8,
        leaky_relu_int16, logistic_int16, tanh_int16, abs_int16, exp_int16, gelu_int16, log_int16,
        relu_int16, relu6_int16, rsqrt_int16, sqrt_int16,
    }
    binary {
        add_int16, add_int16_fine, add_int16_shifted, sub_int16_shifted, add_float32, add_int32, add_int64, sub_int8, sub_uint8, sub_int16, sub_float32,
        sub_int32, sub_int64, mul_int8, mul_uint8, mul_int16, mul_float32, mul_int32, mul_int64,
        div_int8, div_uint8, div_float32, div_int32, floor_div_float32, floor_div_int32, floor_mod_float32,
        floor_mod_int32, floor_mod_int64, minimum_int8, minimum_uint8, minimum_int16,
        minimum_float32, minimum_int32, minimum_int64, maximum_int8, maximum_uint8, maximum_int16,
        maximum_float32, maximum_int32, maximum_int64, prelu_int8, prelu_uint8, prelu_float32,
        squared_difference_int8, squared_difference_float32, squared_difference_int32,
        logical_and_bool, logical_or_bool, equal_int8, equal_uint8, equal_float32, equal_int32,
        equal_int64, not_equal_int8, not_equal_uint8, not_equal_float32, not_equal_int32,
        not_equal_int64, less_int8, less_uint8, less_float32, less_int32, less_int64,
        less_equal_int8, less_equal_uint8, less_equal_float32, less_equal_int32, less_equal_int64,
        greater_int8, greater_uint8, greater_float32, greater_int32, greater_int64,
        greater_equal_int8, greater_equal_uint8, greater_equal_float32, greater_equal_int32,
        greater_equal_int64, div_int16, floor_div_int8, floor_div_int16, floor_mod_int8, floor_mod_int16,
        equal_bool, not_equal_bool, equal_int16, not_equal_int16, less_int16, less_equal_int16, greater_int16, greater_equal_int16,
    }
    moves {
        transpose_int8, slice_int8, strided_slice_int8, concatenation_int8, pack_int8,
        unpack_int8, split_int8, split_v_int8, tile_int8, broadcast_to_int8, reverse_v2_int8,
        mirror_pad_int8, depth_to_space_int8, space_to_depth_int8, space_to_batch_nd_int8,
        batch_to_space_nd_int8, gather_int8, gather_nd_int8, resize_nearest_neighbor_int8,
        concatenation_rescaled_uint8, concatenation_int32, strided_slice_int32, gather_int32,
        gather_by_int16, gather_nd_by_int16,
    }
    resize_bilinear {
        int8, uint8, int16, float32,
    }
}

#[test]
fn a_state_is_kept_until_it_is_reset() {
    let mut kept = 0;
    for case in suite::golden::open("recurrent").cases("lstm_int8") {
        let mut context = load(&case.model, &Options::default()).expect("the model compiles");
        let input = case.inputs[0].tensor(0);
        let answer = |context: &mut Context| run(context, &[input]).expect("it runs");
        let [first, second] = [answer(&mut context), answer(&mut context)];
        kept += usize::from(first != second);
        context.reset().expect("there is memory");
        assert_eq!(answer(&mut context), first, "{}", case.name);
    }
    assert!(kept > 20, "only {kept} cases keep anything");
}

#[test]
fn no_vector_is_left_out() {
    let folder = std::fs::read_dir(suite::golden::folder()).expect("the vectors are in the tree");
    let paths = folder.map(|entry| entry.expect("the folder is readable").path());
    let archives: Vec<_> = paths
        .filter(|p| p.extension() == Some("npz".as_ref()))
        .collect();
    assert_eq!(archives.len(), OPERATORS.len());
    for (operator, kinds) in OPERATORS {
        let tested = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(suite::golden::open(operator).kinds(), tested, "{operator}");
    }
}
