//! The tables of a `.tflite` flatbuffer that the importer reads, by the field numbers of TFLite's
//! `schema.fbs`.
//!
//! One list gives both the accessors and the verifier, so what can be read has been verified.
//! Tables and fields that aren't listed are neither read nor verified.

use flatbuffers::{
    Follow, ForwardsUOffset, InvalidFlatbuffer, SimpleToVerifyInSlice, Table, VOffsetT, Vector,
    Verifiable, Verifier, VerifierOptions, read_scalar_at,
};

use crate::Error;

/// Bytes 4 to 8 of every model.
const IDENTIFIER: &[u8] = b"TFL3";

/// The root table of a model, verified.
///
/// # Errors
/// [`Error::NotAModel`] without the identifier, [`Error::Damaged`] when an offset or a length is
/// wrong.
pub(crate) fn open(file: &[u8]) -> Result<Model<'_>, Error> {
    let identifier = file.get(4..8).unwrap_or(file.get(4..).unwrap_or_default());
    if identifier != IDENTIFIER {
        return Err(Error::NotAModel {
            got: identifier.to_vec(),
        });
    }
    // Tables may share their parts, so a sound file unfolds to more than itself, but not to much
    // more.
    let options = VerifierOptions {
        max_apparent_size: file.len().saturating_mul(8),
        ..VerifierOptions::default()
    };
    flatbuffers::root_with_opts::<Model>(&options, file).map_err(|e| Error::Damaged(Box::new(e)))
}

/// A vector of tables.
pub(crate) type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;

/// An i64 in a vector. Some writers align these like the vector's length, to four bytes, and TFLite reads
/// them all the same.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Long([u8; 8]);

impl SimpleToVerifyInSlice for Long {}

impl<'a> Follow<'a> for Long {
    type Inner = i64;
    unsafe fn follow(buf: &'a [u8], loc: usize) -> i64 {
        // SAFETY: the caller passes the place of verified bytes of this size, as `Follow` asks; a scalar is
        // read from bytes of any alignment.
        unsafe { read_scalar_at::<i64>(buf, loc) }
    }
}

/// Place of field number `id` in a table's vtable.
const fn slot(id: VOffsetT) -> VOffsetT {
    4 + 2 * id
}

/// Declares tables: `scalar: type = id, default;` gives the value, `offset: type = id;` an option.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident {
        $($scalar:ident: $sty:ty = $sid:literal, $default:literal;)*
        $(@ $offset:ident: $oty:ty = $oid:literal;)*
        $(union $union:expr;)?
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name<'a>(Table<'a>);

        impl<'a> Follow<'a> for $name<'a> {
            type Inner = Self;
            unsafe fn follow(buf: &'a [u8], loc: usize) -> Self {
                // SAFETY: the caller passes the place of a verified table of this kind, as `Follow`
                // asks.
                Self(unsafe { Table::new(buf, loc) })
            }
        }

        impl<'a> Verifiable for $name<'a> {
            fn run_verifier(v: &mut Verifier, pos: usize) -> Result<(), InvalidFlatbuffer> {
                #[allow(unused_mut)]
                let mut table = v.visit_table(pos)?
                    $(.visit_field::<$sty>(stringify!($scalar), slot($sid), false)?)*
                    $(.visit_field::<ForwardsUOffset<$oty>>(stringify!($offset), slot($oid), false)?)*;
                $($union(&mut table)?;)?
                table.finish();
                Ok(())
            }
        }

        impl<'a> $name<'a> {
            $(pub fn $scalar(&self) -> $sty {
                // SAFETY: a value of this type comes from `open` alone, which verified this field
                // as this type.
                unsafe { self.0.get::<$sty>(slot($sid), Some($default)) }.unwrap_or($default)
            })*
            $(pub fn $offset(&self) -> Option<<$oty as Follow<'a>>::Inner> {
                // SAFETY: a value of this type comes from `open` alone, which verified this field
                // as this type.
                unsafe { self.0.get::<ForwardsUOffset<$oty>>(slot($oid), None) }
            })*
        }
    )*};
}

