// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The program: what the compiler writes and the firmware validates and runs.
//!
//! A `.apu` file is, in this order, each part beginning at a multiple of [`ALIGN`]:
//!
//! 1. the *code*, `code_size` bytes: [`Header`], then `io_count` = inputs + outputs [`Io`] records,
//!    then `op_count` [`Op`] records. This part is what a job hands to the firmware;
//! 2. the constants, `constants_size` bytes: segment 0;
//! 3. names: UTF-8 texts that [`Io`] and [`Op`] records point into, for people only.
//!
//! Segments of a job, by index: 0 constants (read only), 1 arena, then each input (read only), then
//! each output. The arena is zero before the first run; what a run leaves there the next one finds, which is
//! how operators with a *state* keep it. Every address in the program is a ([segment](Operand::segment), offset) pair.
//!
//! # Operand data
//!
//! Activations are dense, row-major, NHWC where four-dimensional. Zero points are those of the
//! stored type (−128…127 for int8, 0…255 for uint8).
//!
//! *Packed matrix weights* ("k4n16", used by [`Conv2d`]): the K dimension runs over
//! (kernel row, kernel column, input channel), each kernel row padded with zeros to a multiple of 4; N
//! is the output channel, padded with zeros to a multiple of 16; stored as signed bytes
//! `[N/16][K/4][16][4]`.
//! uint8 weights are stored as `w − 128` with `weight_zero_point − 128`, or as those with outliers below.
//!
//! *Packed depthwise weights*: `w − weight_zero_point` as i16, `[kernel row][kernel column][C]`, with
//! C = output channels padded with zeros to a multiple of 16.
//!
//! *Channel table*: three arrays of 32-bit words, each as long as the padded N (or C):
//! bias, multiplier, shift. With `acc` the 32-bit sum and [`Numerics::TFLITE`], the output is
//! `clamp(MultiplyByQuantizedMultiplier(acc, multiplier, shift) + output_zero_point)` with gemmlowp's
//! double rounding, ties of the right shift as [`Rounding`] says; `shift` is positive to the left, −31…30.
//! For [`Conv2d`] the bias is *folded* for unsigned bytes: with `a = x` for uint8 and `a = x + 128`
//! for int8, `za` the input zero point in that same domain, `zw` the weight zero point, `b` the
//! model's bias and sums over the whole unpadded K,
//! `acc = Σ a·w − zw·Σ a + folded`, `folded = b − za·Σ w + K·za·zw` (all modulo 2³²);
//! a tap in the padding counts with `a = za`. For [`DepthwiseConv2d`] the bias is the model's.
//!
//! *Outliers* ([`Outlier`], used by [`Conv2d`]) follow the channel table's arrays: what few weights have
//! beyond a signed byte. Weights less their zero point mostly are signed bytes; then `zw` is 0, and
//! `Σ a` needn't be computed.
//!
//! Last there may be [`Ramps`], which say what multiplier and shift do in another way.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of a program.
pub const MAGIC: [u8; 8] = *b"TINYAPU\0";
/// Format version; a firmware runs programs with its own major version and a minor not above its own.
pub const VERSION_MAJOR: u16 = 2;
/// See [`VERSION_MAJOR`].
pub const VERSION_MINOR: u16 = 4;
/// Each part of the file, each segment and each tensor in the arena begins at a multiple of this.
pub const ALIGN: usize = 64;
/// The layout of packed constants described above.
pub const TARGET_K4N16: &str = "k4n16";
/// Most dimensions of a tensor at the ends of a program.
pub const MAX_RANK: usize = 8;
/// Operands that an operator record can hold.
pub const MAX_OPERANDS: usize = 6;
/// Dimensions of the operators that take any rank.
pub const OP_RANK: usize = 6;
/// Segment index of the constants.
pub const SEGMENT_CONSTANTS: u32 = 0;
/// Segment index of the arena.
pub const SEGMENT_ARENA: u32 = 1;
/// Segment index of the first input.
pub const SEGMENT_IO: u32 = 2;

/// Values of [`Header::numerics`].
pub struct Numerics;
impl Numerics {
    /// TFLite's reference integer kernels: gemmlowp double rounding.
    pub const TFLITE: u32 = 0;
    /// XNNPACK's float requantisation.
    pub const XNNPACK: u32 = 1;
}

/// How a sum is scaled, and where a tie goes.
pub struct Rounding;
impl Rounding {
    /// Away from zero, as gemmlowp and TFLite's reference kernels.
    pub const AWAY: u32 = 0;
    /// Upward, as ruy and with it LiteRT's optimized int8 FULLY_CONNECTED.
    pub const UP: u32 = 1;
    /// Away from zero, once: `round(acc · scale)` in f64, as LiteRT's reference FULLY_CONNECTED. In the
    /// channel table, multiplier and shift are the low and the high half of the f64 scale.
    pub const FLOAT: u32 = 2;
    /// To even, after one multiplication in f32, as XNNPACK. In the channel table, multiplier holds the bits
    /// of the f32 scale, and shift is 0.
    pub const EVEN: u32 = 3;
}

