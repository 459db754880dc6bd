//! The attributes of builtin operators, from `tensorflow/lite/core/c/builtin_op_data.h`: of each
//! structure the part that every runtime has. [`Node::params`](crate::Node::params) reads them.
#![allow(
    missing_docs,
    reason = "the schema of .tflite says what the fields are"
)]

use zerocopy_derive::FromBytes;

/// A structure that `builtin_data` of some operators points to.
///
/// # Safety
/// For each of `OPERATORS` of version `SINCE` or above the runtime allocates a structure that begins like
/// this one.
pub unsafe trait Params: zerocopy::FromBytes {
    /// Numbers in the schema's `BuiltinOperator`.
    const OPERATORS: &'static [i32];
    /// The version of the operators from which on it is that long.
    const SINCE: i32 = 1;
}

/// Declares a structure of 32-bit fields with the numbers of its operators.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident of $($operator:literal)|+ $(since $version:literal)? {
        $($field:ident: $type:ty,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, FromBytes)]
        #[repr(C)]
        pub struct $name { $(pub $field: $type,)+ }

        // SAFETY: these are the first fields of the header's structure for these operators.
        unsafe impl Params for $name {
            const OPERATORS: &'static [i32] = &[$($operator),+];
            $(const SINCE: i32 = $version;)?
        }
    )+};
}

params! {
    /// CONV_2D.
    Conv of 3 {
        padding: i32,
        stride_width: i32,
        stride_height: i32,
        activation: i32,
        dilation_width: i32,
        dilation_height: i32,
    }
    /// DEPTHWISE_CONV_2D.
    DepthwiseConv of 4 {
        padding: i32,
        stride_width: i32,
        stride_height: i32,
        depth_multiplier: i32,
        activation: i32,
        dilation_width: i32,
        dilation_height: i32,
    }
    /// AVERAGE_POOL_2D and MAX_POOL_2D.
    Pool of 1 | 17 {
        padding: i32,
        stride_width: i32,
        stride_height: i32,
        filter_width: i32,
        filter_height: i32,
        activation: i32,
    }
    /// FULLY_CONNECTED.
    FullyConnected of 9 {
        activation: i32,
        weights_format: i32,
        keep_num_dims: u8,
    }
    /// SOFTMAX.
    Softmax of 25 {
        beta: f32,
    }
    /// MUL and DIV.
    Fused of 18 | 42 {
        activation: i32,
    }
    /// ADD and SUB.
    Sum of 0 | 41 {
        activation: i32,
        pot_scale_int16: u8,
    }
    /// CONCATENATION.
    Concatenation of 2 {
        axis: i32,
        activation: i32,
    }
    /// LEAKY_RELU.
    LeakyRelu of 98 {
        alpha: f32,
    }
    /// GELU.
    Gelu of 150 {
        approximate: u8,
    }
    /// PACK and UNPACK.
    Stack of 83 | 88 {
        count: i32,
        axis: i32,
    }
    /// DEPTH_TO_SPACE and SPACE_TO_DEPTH.
    Block of 5 | 26 {
        size: i32,
    }
    /// GATHER.
    Gather of 36 {
        axis: i32,
        batch_dims: i32,
    }
    /// MIRROR_PAD.
    MirrorPad of 100 {
        mode: i32,
    }
    /// RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.
    Resize of 23 | 97 {
        align_corners: u8,
        half_pixel_centers: u8,
    }
    /// BATCH_MATMUL.
    BatchMatmul of 126 {
        adj_x: u8,
        adj_y: u8,
    }
    /// TRANSPOSE_CONV.
    TransposeConv of 67 {
        padding: i32,
        stride_width: i32,
        stride_height: i32,
        activation: i32,
    }
    /// STRIDED_SLICE, without what came with version 8.
    StridedSlice of 45 {
        begin_mask: i32,
        end_mask: i32,
        ellipsis_mask: i32,
        new_axis_mask: i32,
        shrink_axis_mask: i32,
    }
    /// STRIDED_SLICE from version 8 on.
    OffsetSlice of 45 since 8 {
        slice: StridedSlice,
        offset: u8,
    }
    /// SVDF.
    Svdf of 27 {
        rank: i32,
        activation: i32,
    }
    /// UNIDIRECTIONAL_SEQUENCE_LSTM.
    Lstm of 44 {
        activation: i32,
        cell_clip: f32,
        projection_clip: f32,
        time_major: u8,
    }
}

/// `mode`: the edge itself is repeated.
pub const MODE_SYMMETRIC: i32 = 2;
/// `padding`: as much as keeps `ceil(size / stride)` windows.
pub const PADDING_SAME: i32 = 1;
/// `padding`: none.
pub const PADDING_VALID: i32 = 2;
