//! Builds programs for the tests, and memory to run them in.

#![allow(dead_code, reason = "each test file uses its own part")]

use apu_firmware::View;
use apu_firmware::memory::{AddressFault, AddressSpace, Ranges, Reach};
use apu_proto::program::{
    Conv2d, DType, Exponentials, Header, Io, MAGIC, MAX_OPERANDS, MAX_RANK, Mean, OP_RANK, Op,
    Operand, PARAMS, Softmax, TARGET_K4N16, VERSION_MAJOR, VERSION_MINOR, Window, opcode,
};
use std::cell::RefCell;
use zerocopy::{FromZeros, Immutable, IntoBytes};

pub const CONSTANTS: u32 = 0;
pub const ARENA: u32 = 1;

/// A program of which a test may change any part before it is encoded.
#[derive(Clone)]
pub struct Source {
    pub header: Header,
    pub ios: Vec<Io>,
    pub ops: Vec<Op>,
}

impl Source {
    /// A program with these sizes of arena, constants, inputs and outputs, without operators.
    pub fn new(constants: u64, arena: u64, inputs: &[u32], outputs: &[u32]) -> Self {
        let mut header = Header::new_zeroed();
        header.magic = MAGIC;
        header.version_major = VERSION_MAJOR;
        header.version_minor = VERSION_MINOR;
        header.header_size = size_of::<Header>() as u32;
        header.target[..TARGET_K4N16.len()].copy_from_slice(TARGET_K4N16.as_bytes());
        header.input_count = inputs.len() as u32;
        header.output_count = outputs.len() as u32;
        header.constants_size = constants;
        header.arena_size = arena;
        let ios = inputs.iter().chain(outputs).map(|size| io(*size)).collect();
        let ops = Vec::new();
        Self { header, ios, ops }
    }

    /// Adds an operator.
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// The code with the counts and sizes that it really has.
    pub fn code(mut self) -> Vec<u8> {
        self.header.op_count = self.ops.len() as u32;
        self.header.code_size = (size_of::<Header>()
            + self.ios.len() * size_of::<Io>()
            + self.ops.len() * size_of::<Op>()) as u32;
        self.raw()
    }

    /// The code with the header as it is.
    pub fn raw(&self) -> Vec<u8> {
        let mut code = self.header.as_bytes().to_vec();
        code.extend(self.ios.as_bytes());
        code.extend(self.ops.as_bytes());
        code
    }
}

fn io(size: u32) -> Io {
    let mut shape = [0; MAX_RANK];
    shape[..2].copy_from_slice(&[1, size]);
    Io {
        size: size.into(),
        dtype: DType::UInt8 as u32,
        rank: 2,
        shape,
        ..Io::new_zeroed()
    }
}

pub const fn operand(segment: u32, offset: u32, size: u32) -> Operand {
    Operand {
        segment,
        offset,
        size,
    }
}

pub fn op<P: IntoBytes + Immutable>(opcode: u32, params: &P, list: &[Operand]) -> Op {
    let mut operands = [Operand::default(); MAX_OPERANDS];
    operands[..list.len()].copy_from_slice(list);
    let mut bytes = [0; PARAMS];
    bytes[..size_of::<P>()].copy_from_slice(params.as_bytes());
    Op {
        opcode,
        operands,
        params: bytes,
        ..Op::new_zeroed()
    }
}

pub fn copy(from: Operand, to: Operand) -> Op {
    op(opcode::COPY, &(), &[from, to])
}

/// Input 0 to arena to output 0, 64 bytes each.
pub fn through_the_arena() -> Source {
    Source::new(0, 128, &[64], &[64])
        .op(copy(operand(2, 0, 64), operand(ARENA, 64, 64)))
        .op(copy(operand(ARENA, 64, 64), operand(3, 0, 64)))
}

/// A convolution with scratch, a mean with scratch, a softmax into the output: 4x4x3 in, 16 out.
pub fn small_network() -> Source {
    let conv = Conv2d {
        window: Window {
            batch: 1,
            in_h: 4,
            in_w: 4,
            in_c: 3,
            out_h: 4,
            out_w: 4,
            out_c: 16,
            kernel_h: 3,
            kernel_w: 3,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 1,
            pad_left: 1,
        },
        dtype: DType::UInt8 as u32,
        input_zero_point: 128,
        weight_zero_point: 0,
        output_zero_point: 128,
        clamp_min: 0,
        clamp_max: 255,
        ..Conv2d::new_zeroed()
    };
    let mut in_shape = [1; OP_RANK];
    in_shape[2..].copy_from_slice(&[1, 4, 4, 16]);
    let mean = Mean {
        dtype: DType::UInt8 as u32,
        input_zero_point: 128,
        output_zero_point: 128,
        multiplier: 1 << 30,
        shift: -3,
        reduced: 0b011000,
        in_shape,
        rounding: 0,
    };
    let softmax = Softmax {
        exponentials: Exponentials {
            dtype: DType::UInt8 as u32,
            rows: 1,
            columns: 16,
            input_multiplier: 1 << 30,
            input_left_shift: 20,
            diff_min: -100,
        },
        wide: 0,
    };
    let weights = operand(CONSTANTS, 0, 36 * 16);
    let table = operand(CONSTANTS, 576, 16 * 3 * 4);
    let feature_map = operand(ARENA, 0, 256);
    let conv_scratch = operand(ARENA, 256, 64 * 36);
    let means = operand(ARENA, 256, 16);
    let mean_scratch = operand(ARENA, 320, 64);
    Source::new(768, 256 + 64 * 36, &[48], &[16])
        .op(op(
            opcode::CONV_2D,
            &conv,
            &[operand(2, 0, 48), weights, table, feature_map, conv_scratch],
        ))
        .op(op(opcode::MEAN, &mean, &[feature_map, means, mean_scratch]))
        .op(op(opcode::SOFTMAX, &softmax, &[means, operand(3, 0, 16)]))
}

/// Device memory from address 0: all is mapped, and the first `read_only` bytes for reading only.
pub struct Ram {
    pub bytes: RefCell<Vec<u8>>,
    pub read_only: u64,
}

impl Ram {
    fn check(&self, reach: &Reach) -> Result<(), AddressFault> {
        let end = self.bytes.borrow().len() as u64;
        let first = if reach.write { self.read_only } else { 0 };
        let bad = if reach.va < first || reach.va >= end {
            reach.va
        } else {
            end
        };
        if reach.size == 0 || (reach.va >= first && reach.range().end <= end) {
            return Ok(());
        }
        Err(AddressFault {
            address: bad,
            write: reach.write,
        })
    }
}

impl AddressSpace for Ram {
    fn reach<R>(
        &self,
        ranges: &Ranges,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> Result<R, AddressFault> {
        let index = |reach: &Reach| reach.va as usize..reach.range().end as usize;
        let mut copies = Vec::new();
        for reach in ranges.as_slice() {
            self.check(reach)?;
            let bytes = self.bytes.borrow();
            copies.push((*reach, bytes.get(index(reach)).unwrap_or_default().to_vec()));
        }
        let mut views: Vec<View<'_>> = copies
            .iter_mut()
            .map(|(reach, bytes)| match reach.write {
                true => View::Write(bytes),
                false => View::Read(bytes),
            })
            .collect();
        let result = work(&mut views);
        drop(views);
        for (reach, copy) in copies
            .iter()
            .filter(|(reach, _)| reach.write && reach.size > 0)
        {
            self.bytes.borrow_mut()[index(reach)].copy_from_slice(copy);
        }
        Ok(result)
    }
}
