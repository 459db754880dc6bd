//! Programs that are small enough to be written by hand, with one input and one output of one size.

use apu_proto::program::{
    DType, FloatFunction, Header, Io, MAGIC, MAX_RANK, Op, Operand, PARAMS, SEGMENT_IO,
    VERSION_MAJOR, VERSION_MINOR, opcode,
};
use zerocopy::{FromZeros, IntoBytes};

/// A program, and the size of what it reads and writes.
#[derive(Clone, Debug)]
pub struct Program {
    /// Header and records: what a job hands to the firmware.
    pub code: Vec<u8>,
    /// Bytes of the input, and of the output.
    pub bytes: u32,
}

impl Program {
    /// Copies `bytes` bytes from the input to the output. It takes no time to speak of.
    pub fn copy(bytes: u32, target: [u8; 32]) -> Self {
        Self::new(bytes, DType::UInt8, target, &[op(opcode::COPY, bytes, &[])])
    }

    /// No operator at all: what is left is the way to the firmware and back.
    pub fn nothing(target: [u8; 32]) -> Self {
        Self::new(4, DType::UInt8, target, &[])
    }

    /// Takes the inverse square root of the input, `times` times, which keeps a core busy without end in sight:
    /// some hundred microseconds for each time.
    pub fn slow(times: usize, target: [u8; 32]) -> Self {
        const NUMBERS: u32 = 1 << 15;
        let bytes = NUMBERS * 4;
        let rsqrt = FloatFunction {
            function: FloatFunction::RSQRT,
            count: NUMBERS,
        };
        let op = op(opcode::FLOAT_FUNCTION, bytes, rsqrt.as_bytes());
        Self::new(bytes, DType::Float32, target, &vec![op; times])
    }

    fn new(bytes: u32, dtype: DType, target: [u8; 32], ops: &[Op]) -> Self {
        let io = io(bytes, dtype);
        let mut header = Header::new_zeroed();
        header.magic = MAGIC;
        (header.version_major, header.version_minor) = (VERSION_MAJOR, VERSION_MINOR);
        header.header_size = size_of::<Header>() as u32;
        header.target = target;
        (header.input_count, header.output_count) = (1, 1);
        header.op_count = ops.len() as u32;
        header.code_size = (size_of::<Header>() + 2 * size_of::<Io>() + size_of_val(ops)) as u32;
        let code = [
            header.as_bytes(),
            io.as_bytes(),
            io.as_bytes(),
            ops.as_bytes(),
        ]
        .concat();
        Self { code, bytes }
    }
}

fn io(bytes: u32, dtype: DType) -> Io {
    let mut shape = [0; MAX_RANK];
    shape[0] = bytes / dtype.size() as u32;
    let mut io = Io::new_zeroed();
    (io.size, io.dtype, io.rank, io.shape) = (bytes.into(), dtype as u32, 1, shape);
    io
}

/// An operator from the input to the output.
fn op(opcode: u32, bytes: u32, parameters: &[u8]) -> Op {
    let operand = |segment| Operand {
        segment,
        offset: 0,
        size: bytes,
    };
    let mut params = [0; PARAMS];
    for (param, byte) in params.iter_mut().zip(parameters) {
        *param = *byte;
    }
    let mut op = Op::new_zeroed();
    (op.opcode, op.params) = (opcode, params);
    op.operands[0] = operand(SEGMENT_IO);
    op.operands[1] = operand(SEGMENT_IO + 1);
    op
}
