//! Changes of programs.

use apu_firmware::{Error, Layout, OpError, Program};
use apu_proto::program::{Header, Io, Op, Operand};
use fastrand::Rng;
use zerocopy::{FromBytes, IntoBytes};

use super::number;

/// Most segments' bytes that a change asks for.
const MOST: u64 = 1 << 16;
/// Most things that are put right behind a change.
const REPAIRS: usize = 24;

/// The program with one to four of its words changed, and, as far as that is possible, what they contradict
/// made to fit: sizes, and where operands lie. `None` if the file isn't the code of a program.
pub fn program(file: &[u8], seed: u64) -> Option<Vec<u8>> {
    let mut random = Rng::with_seed(seed);
    let mut program = file.to_vec();
    let code = Header::read_from_prefix(file).ok()?.0.code_size as usize;
    Layout::read(file.get(..code)?).ok()?;
    let first = first_record(&program)?;
    let records = (code - first) / size_of::<Op>();
    for _ in 0..random.usize(1..=4) {
        if records == 0 {
            break;
        }
        let at = first + random.usize(..records) * size_of::<Op>();
        match random.u8(..8) {
            0 => {
                let other = first + random.usize(..records) * size_of::<Op>();
                program.copy_within(other..other + size_of::<Op>(), at);
            }
            1 => word(&mut program, at, &mut random, 1..2),
            2 => word(&mut program, at, &mut random, 4..22),
            // Most structures are short.
            3..=5 => word(&mut program, at, &mut random, 22..42),
            _ => word(&mut program, at, &mut random, 22..64),
        }
    }
    for _ in 0..REPAIRS {
        let Err(error) = Program::validate(&program[..code]) else {
            break;
        };
        if repair(&mut program, first, &error, &mut random).is_none() {
            break;
        }
    }
    Some(program)
}

fn first_record(program: &[u8]) -> Option<usize> {
    let header = Header::read_from_prefix(program).ok()?.0;
    let ends = header.input_count.checked_add(header.output_count)? as usize;
    Some(size_of::<Header>() + ends * size_of::<Io>())
}

/// Changes one of these words of a record.
fn word(program: &mut [u8], record: usize, random: &mut Rng, words: std::ops::Range<usize>) {
    let at = record + random.usize(words) * 4;
    let Some(bytes) = program.get_mut(at..at + 4) else {
        return;
    };
    let old = u32::read_from_bytes(bytes).unwrap_or(0);
    let new = number(random, old);
    bytes.copy_from_slice(&new.to_le_bytes());
}

/// Puts right what is wrong, if it is the place or size of an operand. What is left to do is found out by
/// validating again.
fn repair(program: &mut [u8], first: usize, error: &Error, random: &mut Rng) -> Option<()> {
    let &Error::Op { index, reason } = error else {
        return None;
    };
    let (mut header, _) = Header::read_from_prefix(program).ok()?;
    let at = first + index * size_of::<Op>();
    let (mut op, _) = Op::read_from_prefix(program.get(at..)?).ok()?;
    match reason {
        OpError::OperandSize {
            operand, needed, ..
        } => op.operands.get_mut(operand)?.size = needed,
        OpError::OperandBounds { operand, end, .. } if end <= MOST => {
            let operand = op.operands.get_mut(operand)?;
            match operand.segment {
                0 => header.constants_size = header.constants_size.max(end),
                1 => header.arena_size = header.arena_size.max(end),
                _ => operand.segment = 1,
            }
        }
        OpError::OperandBounds { operand, .. } => op.operands.get_mut(operand)?.offset = 0,
        OpError::ReadOnly { operand, .. } => op.operands.get_mut(operand)?.segment = 1,
        OpError::Alias { written, .. } => {
            let end = |it: &Operand| u64::from(it.offset) + u64::from(it.size);
            let behind = op.operands.iter().map(end).max()?;
            let operand = op.operands.get_mut(written)?;
            operand.segment = 1;
            operand.offset = u32::try_from(behind.next_multiple_of(64)).ok()?;
        }
        _ => {
            // A parameter that isn't allowed: another one may be.
            word(program, at, random, 22..64);
            return Some(());
        }
    }
    header.write_to_prefix(program).ok()?;
    op.write_to_prefix(program.get_mut(at..)?).ok()
}