/// Begins a program. 192 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION_MAJOR`].
    pub version_major: u16,
    /// [`VERSION_MINOR`].
    pub version_minor: u16,
    /// Size of this header in bytes.
    pub header_size: u32,
    /// Bits of features that a firmware must know; none is defined yet.
    pub required_features: u64,
    /// Layout that the program was packed for, UTF-8, zero padded.
    pub target: [u8; 32],
    /// One of [`Numerics`].
    pub numerics: u32,
    /// Records of [`Io`] that are inputs; they come first.
    pub input_count: u32,
    /// Records of [`Io`] that are outputs.
    pub output_count: u32,
    /// Records of [`Op`].
    pub op_count: u32,
    /// Bytes of the code part: this header, the [`Io`] and the [`Op`] records.
    pub code_size: u32,
    /// Where in the file the names begin.
    pub names_offset: u32,
    /// Bytes of the names.
    pub names_size: u32,
    /// Zero.
    pub pad: u32,
    /// Where in the file the constants begin.
    pub constants_offset: u64,
    /// Bytes of segment 0.
    pub constants_size: u64,
    /// Bytes of segment 1.
    pub arena_size: u64,
    /// Multiply-accumulates of one inference, for people.
    pub macs: u64,
    /// BLAKE3 of the whole file with this field zero.
    pub hash: [u8; 32],
    /// Zero.
    pub reserved: [u8; 40],
}

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum DType {
    Int8 = 1,
    UInt8 = 2,
    Int16 = 3,
    Int32 = 4,
    Int64 = 5,
    Float32 = 6,
    Bool = 7,
}

impl DType {
    /// The type with this number in a record, if there is one.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            1 => Self::Int8,
            2 => Self::UInt8,
            3 => Self::Int16,
            4 => Self::Int32,
            5 => Self::Int64,
            6 => Self::Float32,
            7 => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Int8 | Self::UInt8 | Self::Bool => 1,
            Self::Int16 => 2,
            Self::Int32 | Self::Float32 => 4,
            Self::Int64 => 8,
        }
    }
}

/// One input or output of the program. 80 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Io {
    /// Bytes of the tensor, and the least size of its segment.
    pub size: u64,
    /// A [`DType`].
    pub dtype: u32,
    /// Dimensions in use, at most [`MAX_RANK`].
    pub rank: u32,
    /// Dimensions; the unused ones are 0.
    pub shape: [u32; MAX_RANK],
    /// Scale of the quantisation as the bits of an f32; 0 when the tensor isn't quantised.
    pub scale: u32,
    /// Zero point of the quantisation.
    pub zero_point: i32,
    /// Where in the names the tensor's name begins.
    pub name_offset: u32,
    /// Bytes of the name.
    pub name_size: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// A range of a segment.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Operand {
    /// Index of the segment.
    pub segment: u32,
    /// First byte within the segment.
    pub offset: u32,
    /// Bytes; 0 for an operand that is not used.
    pub size: u32,
}

/// Bytes of [`Op::params`].
pub const PARAMS: usize = 168;

/// One operator. 256 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Op {
    /// One of [`opcode`].
    pub opcode: u32,
    /// Index of the operator in the model that this came from, for people.
    pub source: u32,
    /// Where in the names a name for it begins.
    pub name_offset: u32,
    /// Bytes of the name.
    pub name_size: u32,
    /// What the operator reads and writes; which is which depends on the opcode.
    pub operands: [Operand; MAX_OPERANDS],
    /// The opcode's own structure, then zeros.
    pub params: [u8; PARAMS],
}

