//! The operators of a program ([`apu_proto::program::opcode`]), one module each.
//!
//! Every module has `sizes`, which checks the parameters of an operator and tells the exact size of
//! each operand in bytes, and `run`, which does the work on operands of those sizes. After `sizes`
//! has accepted the parameters, `run` neither panics nor leaves the operands, whatever bytes they
//! hold. The arithmetic is that of TFLite's reference integer kernels, byte for byte; each operator
//! has one plain implementation, and faster ones must equal it. An [`Isa`] says which one runs.
//!
//! Nothing here allocates, and nothing needs an operating system.

#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod arg_max;
pub mod batch_matmul;
pub mod cast;
pub mod conv_2d;
pub mod copy;
pub mod depthwise_conv_2d;
pub mod dequantize;
pub mod detection;
pub mod elementwise;
pub mod fixed_point;
pub mod float_function;
pub mod float_math;
pub mod float_softmax;
pub mod gather;
pub mod l2_normalization;
pub mod log_softmax;
pub mod lookup;
pub mod lstm;
pub mod mean;
pub mod pad;
pub mod pool_2d;
pub mod quantize;
pub mod ramp;
pub mod reduce;
pub mod requant;
pub mod resize_bilinear;
pub mod select;
pub mod softmax;
pub mod strided_copy;
pub mod svdf;
pub mod table_softmax;
pub mod wide_conv_2d;

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod broadcast;
mod byte;
mod channel_table;
mod error;
mod fixed_point_16;
mod isa;
mod limits;
mod share;
mod window;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use error::Error;
pub use isa::Isa;
pub use limits::Sizes;
pub use share::{Cut, MAX_SHARES};
