//! Whatever decides that a program may be run.

use apu_firmware::{Layout, Program};
use apu_proto::program::{
    ALIGN, DType, Header, Io, MAGIC, Op, Operand, TARGET_K4N16, VERSION_MAJOR, VERSION_MINOR,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A file that begins as a program, or else records of a program that is fine but for them, is refused with an
/// error, or each operator stays within the segments, writes only where it may, and nothing that it reads.
pub fn validator(bytes: &[u8]) {
    if bytes.starts_with(&MAGIC) {
        if let Ok((header, _)) = Header::read_from_prefix(bytes) {
            let size = bytes.len().min(header.code_size as usize);
            code(&bytes[..size]);
            parsed(bytes.to_vec());
        }
        // A device is handed whole pages.
        code(bytes);
    } else if let Some((sizes, records)) = bytes.split_at_checked(8) {
        code(&program(sizes, records));
    }
}

fn code(code: &[u8]) {
    let program = match Program::validate(code) {
        Ok(program) => program,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let layout = program.layout();
    for operator in program.operators() {
        let operator = operator.expect("it has been validated");
        let written = operator.output();
        for operand in operator.reads().iter().chain([&written]) {
            inside(layout, operand);
        }
        if written.size > 0 {
            assert!(layout.is_written(written.segment as usize));
            let mut reads = operator.reads().iter();
            assert!(reads.all(|read| apart(read, &written)));
        }
    }
}

fn inside(layout: &Layout, operand: &Operand) {
    let sizes = layout.segment_sizes();
    let end = u64::from(operand.offset) + u64::from(operand.size);
    let limit = sizes.get(operand.segment as usize).map(|&size| size as u64);
    assert!(operand.size == 0 || limit.is_some_and(|limit| end <= limit));
}

fn apart(one: &Operand, other: &Operand) -> bool {
    let end = |it: &Operand| u64::from(it.offset) + u64::from(it.size);
    one.segment != other.segment
        || one.size == 0
        || end(one) <= other.offset.into()
        || end(other) <= one.offset.into()
}

/// What libapu makes of the file, once with the hash that it has and once with the right one.
fn parsed(mut file: Vec<u8>) {
    for _ in 0..2 {
        match apu::Program::parse(file.as_slice()) {
            Ok(program) => {
                let ends = program.inputs().iter().chain(program.outputs());
                ends.for_each(|it| assert_eq!(bytes(it), Some(it.size)));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let Ok((mut header, _)) = Header::read_from_prefix(&file) else {
            return;
        };
        header.hash = [0; 32];
        // INVARIANT: a header has just been read from there.
        header.write_to_prefix(&mut file).expect("it fits");
        header.hash = blake3::hash(&file).into();
        header.write_to_prefix(&mut file).expect("it fits");
    }
}

/// What the shape asks for.
fn bytes(tensor: &apu::Tensor) -> Option<usize> {
    let element = tensor.dtype.size();
    let mut shape = tensor.shape.iter();
    shape.try_fold(element, |bytes, &size| bytes.checked_mul(size))
}

/// Sizes of the constants, the arena, an input and an output, two bytes each, and the records.
fn program(sizes: &[u8], records: &[u8]) -> Vec<u8> {
    let (sizes, _) = <[[u8; 2]; 4]>::read_from_prefix(sizes).expect("there are eight bytes");
    let [constants, arena, input, output] = sizes.map(u16::from_le_bytes);
    let records = records.chunks(size_of::<Op>()).map(|bytes| {
        let mut op = Op::new_zeroed();
        op.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        op
    });
    let records: Vec<Op> = records.collect();
    let ends = [input, output].map(|size| Io {
        size: size.into(),
        dtype: DType::Int8 as u32,
        rank: 1,
        shape: [size.into(), 0, 0, 0, 0, 0, 0, 0],
        ..Io::new_zeroed()
    });
    let mut header = Header {
        magic: MAGIC,
        version_major: VERSION_MAJOR,
        version_minor: VERSION_MINOR,
        header_size: size_of::<Header>() as u32,
        input_count: 1,
        output_count: 1,
        op_count: records.len() as u32,
        constants_size: constants.into(),
        arena_size: arena.into(),
        ..Header::new_zeroed()
    };
    header.target[..TARGET_K4N16.len()].copy_from_slice(TARGET_K4N16.as_bytes());
    let parts = [ends.as_bytes(), records.as_bytes()].concat();
    header.code_size = (size_of::<Header>() + parts.len()) as u32;
    let mut code = [header.as_bytes(), &parts].concat();
    code.resize(code.len().next_multiple_of(ALIGN), 0);
    code
}
