//! Whatever runs a program that has been validated.

use apu_firmware::{Alone, Program, View, run_operators};
use apu_kernels::Isa;
use apu_proto::program::{Conv2d, DepthwiseConv2d, Header, Io, Op, opcode};
use core::mem;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of all segments of a program that is run. Larger ones take long, and show no more.
const MOST: usize = 1 << 16;
/// Multiplications of a program that is run, as the firmware itself counts them.
const MOST_WORK: u64 = 1 << 31;
/// Bytes around a segment that nothing may touch, and what is in them.
const GUARD: usize = 64;
const UNTOUCHED: u8 = 0x5a;

/// A program is refused, or ends and keeps within its memory, whatever is there. Without its ramps, which
/// may say something else than its factors do, it computes the same with all instructions of this machine.
pub fn interpreter(file: &[u8]) {
    if let Ok(Some(memory)) = Memory::of(file)
        && memory.is_small()
    {
        let memory = memory.filled(file);
        let plain = memory.without_ramps();
        if plain.code != memory.code {
            run_with(memory, Isa::detect());
        }
        run(plain);
    }
}

/// A program and its segments, each amid bytes that are no part of it.
#[derive(Clone)]
pub(super) struct Memory {
    code: Vec<u8>,
    segments: Vec<Vec<u8>>,
    outputs: usize,
}

impl Memory {
    /// None if the file's header isn't all there; an error if the firmware refuses the program.
    pub fn of(file: &[u8]) -> Result<Option<Self>, apu_firmware::Error> {
        let Ok((header, _)) = Header::read_from_prefix(file) else {
            return Ok(None);
        };
        let Some(code) = file.get(..header.code_size as usize) else {
            return Ok(None);
        };
        let program = Program::validate(code)?;
        let layout = program.layout();
        let small = layout
            .segment_sizes()
            .iter()
            .try_fold(0usize, |sum, &size| sum.checked_add(size));
        let work = program.operators();
        let work = work.fold(0u64, |sum, it| {
            sum.saturating_add(it.map_or(0, |it| it.work()))
        });
        let sizes = match small {
            Some(sum) if sum <= MOST && work <= MOST_WORK => layout.segment_sizes(),
            _ => &[],
        };
        let constants = usize::try_from(header.constants_offset).ok();
        let constants = constants.and_then(|at| file.get(at..)).unwrap_or_default();
        let segment = |(index, &size): (usize, &usize)| {
            let mut bytes = vec![UNTOUCHED; size + 2 * GUARD];
            for (at, byte) in bytes[GUARD..GUARD + size].iter_mut().enumerate() {
                *byte = match index {
                    0 => constants.get(at).copied().unwrap_or(0),
                    _ => (at * 37 + at / 11) as u8,
                };
            }
            bytes
        };
        Ok(Some(Self {
            segments: sizes.iter().enumerate().map(segment).collect(),
            outputs: layout.output_count(),
            code: code.into(),
        }))
    }

    /// Whether there is memory to run it in.
    pub fn is_small(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The same program without ramps.
    fn without_ramps(&self) -> Self {
        let mut code = self.code.clone();
        let first = first_record(&code);
        for record in code[first..].chunks_exact_mut(size_of::<Op>()) {
            let op = Op::read_from_bytes(record).expect("it has a record's size");
            record.copy_from_slice(without_ramps(op).as_bytes());
        }
        Self {
            code,
            ..self.clone()
        }
    }

    /// With what is behind the code in the file, over and over, in the arena and the inputs, so that whoever
    /// makes up the file makes up these as well.
    fn filled(mut self, file: &[u8]) -> Self {
        let behind = file.get(self.code.len()..).unwrap_or_default();
        for bytes in self.segments.iter_mut().skip(1) {
            let end = bytes.len() - GUARD;
            let contents = behind.iter().rev().cycle();
            for (byte, &content) in bytes[GUARD..end].iter_mut().zip(contents) {
                *byte = content;
            }
        }
        self
    }
}

/// A convolution's record without its ramps, which are last in its channel table.
fn without_ramps(mut record: Op) -> Op {
    let (channels, ramps) = match record.opcode {
        opcode::CONV_2D => {
            let (params, _) = Conv2d::mut_from_prefix(&mut record.params).expect("it fits");
            (params.window.out_c, mem::take(&mut params.ramps))
        }
        opcode::DEPTHWISE_CONV_2D => {
            let (params, _) =
                DepthwiseConv2d::mut_from_prefix(&mut record.params).expect("it fits");
            (params.window.out_c, mem::take(&mut params.ramps))
        }
        _ => return record,
    };
    record.operands[2].size -= channels.next_multiple_of(16) * ramps * 4;
    record
}

/// The outputs; none if the run fails, as for an index that is out of range.
pub(super) fn run(memory: Memory) -> Option<Vec<Vec<u8>>> {
    let mut results = Isa::all_available().map(|isa| run_with(memory.clone(), isa));
    let first = results.next()?;
    for result in results {
        assert!(result == first, "two instruction sets differ");
    }
    first
}

fn run_with(mut memory: Memory, isa: Isa) -> Option<Vec<Vec<u8>>> {
    let program = Program::validate(&memory.code).expect("it has been validated");
    let layout = *program.layout();
    let views = memory
        .segments
        .iter_mut()
        .enumerate()
        .map(|(index, bytes)| {
            let end = bytes.len() - GUARD;
            match layout.is_written(index) {
                true => View::Write(&mut bytes[GUARD..end]),
                false => View::Read(&bytes[GUARD..end]),
            }
        });
    let mut views: Vec<View<'_>> = views.collect();
    let operators = program.operators().map(|it| it.expect("it is valid"));
    let done = records(&memory.code)
        .zip(operators)
        .try_for_each(|(record, operator)| {
            let one = [operator];
            run_operators(&layout, &one, isa, &mut Alone, &mut views, || false)?;
            forget(&record, &mut views);
            Ok::<_, apu_firmware::Error>(())
        });
    drop(views);
    for bytes in &memory.segments {
        let (guards, end) = (&bytes[..GUARD], &bytes[bytes.len() - GUARD..]);
        assert!(guards.iter().chain(end).all(|&byte| byte == UNTOUCHED));
    }
    done.ok()?;
    let first = memory.segments.len() - memory.outputs;
    Some(memory.segments.split_off(first))
}

/// The operators' records, of code that has been validated.
fn records(code: &[u8]) -> impl Iterator<Item = Op> {
    let records = code[first_record(code)..].chunks_exact(size_of::<Op>());
    records.map(|bytes| Op::read_from_bytes(bytes).expect("it has a record's size"))
}

/// Where they begin.
fn first_record(code: &[u8]) -> usize {
    let header = Header::read_from_prefix(code).expect("it is valid").0;
    let ends = (header.input_count + header.output_count) as usize;
    size_of::<Header>() + ends * size_of::<Io>()
}

/// Overwrites what a kernel has left in its scratch, which is no result: each has its own use for it.
fn forget(record: &Op, views: &mut [View<'_>]) {
    let scratch = match record.opcode {
        opcode::CONV_2D | opcode::DETECTION => record.operands[4],
        opcode::MEAN => record.operands[2],
        _ => return,
    };
    if scratch.size > 0
        && let Some(View::Write(bytes)) = views.get_mut(scratch.segment as usize)
    {
        bytes[scratch.offset as usize..][..scratch.size as usize].fill(UNTOUCHED);
    }
}