/// Values of [`Op::opcode`], each with its parameters and its operands in order.
pub mod opcode {
    /// [`super::Conv2d`]: input, packed weights, channel table, output, scratch.
    /// Scratch holds at least `scratch` bytes as [`super::Conv2d`] says.
    pub const CONV_2D: u32 = 1;
    /// [`super::DepthwiseConv2d`]: input, packed weights, channel table, output.
    pub const DEPTHWISE_CONV_2D: u32 = 2;
    /// [`super::Elementwise`]: a, b, output.
    pub const ELEMENTWISE: u32 = 3;
    /// [`super::Pool2d`]: input, output.
    pub const AVERAGE_POOL_2D: u32 = 4;
    /// [`super::Pool2d`]: input, output.
    pub const MAX_POOL_2D: u32 = 5;
    /// No parameters: input, output, of one size.
    pub const COPY: u32 = 6;
    /// [`super::Softmax`]: input, output.
    pub const SOFTMAX: u32 = 7;
    /// [`super::Quantize`]: input, output.
    pub const QUANTIZE: u32 = 8;
    /// [`super::Dequantize`]: input, output (f32).
    pub const DEQUANTIZE: u32 = 9;
    /// [`super::Pad`]: input, output.
    pub const PAD: u32 = 10;
    /// [`super::Mean`]: input, output, scratch (i32 sums, one an output element).
    pub const MEAN: u32 = 11;
    /// [`super::Lookup`]: input, table (an entry for each value of an index), output.
    pub const LOOKUP: u32 = 12;
    /// [`super::StridedCopy`]: input, output, of which the rest stays as it is.
    pub const STRIDED_COPY: u32 = 13;
    /// [`super::Gather`]: input, indices, output.
    pub const GATHER: u32 = 14;
    /// [`super::ResizeBilinear`]: input, output.
    pub const RESIZE_BILINEAR: u32 = 15;
    /// [`super::Reduce`]: input, output.
    pub const REDUCE: u32 = 16;
    /// [`super::ArgMax`]: input, output.
    pub const ARG_MAX: u32 = 17;
    /// [`super::BatchMatmul`]: a, b, output.
    pub const BATCH_MATMUL: u32 = 18;
    /// [`super::Select`]: condition, a, b, output.
    pub const SELECT: u32 = 19;
    /// [`super::Cast`]: input, output.
    pub const CAST: u32 = 20;
    /// [`super::FloatFunction`]: input, output, both float32.
    pub const FLOAT_FUNCTION: u32 = 21;
    /// [`super::L2Normalization`]: input, output.
    pub const L2_NORMALIZATION: u32 = 22;
    /// [`super::Detection`]: boxes, scores, anchors (all float32), output, scratch.
    pub const DETECTION: u32 = 23;
    /// [`super::LogSoftmax`]: input, output.
    pub const LOG_SOFTMAX: u32 = 24;
    /// [`super::Svdf`]: input, weights, output, state.
    pub const SVDF: u32 = 25;
    /// [`super::Lstm`]: input, weights, output, state.
    pub const LSTM: u32 = 26;
    /// [`super::WideConv2d`]: input, weights, channel table, output.
    pub const WIDE_CONV_2D: u32 = 27;
    /// [`super::TableSoftmax`]: input, table, output.
    pub const TABLE_SOFTMAX: u32 = 28;
    /// [`super::FloatSoftmax`]: input, output, both float32. Since 2.2.
    pub const FLOAT_SOFTMAX: u32 = 29;
}

/// Window geometry shared by convolutions and pooling.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Window {
    pub batch: u32,
    pub in_h: u32,
    pub in_w: u32,
    pub in_c: u32,
    pub out_h: u32,
    pub out_w: u32,
    pub out_c: u32,
    pub kernel_h: u32,
    pub kernel_w: u32,
    pub stride_h: u32,
    pub stride_w: u32,
    pub dilation_h: u32,
    pub dilation_w: u32,
    /// Rows of padding above; those below follow from the shapes.
    pub pad_top: u32,
    /// Columns of padding to the left; those to the right follow from the shapes.
    pub pad_left: u32,
}

/// CONV_2D and FULLY_CONNECTED (a 1x1 window over `out_w` = rows). Scratch: a kernel may unfold
/// windows there; it is 0 bytes when the window is 1x1 with stride 1, input and output have the same
/// height and width and in_c is a multiple of 4, else [`CONV_TILE`] · the padded K.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conv2d {
    /// Geometry.
    pub window: Window,
    /// [`DType`] of input and output: int8 or uint8.
    pub dtype: u32,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the packed (signed) weights, 0 for per-channel ones.
    pub weight_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Least output value.
    pub clamp_min: i32,
    /// Largest output value.
    pub clamp_max: i32,
    /// One of [`Rounding`].
    pub rounding: u32,
    /// Records of [`Outlier`], at most [`MAX_OUTLIERS`].
    pub outliers: u32,
    /// Arrays of [`Ramps`] in the channel table. Since 2.4.
    pub ramps: u32,
}

/// How many more arrays of f32 a channel table has, as long as the others and behind the outliers. With them the result of a sum, before the
/// zero point and the clamp, is `floor(slope · sum + start)`, where the sum has been rounded to f32 and nothing else
/// is but `rest · sum + start`, down to f32; of a sum that the channel can't have it may be anything. They say the
/// same as multiplier and shift do, so that a kernel uses what suits its processor; what a program computes whose
/// ramps say something else is one or the other.
pub struct Ramps;
#[allow(missing_docs)]
impl Ramps {
    pub const NONE: u32 = 0;
    /// Slopes, starts.
    pub const STRAIGHT: u32 = 2;
    /// Slopes, starts, and starts for sums below zero.
    pub const BENT: u32 = 3;
    /// The same and rests, what slopes have beyond an f32.
    pub const FINE: u32 = 4;
}

