//! What a program may be, and what running one does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use apu_firmware::{Error, OpError, Program, TargetName, View, run};
use apu_kernels::Isa;
use apu_proto::message::{NO_OP, reject, status};
use apu_proto::program::{Header, Io, Operand};
use proptest::prelude::*;
use std::cell::Cell;
use support::{ARENA, CONSTANTS, Source, copy, op, operand, small_network, through_the_arena};

fn go_on() -> bool {
    false
}

fn refused(source: Source) -> Error {
    Program::validate(&source.code()).unwrap_err()
}

fn refused_op(source: Source) -> OpError {
    match refused(source) {
        Error::Op { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn what_comes_in_goes_through_the_arena_and_out() {
    let code = through_the_arena().code();
    let program = Program::validate(&code).unwrap();
    let input: Vec<u8> = (0..64).collect();
    let (mut arena, mut output) = ([0xaa; 128], [0; 64]);
    let mut segments = [
        View::Read(&[]),
        View::Write(&mut arena),
        View::Read(&input),
        View::Write(&mut output),
    ];
    run(&program, Isa::plain(), &mut segments, go_on).unwrap();
    assert_eq!(output, *input);
    assert_eq!(arena[..64], [0xaa; 64], "bytes outside the operand stay");
}

#[test]
fn one_program_serves_many_runs() {
    let code = through_the_arena().code();
    let program = Program::validate(&code).unwrap();
    for value in 0..3 {
        let input = [value; 64];
        let (mut arena, mut output) = ([0; 128], [0; 64]);
        let mut segments = [
            View::default(),
            View::Write(&mut arena),
            View::Read(&input),
            View::Write(&mut output),
        ];
        run(&program, Isa::plain(), &mut segments, go_on).unwrap();
        assert_eq!(output, input);
    }
}

#[test]
fn an_output_can_feed_an_operator() {
    let code = Source::new(0, 0, &[8], &[8, 8])
        .op(copy(operand(2, 0, 8), operand(3, 0, 8)))
        .op(copy(operand(3, 0, 8), operand(4, 0, 8)))
        .code();
    let (mut first, mut second) = ([0; 8], [0; 8]);
    let mut segments = [
        View::default(),
        View::default(),
        View::Read(b"ABCDEFGH"),
        View::Write(&mut first),
        View::Write(&mut second),
    ];
    let program = Program::validate(&code).unwrap();
    run(&program, Isa::plain(), &mut segments, go_on).unwrap();
    assert_eq!(&second, b"ABCDEFGH");
}

#[test]
fn code_may_lie_at_any_address_and_be_followed_by_anything() {
    let mut bytes = vec![0x55];
    bytes.extend(through_the_arena().code());
    bytes.extend([0x55; 100]);
    Program::validate(&bytes[1..]).unwrap();
}

#[test]
fn code_that_is_cut_off_anywhere_is_refused() {
    let code = small_network().code();
    for length in 0..code.len() {
        let error = Program::validate(&code[..length]).unwrap_err();
        assert!(
            matches!(error, Error::Truncated { got, .. } if got == length),
            "{error}"
        );
    }
}

/// A change to a header that was good, the text that the error must hold, and its reject code.
type HeaderCase = (fn(&mut Header), &'static str, u32);

#[test]
fn each_field_of_the_header_is_checked() {
    let cases: &[HeaderCase] = &[
        (|h| h.magic[0] = b'X', "not a program", reject::HEADER),
        (|h| h.version_major = 3, "3.4", reject::HEADER),
        (|h| h.version_minor = 5, "2.5", reject::HEADER),
        (
            |h| h.header_size = 256,
            "header_size is 256, needs 192",
            reject::HEADER,
        ),
        (
            |h| h.required_features = 4,
            "required_features 0x4",
            reject::FEATURE,
        ),
        (|h| h.numerics = 2, "numerics 0x2", reject::FEATURE),
        (
            |h| h.input_count = 22,
            "input_count + output_count is 23, at most 22",
            reject::HEADER,
        ),
        (|h| h.output_count = u32::MAX, "at most 22", reject::HEADER),
        (
            |h| h.op_count = 0,
            "code_size is 864, needs 352",
            reject::HEADER,
        ),
        (
            |h| h.op_count = u32::MAX,
            "op_count is 4294967295, at most",
            reject::HEADER,
        ),
        (
            |h| h.code_size += 1,
            "code_size is 865, needs 864",
            reject::HEADER,
        ),
    ];
    for (change, text, code) in cases {
        let mut source = through_the_arena();
        source.header.op_count = 2;
        source.header.code_size = 864;
        change(&mut source.header);
        let error = Program::validate(&source.raw()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}\nlacks {text:?}");
        assert_eq!(
            (error.status(), error.reject()),
            (status::REJECTED, *code),
            "{error}"
        );
        assert_eq!(error.op(), NO_OP);
    }
}

#[test]
fn a_program_for_another_target_is_refused_with_both_names() {
    let mut source = through_the_arena();
    source.header.target = TargetName::new("k8n32").0;
    let error = refused(source);
    assert_eq!(
        error,
        Error::Target {
            program: TargetName::new("k8n32"),
            firmware: TargetName::new("k4n16"),
        }
    );
    assert_eq!(error.status(), status::WRONG_TARGET);
    assert!(
        error
            .to_string()
            .contains("\"k8n32\", this firmware runs \"k4n16\"")
    );
}

#[test]
fn a_target_name_that_is_no_text_can_be_printed() {
    let name = TargetName([0xff; 32]);
    assert_eq!(name.to_string(), "\u{fffd}".repeat(32));
    assert_eq!(
        TargetName(*b"a\nb\0cdefghijklmnopqrstuvwxyz0123").to_string(),
        "a\\nb"
    );
}

/// A change to a record that was good, and the text that the error must hold.
type IoCase = (fn(&mut Io), &'static str);

#[test]
fn inputs_and_outputs_must_agree_with_themselves() {
    let cases: &[IoCase] = &[
        (|io| io.size = 65, "size is 65, needs 64"),
        (|io| io.dtype = 0, "dtype is 0"),
        (|io| io.rank = 9, "rank is 9, needs 8"),
        (|io| io.shape = [u32::MAX; 8], "size is 64"),
        (|io| io.rank = 8, "size is 64, needs 0"),
    ];
    for (change, text) in cases {
        let mut source = through_the_arena();
        change(&mut source.ios[1]);
        let error = refused(source);
        assert!(error.to_string().contains(text), "{error}\nlacks {text:?}");
        assert!(error.to_string().contains("input/output 1"), "{error}");
        assert_eq!(error.reject(), reject::SEGMENT);
    }
}

#[test]
fn an_unknown_opcode_is_named_with_its_operator() {
    let mut source = through_the_arena();
    source.ops[1].opcode = 4711;
    let error = refused(source);
    assert_eq!(
        error,
        Error::Op {
            index: 1,
            reason: OpError::Opcode { got: 4711 }
        }
    );
    assert_eq!((error.reject(), error.op()), (reject::OPCODE, 1));
}

#[test]
fn operands_stay_within_their_segments() {
    let cases = [
        (operand(ARENA, 65, 64), 129, 128),
        (operand(ARENA, u32::MAX, 64), u64::from(u32::MAX) + 64, 128),
        (operand(4, 0, 64), 64, 0),
        (operand(u32::MAX, 0, 64), 64, 0),
    ];
    for (written, end, limit) in cases {
        let source = Source::new(0, 128, &[64], &[64]).op(copy(operand(2, 0, 64), written));
        assert_eq!(
            refused_op(source),
            OpError::OperandBounds {
                operand: 1,
                segment: written.segment,
                end,
                limit
            }
        );
    }
}

#[test]
fn operands_have_the_size_that_the_parameters_say() {
    for (index, operand) in [(0, 47), (1, 577), (2, 191), (3, 255), (4, 64 * 36 - 1)] {
        let mut source = small_network();
        source.ops[0].operands[index].size = operand;
        let OpError::OperandSize { operand: got, .. } = refused_op(source) else {
            panic!("another error");
        };
        assert_eq!(got, index);
    }
}

#[test]
fn scratch_may_be_larger_than_needed() {
    let mut source = small_network();
    source.ops[1].operands[2].size += 64;
    Program::validate(&source.code()).unwrap();
}

#[test]
fn constants_and_inputs_are_never_written() {
    for segment in [CONSTANTS, 2] {
        let source = Source::new(64, 128, &[64], &[64])
            .op(copy(operand(ARENA, 0, 64), operand(segment, 0, 64)));
        assert_eq!(
            refused_op(source),
            OpError::ReadOnly {
                operand: 1,
                segment
            }
        );
    }
}

#[test]
fn what_is_written_overlaps_nothing() {
    let in_place =
        Source::new(0, 128, &[64], &[64]).op(copy(operand(ARENA, 0, 64), operand(ARENA, 63, 64)));
    let alias = OpError::Alias {
        written: 1,
        other: 0,
    };
    assert_eq!(refused_op(in_place), alias);

    let mut scratch_over_output = small_network();
    scratch_over_output.ops[0].operands[4].offset = 255;
    let alias = OpError::Alias {
        written: 3,
        other: 4,
    };
    assert_eq!(refused_op(scratch_over_output), alias);
}

#[test]
fn what_is_unused_is_zero() {
    let mut source = through_the_arena();
    source.ops[0].operands[5] = operand(0, 0, 1);
    assert!(matches!(
        refused_op(source),
        OpError::OperandSize { operand: 5, .. }
    ));
    let mut source = through_the_arena();
    source.ops[0].params[167] = 1;
    assert!(matches!(refused_op(source), OpError::NotZero { .. }));
}

#[test]
fn parameters_out_of_range_are_the_kernels_to_refuse() {
    let mut source = small_network();
    // stride_h of the window.
    source.ops[0].params[9 * 4..10 * 4].fill(0);
    let error = refused(source);
    assert_eq!((error.reject(), error.op()), (reject::PARAMETER, 0));
    assert!(error.to_string().contains("stride_h is 0"), "{error}");
}

#[test]
fn a_run_names_the_segment_that_does_not_fit() {
    let code = through_the_arena().code();
    let program = Program::validate(&code).unwrap();
    let run = |segments: &mut [View<'_>]| run(&program, Isa::plain(), segments, go_on);
    let (mut arena, mut output) = ([0; 128], [0; 63]);
    assert_eq!(run(&mut []), Err(Error::SegmentCount { got: 0, needed: 4 }));
    let mut short = [
        View::default(),
        View::Write(&mut arena),
        View::Read(&[0; 64]),
        View::Write(&mut output),
    ];
    assert_eq!(
        run(&mut short),
        Err(Error::SegmentSize {
            segment: 3,
            got: 63,
            needed: 64
        })
    );
    let mut read_only = [
        View::default(),
        View::Read(&[0; 128]),
        View::Read(&[0; 64]),
        View::Read(&[0; 64]),
    ];
    assert_eq!(
        run(&mut read_only),
        Err(Error::SegmentReadOnly { segment: 1 })
    );
}

#[test]
fn a_cancelled_run_says_how_far_it_came() {
    let code = through_the_arena().code();
    let program = Program::validate(&code).unwrap();
    let (mut arena, mut output) = ([0; 128], [0; 64]);
    let mut segments = [
        View::default(),
        View::Write(&mut arena),
        View::Read(&[1; 64]),
        View::Write(&mut output),
    ];
    let asked = Cell::new(0);
    let cancelled = run(&program, Isa::plain(), &mut segments, || {
        asked.replace(asked.get() + 1) == 1
    });
    assert_eq!(cancelled, Err(Error::Cancelled { op: 1 }));
    assert_eq!((arena[64], output[0]), (1, 0));
}

#[test]
fn segments_are_in_place_after_a_run() {
    let code = small_network().code();
    let program = Program::validate(&code).unwrap();
    let (mut arena, mut output) = ([0; 2560], [0; 16]);
    let mut segments = [
        View::Read(&[1; 768]),
        View::Write(&mut arena),
        View::Read(&[1; 48]),
        View::Write(&mut output),
    ];
    for _ in 0..2 {
        run(&program, Isa::plain(), &mut segments, go_on).unwrap();
    }
    let sizes: Vec<usize> = segments.iter().map(|view| view.bytes().len()).collect();
    assert_eq!(sizes, [768, 2560, 48, 16]);
}

/// Numbers that programs with bad intentions would try.
fn hostile_word() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u32::MAX),
        Just(i32::MAX as u32),
        Just(i32::MIN as u32),
        0..64_u32,
        0..4096_u32,
        any::<u32>(),
    ]
}

/// Runs the program if it is one; what comes out doesn't matter, only that it comes.
fn try_to_run(code: &[u8], constants: &[u8]) {
    let Ok(program) = Program::validate(code) else {
        return;
    };
    let mut memory: Vec<Vec<u8>> = program
        .layout()
        .segment_sizes()
        .iter()
        .map(|size| vec![0x5a; (*size).min(1 << 20)])
        .collect();
    for (byte, constant) in memory[0].iter_mut().zip(constants.iter().cycle()) {
        *byte = *constant;
    }
    let mut segments: Vec<View<'_>> = memory
        .iter_mut()
        .enumerate()
        .map(|(index, bytes)| match program.layout().is_written(index) {
            true => View::Write(bytes),
            false => View::Read(bytes),
        })
        .collect();
    for isa in Isa::all_available() {
        let _ = run(&program, isa, &mut segments, go_on);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_program_makes_it_dangerous(
        changes in prop::collection::vec((any::<prop::sample::Index>(), hostile_word()), 1..4),
        constants in prop::collection::vec(any::<u8>(), 64),
    ) {
        let mut code = small_network().code();
        for (index, word) in changes {
            let at = index.index(code.len() / 4) * 4;
            code[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        try_to_run(&code, &constants);
    }

    #[test]
    fn no_operator_record_is_dangerous(
        code in 0..13_u32,
        params in prop::collection::vec(prop_oneof![3 => 0..6_u32, 1 => hostile_word()], 42),
        operands in prop::collection::vec((0..5_u32, 0..256_u32, 0..256_u32), 6),
        constants in prop::collection::vec(any::<u8>(), 64),
    ) {
        let mut record = op(code, &(), &[]);
        for (bytes, word) in record.params.chunks_mut(4).zip(params) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        for (slot, (segment, offset, size)) in record.operands.iter_mut().zip(operands) {
            *slot = Operand { segment, offset, size };
        }
        try_to_run(&Source::new(512, 512, &[256], &[256]).op(record).code(), &constants);
    }
}
