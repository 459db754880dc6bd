//! The C structures of `tensorflow/lite/core/c/common.h` on 64-bit Linux, as every runtime from
//! tflite-runtime 2.14 to LiteRT 2.3 lays them out. They have only ever grown at their ends.
#![allow(missing_docs, reason = "the header says what the fields are")]

use core::ffi::{c_char, c_int, c_void};
use core::mem::{offset_of, size_of};

/// `TfLiteStatus`.
pub type Status = c_int;
pub const OK: Status = 0;
pub const ERROR: Status = 1;
pub const DELEGATE_ERROR: Status = 2;

/// `kTfLiteDelegateFlagsAllowDynamicTensors`: take the graph although some shapes are open.
pub const ALLOW_DYNAMIC_TENSORS: i64 = 1;
/// `kTfLiteDelegateFlagsRequirePropagatedShapes`: have shapes worked out before kernels prepare.
pub const REQUIRE_PROPAGATED_SHAPES: i64 = 2;

/// `kTfLiteMmapRo`: a constant of the model.
pub const ALLOCATION_MMAP_RO: c_int = 1;
/// `kTfLiteDynamic`: gets its memory with its shape, during the run.
pub const ALLOCATION_DYNAMIC: c_int = 4;
/// `kTfLiteAffineQuantization`.
pub const QUANTIZATION_AFFINE: c_int = 1;
/// `kTfLiteOptionalTensor`: an input that is left out.
pub const OPTIONAL_TENSOR: c_int = -1;
/// `kTfLiteNullBufferHandle`.
pub const NULL_BUFFER_HANDLE: c_int = -1;
/// `BuiltinOperator_DELEGATE`.
pub const BUILTIN_DELEGATE: i32 = 51;

/// `TfLiteIntArray` and `TfLiteFloatArray`: this head, then `size` elements.
#[repr(C)]
pub struct ArrayHead {
    pub size: c_int,
}

/// `TfLiteDelegate`. The last field stays NULL: the runtime reads it.
#[repr(C)]
pub struct Delegate {
    pub data: *mut c_void,
    pub prepare: Option<unsafe extern "C" fn(*mut Context, *mut Delegate) -> Status>,
    pub copy_from_buffer_handle: Option<unsafe extern "C" fn()>,
    pub copy_to_buffer_handle: Option<unsafe extern "C" fn()>,
    pub free_buffer_handle: Option<unsafe extern "C" fn()>,
    pub flags: i64,
    pub opaque_delegate_builder: *mut c_void,
}

const _: () = assert!(size_of::<Delegate>() == 56);
const _: () = assert!(offset_of!(Delegate, prepare) == 8);
const _: () = assert!(offset_of!(Delegate, flags) == 40);
const _: () = assert!(offset_of!(Delegate, opaque_delegate_builder) == 48);

