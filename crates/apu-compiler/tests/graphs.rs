//! Graphs of unusual form, compiled and run in the firmware's interpreter.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod toy;

use apu_compiler::{Error, Numerics, Options, compile, inspect, report::Placement};
use apu_firmware::{Program, View};
use apu_kernels::Isa;
use apu_proto::program::Header;
use toy::{
    ADD, CUSTOM, ELU, FLOAT32, INT32, MAX_POOL_2D, Model, RESHAPE, SHAPE, STRING, UNIQUE, bytes,
};
use zerocopy::FromBytes;

/// Compiles, validates and runs a model.
fn run(model: &Model, inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let compiled = compile(&model.build(), &Options::default()).unwrap();
    let file = compiled.program.as_slice();
    let header = Header::read_from_prefix(file).unwrap().0;
    let program = Program::validate(&file[..header.code_size as usize]).unwrap();
    let constants = &file[header.constants_offset as usize..][..header.constants_size as usize];
    let sizes = program.layout().segment_sizes().to_vec();
    let mut arena = vec![0xaa; sizes[1]];
    let mut outputs: Vec<Vec<u8>> = sizes[2 + inputs.len()..]
        .iter()
        .map(|&size| vec![0xaa; size])
        .collect();
    let mut segments = vec![View::Read(constants), View::Write(&mut arena)];
    segments.extend(inputs.iter().map(|input| View::Read(input)));
    segments.extend(outputs.iter_mut().map(|output| View::Write(output)));
    apu_firmware::run(&program, Isa::plain(), &mut segments, || false).unwrap();
    drop(segments);
    outputs
}

/// `outputs` of a model that computes tensor 2 = tensor 0 + tensor 1 and views tensor 2 as tensor
/// 3.
fn sum_and_view(inputs: &[i32], outputs: &[i32]) -> Model {
    Model {
        tensors: vec![bytes(&[4]), bytes(&[4]), bytes(&[4]), bytes(&[2, 2])],
        operators: vec![(ADD, vec![0, 1], vec![2]), (RESHAPE, vec![2], vec![3])],
        inputs: inputs.into(),
        outputs: outputs.into(),
        ..Model::default()
    }
}

const A: &[u8] = &[1, 2, 3, 4];
const B: &[u8] = &[10, 20, 30, 40];
const SUM: &[u8] = &[11, 22, 33, 44];

#[test]
fn outputs_may_be_anything_that_has_a_value() {
    struct Case {
        what: &'static str,
        outputs: &'static [i32],
        want: &'static [&'static [u8]],
    }
    let case = |what, outputs, want| Case {
        what,
        outputs,
        want,
    };
    let cases = [
        case("a result", &[2], &[SUM]),
        case("a result twice", &[2, 2], &[SUM, SUM]),
        case("a result and a view of it", &[2, 3], &[SUM, SUM]),
        case("a view and what it views", &[3, 2], &[SUM, SUM]),
        case("an input", &[0, 2], &[A, SUM]),
        case("an input twice", &[1, 3, 1], &[B, SUM, B]),
    ];
    for Case {
        what,
        outputs,
        want,
    } in cases
    {
        assert_eq!(
            run(&sum_and_view(&[0, 1], outputs), &[A, B]),
            want,
            "{what}"
        );
    }
}

#[test]
fn constants_may_be_operands_and_outputs() {
    let mut model = sum_and_view(&[0], &[1, 3]);
    model.tensors[1] = bytes(&[4]).with_data(B);
    assert_eq!(run(&model, &[A]), [B, SUM]);
}

#[test]
fn what_reads_only_constants_is_computed_when_compiling() {
    let mut model = sum_and_view(&[], &[3]);
    model.tensors[0] = bytes(&[4]).with_data(A);
    model.tensors[1] = bytes(&[4]).with_data(B);
    assert_eq!(run(&model, &[]), [SUM]);
    let program = compile(&model.build(), &Options::default())
        .unwrap()
        .program;
    let header = Header::read_from_prefix(program.as_slice()).unwrap().0;
    assert_eq!(header.op_count, 1); // the copy to the output
}

#[test]
fn a_shape_is_known_before_the_run() {
    let mut model = sum_and_view(&[0], &[2]);
    model.tensors[2] = bytes(&[1]).of(INT32);
    model.operators = vec![(SHAPE, vec![0], vec![2])];
    assert_eq!(run(&model, &[A]), [4i32.to_le_bytes()]);
}

#[test]
fn one_tensor_may_be_both_operands() {
    let mut model = sum_and_view(&[0, 1], &[3]);
    model.operators[0].1 = vec![0, 0];
    assert_eq!(run(&model, &[A, B]), [[2, 4, 6, 8]]);
}

#[test]
fn a_model_may_do_nothing() {
    let model = Model {
        operators: Vec::new(),
        ..sum_and_view(&[0], &[0])
    };
    assert_eq!(run(&model, &[A]), [A]);
}

#[test]
fn zero_points_may_lie_at_any_word() {
    for displaced in 0..3 {
        let model = Model {
            displaced,
            ..sum_and_view(&[0, 1], &[3])
        };
        assert_eq!(run(&model, &[A, B]), [SUM], "{displaced}");
    }
}

#[test]
fn a_custom_operator_that_reads_memory_of_its_own_is_refused_for_what_it_is() {
    let mut model = sum_and_view(&[0], &[2]);
    model.operators = vec![(CUSTOM, vec![0, 1], vec![2])];
    let error = compile(&model.build(), &Options::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("needs one of the operators"), "{text}");
}