tables! {
    Model {
        @ operator_codes: Tables<'a, OperatorCode<'a>> = 1;
        @ subgraphs: Tables<'a, SubGraph<'a>> = 2;
        @ description: &'a str = 3;
        @ buffers: Tables<'a, Buffer<'a>> = 4;
    }
    OperatorCode {
        deprecated_builtin_code: i8 = 0, 0;
        version: i32 = 2, 1;
        builtin_code: i32 = 3, 0;
        @ custom_code: &'a str = 1;
    }
    SubGraph {
        @ tensors: Tables<'a, Tensor<'a>> = 0;
        @ inputs: Vector<'a, i32> = 1;
        @ outputs: Vector<'a, i32> = 2;
        @ operators: Tables<'a, Operator<'a>> = 3;
        @ name: &'a str = 4;
    }
    Tensor {
        element: i8 = 1, 0;
        buffer: u32 = 2, 0;
        is_variable: bool = 5, false;
        external_buffer: u32 = 10, 0;
        @ shape: Vector<'a, i32> = 0;
        @ name: &'a str = 3;
        @ quantization: QuantizationParameters<'a> = 4;
        @ sparsity: Opaque<'a> = 6;
    }
    QuantizationParameters {
        details_type: u8 = 4, 0;
        quantized_dimension: i32 = 6, 0;
        @ scale: Vector<'a, f32> = 2;
        @ zero_point: Vector<'a, Long> = 3;
    }
    #[expect(dead_code, reason = "only the presence of the table matters")]
    Opaque {}
    Buffer {
        offset: u64 = 1, 0;
        size: u64 = 2, 0;
        @ data: Vector<'a, u8> = 0;
    }
    Operator {
        opcode_index: u32 = 0, 0;
        options_type: u8 = 3, 0;
        @ inputs: Vector<'a, i32> = 1;
        @ outputs: Vector<'a, i32> = 2;
        @ custom_options: Vector<'a, u8> = 5;
        @ intermediates: Vector<'a, i32> = 8;
        union verify_options;
    }
    Conv2DOptions {
        padding: i8 = 0, 0;
        stride_w: i32 = 1, 0;
        stride_h: i32 = 2, 0;
        activation: i8 = 3, 0;
        dilation_w: i32 = 4, 1;
        dilation_h: i32 = 5, 1;
    }
    DepthwiseConv2DOptions {
        padding: i8 = 0, 0;
        stride_w: i32 = 1, 0;
        stride_h: i32 = 2, 0;
        activation: i8 = 4, 0;
        dilation_w: i32 = 5, 1;
        dilation_h: i32 = 6, 1;
    }
    Pool2DOptions {
        padding: i8 = 0, 0;
        stride_w: i32 = 1, 0;
        stride_h: i32 = 2, 0;
        filter_width: i32 = 3, 0;
        filter_height: i32 = 4, 0;
        activation: i8 = 5, 0;
    }
    FullyConnectedOptions {
        activation: i8 = 0, 0;
        weights_format: i8 = 1, 0;
        keep_num_dims: bool = 2, false;
    }
    SoftmaxOptions {
        beta: f32 = 0, 0.0;
    }
    FusedOptions {
        activation: i8 = 0, 0;
    }
    SumOptions {
        activation: i8 = 0, 0;
        pot_scale_int16: bool = 1, true;
    }
    ConcatenationOptions {
        axis: i32 = 0, 0;
        activation: i8 = 1, 0;
    }
    LeakyReluOptions {
        alpha: f32 = 0, 0.0;
    }
    GeluOptions {
        approximate: bool = 0, false;
    }
    StackOptions {
        axis: i32 = 1, 0;
    }
    BlockOptions {
        block_size: i32 = 0, 0;
    }
    GatherOptions {
        axis: i32 = 0, 0;
        batch_dims: i32 = 1, 0;
    }
    MirrorPadOptions {
        mode: i8 = 0, 0;
    }
    ResizeBilinearOptions {
        align_corners: bool = 2, false;
        half_pixel_centers: bool = 3, false;
    }
    ResizeNearestNeighborOptions {
        align_corners: bool = 0, false;
        half_pixel_centers: bool = 1, false;
    }
    StridedSliceOptions {
        begin_mask: i32 = 0, 0;
        end_mask: i32 = 1, 0;
        ellipsis_mask: i32 = 2, 0;
        new_axis_mask: i32 = 3, 0;
        shrink_axis_mask: i32 = 4, 0;
        offset: bool = 5, false;
    }
    TransposeConvOptions {
        padding: i8 = 0, 0;
        stride_w: i32 = 1, 0;
        stride_h: i32 = 2, 0;
        activation: i8 = 3, 0;
    }
    BatchMatMulOptions {
        adj_x: bool = 0, false;
        adj_y: bool = 1, false;
    }
    SvdfOptions {
        rank: i32 = 0, 0;
        activation: i8 = 1, 0;
    }
    CallOnceOptions {
        init_subgraph_index: i32 = 0, 0;
    }
    VarHandleOptions {
        @ container: &'a str = 0;
        @ shared_name: &'a str = 1;
    }
    LstmOptions {
        activation: i8 = 0, 0;
        cell_clip: f32 = 1, 0.0;
        projection_clip: f32 = 2, 0.0;
        time_major: bool = 3, false;
    }
}