/// Most [`Conv2d::outliers`].
pub const MAX_OUTLIERS: usize = 64;

/// What is to be added to one packed weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Outlier {
    /// Output channel.
    pub channel: u32,
    /// Place in K, the padding of kernel rows counted; no padding itself.
    pub tap: u32,
    /// What the weight has more.
    pub rest: i32,
}

/// Output pixels whose windows fit the scratch of a [`Conv2d`] at once.
pub const CONV_TILE: usize = 64;

/// DEPTHWISE_CONV_2D; `window.out_c` = `window.in_c` · multiplier.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepthwiseConv2d {
    /// Geometry.
    pub window: Window,
    /// [`DType`] of input and output: int8 or uint8.
    pub dtype: u32,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Least output value.
    pub clamp_min: i32,
    /// Largest output value.
    pub clamp_max: i32,
    /// One of [`Rounding`].
    pub rounding: u32,
    /// Arrays of [`Ramps`] in the channel table. Since 2.4.
    pub ramps: u32,
}

/// Values of [`Elementwise::function`]. In the 8- and 16-bit types, with `a'` and `b'` the inputs
/// minus their zero points, `ta` and `tb` those shifted left by `left_shift` and rescaled, the result
/// is rescaled, gets the output zero point and is clamped, unless said otherwise. The wider types have
/// no scales: they compute as C does, integers modulo their width, and clamp.
pub struct Function;
#[allow(missing_docs)]
impl Function {
    /// `ta + tb`.
    pub const ADD: u32 = 0;
    /// `ta − tb`.
    pub const SUB: u32 = 1;
    /// `a' · b'`.
    pub const MUL: u32 = 2;
    /// The lesser of the stored values, as it is.
    pub const MINIMUM: u32 = 3;
    /// The greater of the stored values, as it is.
    pub const MAXIMUM: u32 = 4;
    /// `(ta − tb)²`.
    pub const SQUARED_DIFFERENCE: u32 = 5;
    /// `a'` rescaled by the factor of `a` where it isn't negative, else `a' · b'` by the output's.
    pub const PRELU: u32 = 6;
    /// 1 if `ta = tb`, else 0, in one byte; likewise the next five.
    pub const EQUAL: u32 = 7;
    pub const NOT_EQUAL: u32 = 8;
    pub const LESS: u32 = 9;
    pub const LESS_EQUAL: u32 = 10;
    pub const GREATER: u32 = 11;
    pub const GREATER_EQUAL: u32 = 12;
    /// `a / b`, 0 where an integer b is. Of int8, uint8 and, since 2.3, int16, `a' / b'` by gemmlowp's reciprocal;
    /// of the wider types, where an integer quotient is truncated.
    pub const DIV: u32 = 13;
    /// `⌊a / b⌋`, of the wider types only, 0 where an integer b is.
    pub const FLOOR_DIV: u32 = 14;
    /// `a − ⌊a / b⌋ · b`, of the wider types only, 0 where an integer b is.
    pub const FLOOR_MOD: u32 = 15;
}

/// A function of two inputs with broadcasting, as TFLite's reference kernels compute it.
///
/// With [`Rounding::EVEN`], which ADD and MUL of bytes can have, as XNNPACK: ADD is
/// `(a' · a_multiplier + b' · b_multiplier) / 2^−output_shift`, rounded with ties up, where a multiplier may
/// be negative; MUL is `a' · b'` times the f32 whose bits `output_multiplier` holds, rounded with ties to even.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Elementwise {
    /// One of [`Function`].
    pub function: u32,
    /// [`DType`] of both inputs, and of the output unless the function says otherwise.
    pub dtype: u32,
    pub a_zero_point: i32,
    pub b_zero_point: i32,
    pub output_zero_point: i32,
    pub left_shift: u32,
    pub a_multiplier: i32,
    /// Positive to the left.
    pub a_shift: i32,
    pub b_multiplier: i32,
    /// Positive to the left.
    pub b_shift: i32,
    pub output_multiplier: i32,
    /// Positive to the left.
    pub output_shift: i32,
    /// Least output value, the bits of it for float32.
    pub clamp_min: i32,
    /// Largest output value, the bits of it for float32.
    pub clamp_max: i32,
    /// Output shape, leading ones for lower ranks.
    pub shape: [u32; OP_RANK],
    /// Step of `a` in elements along each dimension, 0 where it is broadcast.
    pub a_stride: [u32; OP_RANK],
    /// Step of `b` in elements along each dimension, 0 where it is broadcast.
    pub b_stride: [u32; OP_RANK],
    /// [`Rounding::AWAY`] or [`Rounding::EVEN`].
    pub rounding: u32,
}