#[test]
fn bytes_behind_the_flatbuffer_are_left_alone() {
    let mut file = sum_and_view(&[0, 1], &[2]).build();
    let without = compile(&file, &Options::default()).unwrap();
    file.extend(b"PK\x03\x04 labels.txt");
    assert_eq!(
        compile(&file, &Options::default()).unwrap().program,
        without.program
    );
}

#[test]
fn a_program_depends_on_nothing_but_the_model() {
    let file = sum_and_view(&[0, 1], &[2, 3]).build();
    let [one, two] = [0, 1].map(|_| compile(&file, &Options::default()).unwrap().program);
    assert_eq!(one, two);
}

/// The constraint that the first operator breaks.
fn broken(model: &Model) -> (&'static str, String) {
    let file = model.build();
    assert!(matches!(
        compile(&file, &Options::default()),
        Err(Error::Unplaced(_))
    ));
    match &inspect(&file).unwrap().operators[0].placement {
        Placement::Unplaced {
            constraint, got, ..
        } => (constraint, got.clone()),
        Placement::Apu => panic!("placed"),
    }
}

#[test]
fn an_unplaced_operator_says_which_constraint_it_breaks() {
    let sum = sum_and_view(&[0, 1], &[3]);
    let with = |change: &dyn Fn(&mut Model)| {
        let mut model = sum.clone();
        change(&mut model);
        broken(&model)
    };
    let unique = with(&|m| m.operators[0].0 = UNIQUE);
    assert_eq!(unique, ("operator", "UNIQUE".into()));
    assert_eq!(with(&|m| m.operators[0].0 = CUSTOM).0, "operator");
    assert_eq!(with(&|m| m.operators[0].1 = vec![0]).0, "operand count");
    assert_eq!(with(&|m| m.tensors[1] = bytes(&[4]).of(FLOAT32)).0, "types");
    assert_eq!(with(&|m| m.tensors[1].shape = vec![3]).0, "output shape");
    assert_eq!(with(&|m| m.tensors[0].shape = vec![1; 7]).0, "rank");
    let pool = with(&|m| {
        m.operators[0] = (MAX_POOL_2D, vec![0], vec![2]);
        m.tensors[0].shape = vec![1, 2, 2, 1];
        m.tensors[2].shape = vec![1, 2, 2, 1];
    });
    assert_eq!(pool.0, "window"); // it has no attributes
}

#[test]
fn a_refusal_names_other_numerics_that_have_a_place() {
    let of = |operator| {
        let model = Model {
            tensors: vec![bytes(&[4]).of(FLOAT32); 2],
            operators: vec![(operator, vec![0], vec![1])],
            inputs: vec![0],
            outputs: vec![1],
            ..Model::default()
        };
        let options = Options {
            numerics: Numerics::Xnnpack,
            ..Options::default()
        };
        let error = compile(&model.build(), &options).unwrap_err();
        error.to_string().ends_with(", or numerics tflite")
    };
    assert!(of(ELU));
    assert!(!of(UNIQUE));
}

#[test]
fn a_broken_model_is_an_error_that_says_what_is_wrong() {
    let sum = sum_and_view(&[0, 1], &[3]);
    let error = |change: &dyn Fn(&mut Model)| {
        let mut model = sum.clone();
        change(&mut model);
        compile(&model.build(), &Options::default())
            .unwrap_err()
            .to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut Model);
    let cases: [(&str, Change); 7] = [
        ("operator 0 names tensor 9, there are 4", &|m| {
            m.operators[0].1 = vec![0, 9]
        }),
        ("operator 0 reads tensor 2, which has no value", &|m| {
            m.operators[0].1 = vec![0, 2]
        }),
        (
            "operator 1 writes tensor 2, which already has a value",
            &|m| m.operators[1].2 = vec![2],
        ),
        ("tensor 0 has the impossible shape [-1]", &|m| {
            m.tensors[0].shape = vec![-1]
        }),
        (
            "tensor 1 has 3 bytes of data, its shape and type need 4",
            &|m| m.tensors[1].data = vec![0; 3],
        ),
        ("tensor 0 keeps its data outside", &|m| {
            m.buffer_offset = 4096
        }),
        ("input 2 (t) has string", &|m| {
            m.tensors.push(bytes(&[1]).of(STRING));
            m.inputs.push(4);
        }),
    ];
    for (want, change) in cases {
        let got = error(change);
        assert!(got.contains(want), "{got}");
    }
}

#[test]
fn an_empty_shape_makes_a_scalar() {
    let mut model = sum_and_view(&[0, 1], &[3]);
    for tensor in &mut model.tensors {
        tensor.shape = vec![1];
    }
    model.tensors[3].shape = Vec::new();
    model.tensors.push(bytes(&[0]).of(INT32));
    model.operators[1].1 = vec![2, 4];
    assert_eq!(run(&model, &[&[1], &[2]]), [[3]]);
}

#[test]
fn options_that_are_not_there_are_refused() {
    let file = sum_and_view(&[0, 1], &[2]).build();
    let error = |options: Options| compile(&file, &options).unwrap_err();
    let target = error(Options {
        target: "k8n8".into(),
        ..Options::default()
    });
    assert!(matches!(target, Error::UnknownTarget { got, .. } if got == "k8n8"));
}

#[test]
fn a_computed_shape_is_refused() {
    let mut model = sum_and_view(&[0, 1, 4], &[3]);
    model.tensors.push(bytes(&[2]).of(INT32));
    model.operators.swap(0, 1);
    model.operators[0] = (RESHAPE, vec![0, 4], vec![3]);
    model.operators[1] = (ADD, vec![0, 1], vec![2]);
    assert_eq!(broken(&model).0, "new shape");
}