/// `TfLiteRegistration`, with room to grow. The runtime takes it by value and reads as much as its
/// own version has, which was 64 bytes once and is 88 now, so what is behind has to be zeros.
#[repr(C)]
pub struct Registration {
    pub init: Option<unsafe extern "C" fn(*mut Context, *const c_char, usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(*mut Context, *mut c_void)>,
    pub prepare: Option<unsafe extern "C" fn(*mut Context, *mut Node) -> Status>,
    pub invoke: Option<unsafe extern "C" fn(*mut Context, *mut Node) -> Status>,
    pub profiling_string: Option<unsafe extern "C" fn()>,
    pub builtin_code: i32,
    pub custom_name: *const c_char,
    pub version: c_int,
    pub registration_external: *mut c_void,
    pub async_kernel: *mut c_void,
    pub inplace_operator: u64,
    pub room: [u64; 16],
}

const _: () = assert!(size_of::<Registration>() == 88 + 128);
const _: () = assert!(offset_of!(Registration, builtin_code) == 40);
const _: () = assert!(offset_of!(Registration, custom_name) == 48);
const _: () = assert!(offset_of!(Registration, version) == 56);
const _: () = assert!(offset_of!(Registration, registration_external) == 64);
const _: () = assert!(offset_of!(Registration, async_kernel) == 72);
const _: () = assert!(offset_of!(Registration, inplace_operator) == 80);
const _: () = assert!(offset_of!(Registration, room) == 88);

/// The beginning of `TfLiteContext`, up to the last member that is used here.
#[repr(C)]
pub struct Context {
    pub tensors_size: usize,
    pub get_execution_plan:
        Option<unsafe extern "C" fn(*mut Context, *mut *mut ArrayHead) -> Status>,
    pub tensors: *mut Tensor,
    pub implementation: *mut c_void,
    /// Takes the array, which came from `malloc`.
    pub resize_tensor:
        Option<unsafe extern "C" fn(*mut Context, *mut Tensor, *mut ArrayHead) -> Status>,
    pub report_error: Option<unsafe extern "C" fn(*mut Context, *const c_char, ...)>,
    pub add_tensors: Option<unsafe extern "C" fn()>,
    pub get_node_and_registration: Option<
        unsafe extern "C" fn(
            *mut Context,
            c_int,
            *mut *mut Node,
            *mut *mut RegistrationHead,
        ) -> Status,
    >,
    pub replace_node_subsets: Option<
        unsafe extern "C" fn(*mut Context, Registration, *const ArrayHead, *mut Delegate) -> Status,
    >,
    pub between: [*mut c_void; 9],
    /// NULL before LiteRT.
    pub resize_tensor_explicit:
        Option<unsafe extern "C" fn(*mut Context, *mut Tensor, c_int, *const c_int) -> Status>,
    pub preview_delegate_partitioning: Option<
        unsafe extern "C" fn(
            *mut Context,
            *const ArrayHead,
            *mut *mut DelegateParams,
            *mut c_int,
        ) -> Status,
    >,
}

const _: () = assert!(offset_of!(Context, tensors) == 16);
const _: () = assert!(offset_of!(Context, resize_tensor) == 32);
const _: () = assert!(offset_of!(Context, report_error) == 40);
const _: () = assert!(offset_of!(Context, get_node_and_registration) == 56);
const _: () = assert!(offset_of!(Context, replace_node_subsets) == 64);
const _: () = assert!(offset_of!(Context, resize_tensor_explicit) == 144);
const _: () = assert!(offset_of!(Context, preview_delegate_partitioning) == 152);

/// The part of the runtime's own `TfLiteRegistration` that every version has.
#[repr(C)]
pub struct RegistrationHead {
    pub functions: [*mut c_void; 5],
    pub builtin_code: i32,
    pub custom_name: *const c_char,
    pub version: c_int,
}

const _: () = assert!(offset_of!(RegistrationHead, builtin_code) == 40);
const _: () = assert!(offset_of!(RegistrationHead, custom_name) == 48);
const _: () = assert!(offset_of!(RegistrationHead, version) == 56);

/// `TfLiteTensor`.
#[repr(C)]
pub struct Tensor {
    pub element: c_int,
    pub data: *mut u8,
    pub dims: *mut ArrayHead,
    /// The older `params`: one scale and zero point.
    pub scale: f32,
    pub zero_point: i32,
    pub allocation_type: c_int,
    pub bytes: usize,
    pub allocation: *const c_void,
    pub name: *const c_char,
    pub delegate: *mut Delegate,
    pub buffer_handle: c_int,
    pub data_is_stale: bool,
    pub is_variable: bool,
    pub quantization_type: c_int,
    pub quantization_params: *mut AffineQuantization,
    pub sparsity: *mut c_void,
    pub dims_signature: *const ArrayHead,
}

const _: () = assert!(size_of::<Tensor>() == 112);
const _: () = assert!(offset_of!(Tensor, data) == 8);
const _: () = assert!(offset_of!(Tensor, dims) == 16);
const _: () = assert!(offset_of!(Tensor, scale) == 24);
const _: () = assert!(offset_of!(Tensor, allocation_type) == 32);
const _: () = assert!(offset_of!(Tensor, bytes) == 40);
const _: () = assert!(offset_of!(Tensor, name) == 56);
const _: () = assert!(offset_of!(Tensor, delegate) == 64);
const _: () = assert!(offset_of!(Tensor, buffer_handle) == 72);
const _: () = assert!(offset_of!(Tensor, is_variable) == 77);
const _: () = assert!(offset_of!(Tensor, quantization_type) == 80);
const _: () = assert!(offset_of!(Tensor, quantization_params) == 88);
const _: () = assert!(offset_of!(Tensor, sparsity) == 96);
const _: () = assert!(offset_of!(Tensor, dims_signature) == 104);

/// `TfLiteAffineQuantization`.
#[repr(C)]
pub struct AffineQuantization {
    pub scale: *const ArrayHead,
    pub zero_point: *const ArrayHead,
    pub quantized_dimension: i32,
}

const _: () = assert!(size_of::<AffineQuantization>() == 24);
const _: () = assert!(offset_of!(AffineQuantization, quantized_dimension) == 16);

/// `TfLiteNode`.
#[repr(C)]
pub struct Node {
    pub inputs: *const ArrayHead,
    pub outputs: *const ArrayHead,
    pub intermediates: *const ArrayHead,
    pub temporaries: *const ArrayHead,
    pub user_data: *mut c_void,
    pub builtin_data: *const c_void,
    pub custom_initial_data: *const c_void,
    pub custom_initial_data_size: c_int,
    pub delegate: *mut Delegate,
    pub might_have_side_effect: bool,
}

const _: () = assert!(size_of::<Node>() == 80);
const _: () = assert!(offset_of!(Node, user_data) == 32);
const _: () = assert!(offset_of!(Node, builtin_data) == 40);
const _: () = assert!(offset_of!(Node, custom_initial_data_size) == 56);
const _: () = assert!(offset_of!(Node, delegate) == 64);
const _: () = assert!(offset_of!(Node, might_have_side_effect) == 72);

/// `TfLiteDelegateParams`: a partition, and what a kernel's `init` gets as its buffer.
#[repr(C)]
pub struct DelegateParams {
    pub delegate: *mut Delegate,
    pub nodes_to_replace: *const ArrayHead,
    pub input_tensors: *const ArrayHead,
    pub output_tensors: *const ArrayHead,
}

const _: () = assert!(size_of::<DelegateParams>() == 32);
