//! Runs a program in the firmware's interpreter.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use apu_firmware::{Program, View};
use apu_kernels::Isa;
use apu_proto::program::Header;
use zerocopy::FromBytes;

/// The outputs for one input.
pub fn run(file: &[u8], input: &[u8]) -> Vec<Vec<u8>> {
    let (header, _) = Header::read_from_prefix(file).unwrap();
    run_in(&mut vec![0xa5; header.arena_size as usize], file, input)
}

/// The outputs for one input, with what earlier runs have left in the arena.
pub fn run_in(arena: &mut [u8], file: &[u8], input: &[u8]) -> Vec<Vec<u8>> {
    let (header, _) = Header::read_from_prefix(file).unwrap();
    let program = Program::validate(&file[..header.code_size as usize]).unwrap();
    let constants = &file[header.constants_offset as usize..][..header.constants_size as usize];
    let sizes = program.layout().segment_sizes();
    let mut outputs: Vec<Vec<u8>> = sizes[3..].iter().map(|&size| vec![0; size]).collect();
    let mut segments = vec![
        View::Read(constants),
        View::Write(&mut arena[..sizes[1]]),
        View::Read(input),
    ];
    segments.extend(outputs.iter_mut().map(|output| View::Write(output)));
    apu_firmware::run(&program, Isa::detect(), &mut segments, || false).unwrap();
    drop(segments);
    outputs
}