/// Each input element replaced by the table's entry of that number: any function of one or two bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Lookup {
    /// Elements of the input.
    pub count: u32,
    /// Bytes of one element of the input: 1 or 2.
    pub index_size: u32,
    /// Bytes of one entry: 1, 2, 4 or 8.
    pub entry_size: u32,
}

/// A box of elements copied between two tensors, each walked with its own steps: whatever moves
/// elements by a fixed rule is one or several of these.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StridedCopy {
    /// Bytes of one element: 1, 2, 4 or 8.
    pub element_size: u32,
    /// Elements of the input.
    pub input_count: u32,
    /// Elements of the output.
    pub output_count: u32,
    /// The first element that is read.
    pub input_start: u32,
    /// The first element that is written.
    pub output_start: u32,
    /// Shape of the box, leading ones for lower ranks.
    pub shape: [u32; OP_RANK],
    /// Step of the input in elements along each dimension.
    pub input_stride: [i32; OP_RANK],
    /// Step of the output in elements along each dimension.
    pub output_stride: [i32; OP_RANK],
}

/// Slices picked by index. With the input as `[batches, outer, dims…, inner]` and the indices as
/// `[batches, count, depth]`, the output is `[batches, outer, count, inner]`. An index outside its
/// dimension fails the run.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Gather {
    pub batches: u32,
    pub outer: u32,
    pub count: u32,
    /// Dimensions that one tuple of indices names, at most [`OP_RANK`].
    pub depth: u32,
    /// Bytes of one slice.
    pub inner: u32,
    /// int32 or int64.
    pub index_dtype: u32,
    /// The dimensions that are picked from; the unused ones behind `depth` are 1.
    pub dims: [u32; OP_RANK],
}

/// RESIZE_BILINEAR of an NHWC image. int8 and int16 interpolate in integers with 10 fractional bits,
/// uint8 and float32 in float32, as TFLite's reference kernels. With [`Rounding::EVEN`], which bytes can have,
/// in integers with 11 fractional bits that are rounded to even, as XNNPACK.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ResizeBilinear {
    /// [`DType`] of input and output: int8, int16, uint8 or float32.
    pub dtype: u32,
    pub batch: u32,
    pub in_h: u32,
    pub in_w: u32,
    pub channels: u32,
    pub out_h: u32,
    pub out_w: u32,
    /// 1 if pixels are points amid their square, else 0.
    pub half_pixel_centers: u32,
    /// Input rows an output row: in 2⁻¹⁰ for int8 and int16, else, and with [`Rounding::EVEN`], the bits of
    /// an f32.
    pub scale_h: u32,
    /// Input columns an output column, likewise.
    pub scale_w: u32,
    /// [`Rounding::AWAY`] or [`Rounding::EVEN`].
    pub rounding: u32,
}

/// AVERAGE_POOL_2D (over the valid taps; integers round half away from zero) and MAX_POOL_2D.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pool2d {
    /// Geometry; dilations are 1.
    pub window: Window,
    /// [`DType`] of input and output: int8, uint8, int16 or, since 2.3, float32.
    pub dtype: u32,
    /// Least output value, the bits of it for float32.
    pub clamp_min: i32,
    /// Largest output value, the bits of it for float32.
    pub clamp_max: i32,
}

/// Exponentials of an element's distance to the largest of its row, the innermost dimension, in gemmlowp fixed
/// point (Q5.26), as TFLite's reference.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Exponentials {
    /// [`DType`] of the input: int8 or uint8.
    pub dtype: u32,
    pub rows: u32,
    pub columns: u32,
    pub input_multiplier: i32,
    /// Left shift, 0…31.
    pub input_left_shift: i32,
    /// Differences to the maximum below this count as zero.
    pub diff_min: i32,
}

/// SOFTMAX: the share of an exponential in their sum.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Softmax {
    /// What is summed.
    pub exponentials: Exponentials,
    /// 1 for an output of int16, where −32768 stands for a share of 0; else 0. Since 2.3.
    pub wide: u32,
}