/// The attributes of an operator, of the kinds that are read.
pub(crate) enum OperatorOptions<'a> {
    Conv2D(Conv2DOptions<'a>),
    DepthwiseConv2D(DepthwiseConv2DOptions<'a>),
    Pool2D(Pool2DOptions<'a>),
    Svdf(SvdfOptions<'a>),
    FullyConnected(FullyConnectedOptions<'a>),
    Softmax(SoftmaxOptions<'a>),
    Concatenation(ConcatenationOptions<'a>),
    Add(SumOptions<'a>),
    L2Norm(FusedOptions<'a>),
    ResizeBilinear(ResizeBilinearOptions<'a>),
    SpaceToDepth(BlockOptions<'a>),
    Mul(FusedOptions<'a>),
    Gather(GatherOptions<'a>),
    Sub(SumOptions<'a>),
    Div(FusedOptions<'a>),
    StridedSlice(StridedSliceOptions<'a>),
    TransposeConv(TransposeConvOptions<'a>),
    Pack(StackOptions<'a>),
    Unpack(StackOptions<'a>),
    Lstm(LstmOptions<'a>),
    ResizeNearestNeighbor(ResizeNearestNeighborOptions<'a>),
    LeakyRelu(LeakyReluOptions<'a>),
    MirrorPad(MirrorPadOptions<'a>),
    DepthToSpace(BlockOptions<'a>),
    BatchMatMul(BatchMatMulOptions<'a>),
    CallOnce(CallOnceOptions<'a>),
    VarHandle(VarHandleOptions<'a>),
    Gelu(GeluOptions<'a>),
}

/// Field number of the attributes; the field before it says which table they are.
const OPTIONS: VOffsetT = 4;
const OPTIONS_TYPE: VOffsetT = 3;

/// Numbers of the attributes' tables in the schema's union `BuiltinOptions`, for verifying and
/// reading alike.
macro_rules! options {
    ($($number:literal => $variant:ident($table:ident),)*) => {
        fn verify_options(table: &mut flatbuffers::TableVerifier) -> Result<(), InvalidFlatbuffer> {
            let kind = match table.deref(slot(OPTIONS_TYPE))? {
                Some(pos) => table.verifier().get_u8(pos)?,
                None => 0,
            };
            // Old converters name a kind and leave the table out, so a lone kind is no fault.
            let Some(pos) = table.deref(slot(OPTIONS))? else { return Ok(()) };
            match kind {
                $($number => ForwardsUOffset::<$table>::run_verifier(table.verifier(), pos),)*
                _ => Ok(()),
            }
        }

        impl<'a> Operator<'a> {
            /// The attributes, unless they are left out or of a kind that isn't read.
            pub fn options(&self) -> Option<OperatorOptions<'a>> {
                match self.options_type() {
                    // SAFETY: `verify_options` verified the table as the kind that its number
                    // names.
                    $($number => unsafe { self.0.get::<ForwardsUOffset<$table>>(slot(OPTIONS), None) }
                        .map(OperatorOptions::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

options! {
    1 => Conv2D(Conv2DOptions),
    2 => DepthwiseConv2D(DepthwiseConv2DOptions),
    5 => Pool2D(Pool2DOptions),
    6 => Svdf(SvdfOptions),
    8 => FullyConnected(FullyConnectedOptions),
    9 => Softmax(SoftmaxOptions),
    10 => Concatenation(ConcatenationOptions),
    11 => Add(SumOptions),
    12 => L2Norm(FusedOptions),
    15 => ResizeBilinear(ResizeBilinearOptions),
    19 => SpaceToDepth(BlockOptions),
    21 => Mul(FusedOptions),
    23 => Gather(GatherOptions),
    28 => Sub(SumOptions),
    29 => Div(FusedOptions),
    32 => StridedSlice(StridedSliceOptions),
    49 => TransposeConv(TransposeConvOptions),
    59 => Pack(StackOptions),
    64 => Unpack(StackOptions),
    71 => Lstm(LstmOptions),
    74 => ResizeNearestNeighbor(ResizeNearestNeighborOptions),
    75 => LeakyRelu(LeakyReluOptions),
    77 => MirrorPad(MirrorPadOptions),
    94 => DepthToSpace(BlockOptions),
    101 => BatchMatMul(BatchMatMulOptions),
    103 => CallOnce(CallOnceOptions),
    111 => VarHandle(VarHandleOptions),
    116 => Gelu(GeluOptions),
}
