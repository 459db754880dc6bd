//! What operators of variables become: copies from and to memory that is kept from run to run.
#![allow(missing_docs, clippy::unwrap_used)]

mod interpreter;

use apu_compiler::graph::{
    Activation, Element, Graph, Opcode, Operator, Options as Attributes, Quantization, Tensor,
};
use apu_compiler::{Compiled, Error, Options, compile_graph};
use proptest::prelude::*;

fn tensor(name: &str, width: u32, variable: bool) -> Tensor<'static> {
    Tensor {
        name: name.into(),
        shape: vec![1, width],
        element: Element::INT8,
        quantization: Some(Quantization {
            scales: vec![0.5],
            zero_points: vec![0],
            axis: 0,
        }),
        data: None,
        sparse: false,
        variable,
    }
}

fn operator(
    index: usize,
    opcode: Opcode,
    inputs: &[usize],
    outputs: &[usize],
    options: Attributes,
) -> Operator {
    Operator {
        index,
        opcode,
        custom: None,
        version: 1,
        inputs: inputs.iter().copied().map(Some).collect(),
        outputs: outputs.into(),
        intermediates: Vec::new(),
        options,
    }
}

/// Gives what it was given last beside what it is given now.
fn delayed(variable: Attributes, kept: u32) -> Result<Compiled, Error> {
    let beside = Attributes::Concatenation {
        axis: 1,
        activation: Activation(0),
    };
    let graph = Graph {
        name: String::new(),
        description: String::new(),
        tensors: vec![
            tensor("now", 4, false),
            tensor("kept", kept, true),
            tensor("last", 4, false),
            tensor("both", 8, false),
        ],
        operators: vec![
            operator(0, Opcode::READ_VARIABLE, &[1], &[2], variable),
            operator(1, Opcode::CONCATENATION, &[2, 0], &[3], beside),
            operator(2, Opcode::ASSIGN_VARIABLE, &[1, 0], &[], variable),
        ],
        inputs: vec![0],
        outputs: vec![3],
    };
    compile_graph(&graph, &Options::default())
}

proptest! {
    #[test]
    fn a_variable_has_its_first_value_until_it_is_assigned_another(
        initial in any::<u8>(),
        inputs in prop::collection::vec(any::<[u8; 4]>(), 1..5),
    ) {
        let compiled = delayed(Attributes::Variable { initial }, 4).unwrap();
        let mut arena = vec![0; compiled.report.totals.arena_bytes.unwrap() as usize];
        let mut last = [initial; 4];
        for input in inputs {
            let outputs = interpreter::run_in(&mut arena, &compiled.program, &input);
            prop_assert_eq!(&outputs, &[[last, input].concat()]);
            last = input;
        }
    }
}

#[test]
fn a_variable_that_nothing_fills_is_refused() {
    let error = delayed(Attributes::None, 4).unwrap_err().to_string();
    assert!(
        error.contains("0 READ_VARIABLE (last): variable: got"),
        "{error}"
    );
    assert!(error.contains("2 ASSIGN_VARIABLE"), "{error}");
}

#[test]
fn a_variable_keeps_its_shape() {
    let error = delayed(Attributes::Variable { initial: 0 }, 5).unwrap_err();
    let got = "got int8 [1, 4] for int8 [1, 5]";
    assert!(error.to_string().contains(got), "{error}");
}