/// SOFTMAX and LOG_SOFTMAX over the innermost dimension by tables, as LiteRT's optimised kernels for bytes, and
/// as all of its kernels for int16. With `d` the distance of an element to the largest of its row:
///
/// * int8 and uint8: table has 256 f32, entry `d` is the exponential. The output is the exponential divided by
///   their sum and `output_scale`, or the logarithm of that share divided by `output_scale`, in float32.
/// * int16: table has 513 i16 of `exp(−10 + i / 51.2)`, then 513 of `1 / (1 + i / 512)`, all in Q0.15. `multiplier`
///   and `shift` bring differences to steps of 10 / 65535; between entries is interpolated.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TableSoftmax {
    /// [`DType`] of input and output: int8, uint8 or int16.
    pub dtype: u32,
    /// 1 for LOG_SOFTMAX, which int16 hasn't, else 0.
    pub logarithm: u32,
    pub rows: u32,
    pub columns: u32,
    /// Of int16 only.
    pub multiplier: i32,
    /// Positive to the left.
    pub shift: i32,
    /// Bits of an f32; of bytes only.
    pub output_scale: u32,
    /// Likewise; of a logarithm only.
    pub input_scale: u32,
}

/// LOG_SOFTMAX over the innermost dimension in gemmlowp fixed point; the output's step is 2⁻⁴ and its
/// largest value stands for 0.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogSoftmax {
    /// What is summed.
    pub exponentials: Exponentials,
    /// What brings a logarithm in Q5.26 back to steps of the input.
    pub reverse_multiplier: i32,
    /// −31…0.
    pub reverse_shift: i32,
}

/// QUANTIZE: float32 to int8, uint8 or int16 (`round(x / scale) + zero point`, half away from zero), or a
/// requantisation between these types and, since 2.3, int32.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Quantize {
    pub input_dtype: u32,
    pub output_dtype: u32,
    pub count: u32,
    pub input_zero_point: i32,
    pub output_zero_point: i32,
    /// For integer inputs.
    pub multiplier: i32,
    /// For integer inputs; positive to the left.
    pub shift: i32,
    /// For float inputs: bits of the f32 output scale.
    pub scale: u32,
    /// For float inputs: [`Rounding::AWAY`], or [`Rounding::EVEN`] for a product with the scale's inverse that
    /// is rounded to even.
    pub rounding: u32,
}

/// DEQUANTIZE: `scale · (x − zero point)` in float32.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Dequantize {
    pub input_dtype: u32,
    pub count: u32,
    pub zero_point: i32,
    /// Bits of the f32 scale.
    pub scale: u32,
}

/// PAD and PADV2 with a constant.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Pad {
    /// Bytes of one element: 1, 2, 4 or 8.
    pub element_size: u32,
    pub reserved: u32,
    /// Bytes of the padding element, low end first.
    pub value: [u8; 8],
    /// Input shape, leading ones for lower ranks.
    pub in_shape: [u32; OP_RANK],
    /// Elements before, by dimension.
    pub before: [u32; OP_RANK],
    /// Elements after, by dimension.
    pub after: [u32; OP_RANK],
}

/// MEAN. With `s` the sum of the `count` elements of one mean, minus `count` input zero points, the
/// output is `clamp(MultiplyByQuantizedMultiplier(s, multiplier, shift) + output_zero_point)`.
///
/// 1/count is folded in as TFLite's reference does it: with `(m, e)` the quantised multiplier of
/// input scale / output scale and `n = min(⌊log₂ count⌋, 32, 31 + e)`,
/// `multiplier = ⌊m · 2ⁿ / count⌋` and `shift = e − n`.
///
/// With [`Rounding::FLOAT`], as LiteRT's optimised SUM, `s` is the sum of the stored values, and the output
/// `clamp(round(s · scale + bias) + output_zero_point)` in float32, ties away from zero; `multiplier` and
/// `shift` are the bits of scale and bias. With [`Rounding::EVEN`], as XNNPACK, likewise with ties to even.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Mean {
    /// [`DType`] of input and output: int8, uint8 or int16.
    pub dtype: u32,
    pub input_zero_point: i32,
    pub output_zero_point: i32,
    pub multiplier: i32,
    /// Positive to the left.
    pub shift: i32,
    /// Bit d set: dimension d of `in_shape` is reduced.
    pub reduced: u32,
    /// Input shape, leading ones for lower ranks.
    pub in_shape: [u32; OP_RANK],
    /// [`Rounding::AWAY`], [`Rounding::FLOAT`] or [`Rounding::EVEN`].
    pub rounding: u32,
}

/// Values of [`Reduce::function`].
pub struct Reduction;
#[allow(missing_docs)]
impl Reduction {
    pub const MAX: u32 = 0;
    pub const MIN: u32 = 1;
    /// Of int32, int64 and float32 only, in the order in which the elements are stored.
    pub const SUM: u32 = 2;
}

/// REDUCE_MAX and REDUCE_MIN of the stored values, and SUM of types without scales.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Reduce {
    /// One of [`Reduction`].
    pub function: u32,
    /// [`DType`] of input and output.
    pub dtype: u32,
    /// Bit d set: dimension d of `in_shape` is reduced.
    pub reduced: u32,
    /// Input shape, leading ones for lower ranks.
    pub in_shape: [u32; OP_RANK],
}

