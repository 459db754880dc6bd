//! A program as the compiler would write it, small enough to be written by hand.

use apu_proto::program::{
    DType, Header, Io, MAGIC, MAX_OPERANDS, Op, Operand, PARAMS, Pool2d, VERSION_MAJOR,
    VERSION_MINOR, Window, opcode,
};
use core::mem::{offset_of, size_of};
use zerocopy_derive::{Immutable, IntoBytes};

/// Bytes of the input: a 2x2 image of two channels.
pub const INPUT: usize = 2 * 2 * 2;
/// Bytes of the output: a pixel of two channels.
pub const OUTPUT: usize = 2;

/// The code part of a program with one input, one output and one operator.
#[derive(Immutable, IntoBytes)]
#[repr(C)]
pub struct Code {
    header: Header,
    input: Io,
    output: Io,
    max_pool: Op,
}

/// MAX_POOL_2D over the whole image.
pub static PROGRAM: Code = Code {
    header: Header {
        magic: MAGIC,
        version_major: VERSION_MAJOR,
        version_minor: VERSION_MINOR,
        header_size: size_of::<Header>() as u32,
        required_features: 0,
        target: *b"k4n16\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        numerics: 0,
        input_count: 1,
        output_count: 1,
        op_count: 1,
        code_size: size_of::<Code>() as u32,
        names_offset: 0,
        names_size: 0,
        pad: 0,
        constants_offset: 0,
        constants_size: 0,
        arena_size: 0,
        macs: 0,
        hash: [0; 32],
        reserved: [0; 40],
    },
    input: io([1, 2, 2, 2]),
    output: io([1, 1, 1, 2]),
    max_pool: Op {
        opcode: opcode::MAX_POOL_2D,
        source: 0,
        name_offset: 0,
        name_size: 0,
        operands: OPERANDS,
        params: params(),
    },
};

const OPERANDS: [Operand; MAX_OPERANDS] = {
    const UNUSED: Operand = Operand {
        segment: 0,
        offset: 0,
        size: 0,
    };
    let mut operands = [UNUSED; MAX_OPERANDS];
    operands[0] = Operand {
        segment: 2,
        offset: 0,
        size: INPUT as u32,
    };
    operands[1] = Operand {
        segment: 3,
        offset: 0,
        size: OUTPUT as u32,
    };
    operands
};

const fn io(shape: [u32; 4]) -> Io {
    let [n, h, w, c] = shape;
    Io {
        size: (n * h * w * c) as u64,
        dtype: DType::UInt8 as u32,
        rank: 4,
        shape: [n, h, w, c, 0, 0, 0, 0],
        scale: 0,
        zero_point: 0,
        name_offset: 0,
        name_size: 0,
        reserved: [0; 4],
    }
}

/// The words of a [`Pool2d`], in its order.
const fn params() -> [u8; PARAMS] {
    const WORDS: [u32; size_of::<Pool2d>() / 4] = [
        1,
        2,
        2,
        2, // batch, in_h, in_w, in_c
        1,
        1,
        2, // out_h, out_w, out_c
        2,
        2,
        1,
        1,
        1,
        1, // kernel, stride, dilation
        0,
        0, // pad_top, pad_left
        DType::UInt8 as u32,
        0,
        255, // dtype, clamp_min, clamp_max
    ];
    const { assert!(offset_of!(Pool2d, dtype) == size_of::<Window>()) };
    let mut params = [0; PARAMS];
    let mut at = 0;
    while at < WORDS.len() * 4 {
        params[at] = WORDS[at / 4].to_le_bytes()[at % 4];
        at += 1;
    }
    params
}
