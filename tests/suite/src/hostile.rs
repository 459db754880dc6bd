//! What must hold for bytes that anybody may have written. `tests/mutated.rs` tries some thousands of
//! them, `tests/fuzz` as many as one has time for.

use apu_compiler::{Optimise, Options, compile, inspect};
use apu_firmware::{Program, View};
use apu_kernels::Isa;
use apu_proto::program::Header;
use zerocopy::FromBytes;

/// Bytes of all segments of a program that is run. Larger ones take long, and show no more.
const MOST: usize = 1 << 16;
/// Bytes around a segment that nothing may touch, and what is in them.
const GUARD: usize = 64;
const UNTOUCHED: u8 = 0x5a;

/// A model is refused with an error, or compiled to programs that the firmware accepts, all of which
/// compute the same.
pub fn model(file: &[u8]) {
    let inspected = inspect(file).is_ok();
    let programs = [Optimise::Speed, Optimise::Size].map(|optimise| {
        let options = Options {
            optimise,
            ..Options::default()
        };
        Some(compile(file, &options).ok()?.program)
    });
    let [Some(fast), Some(small)] = programs else {
        assert_eq!(programs, [None, None], "only one of both compiles");
        return;
    };
    assert!(inspected, "a model that compiles can be inspected");
    let accepted = "the firmware accepts what the compiler writes";
    let outputs = [fast, small].map(|program| Memory::of(&program).expect(accepted));
    let [fast, small] = outputs.map(|memory| memory.filter(Memory::is_small).map(run));
    if let (Some(fast), Some(small)) = (fast, small) {
        assert!(fast == small, "bands of rows change what is computed");
    }
}

/// A program is refused, or computes the same with all instructions of this machine, within its memory.
pub fn program(file: &[u8]) {
    if let Ok(Some(memory)) = Memory::of(file)
        && memory.is_small()
    {
        run(memory);
    }
}

/// What the models compile to, as far as they do.
pub fn programs(models: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let compiled = models
        .iter()
        .map(|model| compile(model, &Options::default()));
    compiled.filter_map(|it| Some(it.ok()?.program)).collect()
}

/// A program and its segments, each amid bytes that are no part of it.
#[derive(Clone)]
struct Memory {
    code: Vec<u8>,
    segments: Vec<Vec<u8>>,
    outputs: usize,
}

impl Memory {
    /// None if the file's header isn't all there; an error if the firmware refuses the program.
    fn of(file: &[u8]) -> Result<Option<Self>, apu_firmware::Error> {
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
        let sizes = match small {
            Some(sum) if sum <= MOST => layout.segment_sizes(),
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
    fn is_small(&self) -> bool {
        !self.segments.is_empty()
    }
}

/// The outputs; none if the run fails, as for an index that is out of range.
fn run(memory: Memory) -> Option<Vec<Vec<u8>>> {
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
    let done = apu_firmware::run(&program, isa, &mut views, || false);
    drop(views);
    for bytes in &memory.segments {
        let (guards, end) = (&bytes[..GUARD], &bytes[bytes.len() - GUARD..]);
        assert!(guards.iter().chain(end).all(|&byte| byte == UNTOUCHED));
    }
    done.ok()?;
    let first = memory.segments.len() - memory.outputs;
    Some(memory.segments.split_off(first))
}