/// ARG_MAX and ARG_MIN: for `[outer, size, inner]` the first index along `size` of the largest or
/// least element.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ArgMax {
    /// [`DType`] of the input.
    pub dtype: u32,
    /// int32 or int64.
    pub output_dtype: u32,
    /// 1 for the least element, 0 for the largest.
    pub least: u32,
    pub outer: u32,
    pub size: u32,
    pub inner: u32,
}

/// BATCH_MATMUL: `output[i, j] = Σ (a[i, k] − za)(b[j, k] − zb)`, rescaled as a convolution's sum. The
/// rows of b are the columns of the product's second factor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct BatchMatmul {
    /// Batch dimensions of the output, leading ones for fewer.
    pub batch: [u32; 3],
    /// Bit d set: a has one matrix for all of batch dimension d.
    pub a_broadcast: u32,
    /// Likewise for b.
    pub b_broadcast: u32,
    /// Rows of a.
    pub rows: u32,
    /// Rows of b.
    pub columns: u32,
    pub depth: u32,
    pub a_zero_point: i32,
    pub b_zero_point: i32,
    pub output_zero_point: i32,
    /// With [`Rounding::EVEN`] the bits of an f32 factor.
    pub multiplier: i32,
    /// Positive to the left; 0 with such a factor.
    pub shift: i32,
    /// Int8 or Int16; of the latter zero points are 0.
    pub dtype: u32,
    /// [`Rounding::AWAY`], which int16 takes for what it has alone, or for int8 [`Rounding::EVEN`].
    pub rounding: u32,
}

/// SELECT and SELECT_V2.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Select {
    /// Bytes of one element of a, b and output: 1, 2, 4 or 8. Those of the condition have one byte.
    pub element_size: u32,
    /// Output shape, leading ones for lower ranks.
    pub shape: [u32; OP_RANK],
    /// For condition, a and b, bit d set: the input has one element for all of dimension d.
    pub broadcast: [u32; 3],
}

/// CAST: integers are cut to their lower bits, floats cut off towards zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Cast {
    pub input_dtype: u32,
    pub output_dtype: u32,
    pub count: u32,
}

/// A function of one float32 number; those since 2.2 round as glibc's.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FloatFunction {
    /// One of the constants of this type.
    pub function: u32,
    /// Numbers of the input.
    pub count: u32,
}

#[allow(missing_docs)]
impl FloatFunction {
    pub const ABS: u32 = 0;
    pub const CEIL: u32 = 1;
    pub const FLOOR: u32 = 2;
    /// To the nearest integer, ties to even.
    pub const ROUND: u32 = 3;
    pub const SQRT: u32 = 4;
    /// `1 / √x`, each rounded.
    pub const RSQRT: u32 = 5;
    /// Since 2.2.
    pub const EXP: u32 = 6;
    /// Since 2.2.
    pub const LOG: u32 = 7;
    /// `1 / (1 + e^-x)`. Since 2.2.
    pub const LOGISTIC: u32 = 8;
    /// Since 2.2.
    pub const TANH: u32 = 9;
    /// `e^x - 1` below 0, else `x`. Since 2.3.
    pub const ELU: u32 = 10;
}

/// SOFTMAX or LOG_SOFTMAX of float32 over the innermost dimension.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FloatSoftmax {
    /// 1 for LOG_SOFTMAX, which has no beta; else 0.
    pub logarithm: u32,
    /// Vectors that are normalised.
    pub rows: u32,
    /// Numbers of a vector.
    pub columns: u32,
    /// Factor of the exponents, bits of an f32.
    pub beta: u32,
}

/// L2_NORMALIZATION over the innermost dimension; the output's step is 2⁻⁷.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct L2Normalization {
    /// [`DType`] of input and output: int8 or uint8.
    pub dtype: u32,
    pub rows: u32,
    pub columns: u32,
    pub input_zero_point: i32,
}

/// CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 by int8 weights, all without zero points.
/// Weights: `[out_c][kernel row][kernel column][depth]` (i8). Channel table: for each output channel a bias
/// (i64), multiplier and shift (i32). The sum is one of 64 bits, and multiplied by the upper half of the
/// multiplier.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WideConv2d {
    /// Geometry.
    pub window: Window,
    /// Channels that a filter sees; the filters are divided among as many groups as that makes.
    pub depth: u32,
    /// [`Rounding::UP`] or [`Rounding::FLOAT`].
    pub rounding: u32,
    /// Least output value.
    pub clamp_min: i32,
    /// Largest output value.
    pub clamp_max: i32,
}

/// SVDF of int8. Weights: the bias of each unit (i32), the weights of each filter by age, the oldest first
/// (i16), those by input (i8). State: the last `memory` products of each filter of each batch (i16).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Svdf {
    pub batch: u32,
    pub inputs: u32,
    pub units: u32,
    /// Filters of a unit.
    pub rank: u32,
    pub memory: u32,
    pub input_zero_point: i32,
    pub output_zero_point: i32,
    /// From products with the input to those kept.
    pub feature_multiplier: i32,
    /// Positive to the left.
    pub feature_shift: i32,
    /// From sums over time to outputs.
    pub time_multiplier: i32,
    /// Positive to the left.
    pub time_shift: i32,
}

/// UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with a cell of int16, without peepholes, projection or layer
/// normalisation. Weights: for each of the gates input, forget, cell and output the biases of the sums over
/// the input and over the last output with the zero points folded in (i32), then the weights of the two,
/// `[cells][inputs]` and `[cells][cells]`. State: the cell (i16), then the last output less its zero point,
/// modulo 2⁸.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Lstm {
    pub batch: u32,
    pub time: u32,
    /// 1 for `[time, batch, …]`, 0 for `[batch, time, …]`.
    pub time_major: u32,
    pub inputs: u32,
    pub cells: u32,
    /// Multiplier and shift (positive to the left) of the two sums of each gate, to Q3.12.
    pub gates: [[i32; 2]; 8],
    /// Fraction bits of the cell, 9…15.
    pub cell_fraction_bits: u32,
    /// Largest size of the cell, 0 for any.
    pub cell_clip: u32,
    /// From products in 30 fraction bits to outputs.
    pub hidden_multiplier: i32,
    /// Positive to the left.
    pub hidden_shift: i32,
    pub output_zero_point: i32,
}

/// TFLite_Detection_PostProcess with one class a detection. Boxes that overlap a better one are dropped: in the
/// fast form whatever the classes, each box being of its best class; in the regular form among those of each
/// class. With `n` the most
/// detections, the output is `4n` corners (y, x, y, x), `n` classes, `n` scores and how many there are,
/// all float32, the unused ones 0. Scratch holds 28 bytes a box.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Detection {
    /// Boxes, and anchors.
    pub boxes: u32,
    /// Numbers that encode one box, of which the first four count: y, x, height, width.
    pub encoding: u32,
    /// Classes without the background.
    pub classes: u32,
    /// 1 if each box's scores begin with the background's, else 0.
    pub background: u32,
    /// Most detections.
    pub max_detections: u32,
    /// Most detections of one class in the regular form; 0 for the fast form.
    pub per_class: u32,
    /// Least score, bits of an f32.
    pub score_threshold: u32,
    /// Share of the area from which on boxes count as one, bits of an f32.
    pub overlap_threshold: u32,
    /// What the encodings of y, x, height and width are divided by, bits of f32.
    pub scale: [u32; 4],
}

const _: () = {
    use core::mem::size_of;
    assert!(size_of::<Header>() == 192);
    assert!(size_of::<Io>() == 80);
    assert!(size_of::<Operand>() == 12);
    assert!(size_of::<Op>() == 256);
    assert!(size_of::<Window>() == 60);
    assert!(size_of::<Conv2d>() <= PARAMS);
    assert!(size_of::<DepthwiseConv2d>() <= PARAMS);
    assert!(size_of::<Elementwise>() == 132);
    assert!(size_of::<Lookup>() == 12);
    assert!(size_of::<StridedCopy>() == 92);
    assert!(size_of::<Gather>() == 48);
    assert!(size_of::<ResizeBilinear>() == 44);
    assert!(size_of::<Reduce>() == 36);
    assert!(size_of::<ArgMax>() == 24);
    assert!(size_of::<BatchMatmul>() == 60);
    assert!(size_of::<Select>() == 40);
    assert!(size_of::<Cast>() == 12);
    assert!(size_of::<FloatFunction>() == 8);
    assert!(size_of::<L2Normalization>() == 16);
    assert!(size_of::<WideConv2d>() == 76);
    assert!(size_of::<Svdf>() == 44);
    assert!(size_of::<Lstm>() == 104);
    assert!(size_of::<Detection>() == 48);
    assert!(size_of::<TableSoftmax>() == 32);
    assert!(size_of::<Pool2d>() <= PARAMS);
    assert!(size_of::<Softmax>() <= PARAMS);
    assert!(size_of::<LogSoftmax>() == 32);
    assert!(size_of::<Quantize>() <= PARAMS);
    assert!(size_of::<Dequantize>() <= PARAMS);
    assert!(size_of::<Pad>() <= PARAMS);
    assert!(size_of::<Mean>() <= PARAMS);
};
