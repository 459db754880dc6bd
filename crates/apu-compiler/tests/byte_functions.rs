//! Operators that together are a function of one byte become one table, with the same bytes.
#![allow(missing_docs, clippy::unwrap_used)]

mod interpreter;

use apu_compiler::graph::{
    Activation, Element, Graph, Opcode, Operator, Options as Attributes, Quantization, Tensor,
};
use apu_compiler::{Numerics, Options, compile_graph};
use proptest::prelude::*;

const SHAPE: [u32; 4] = [1, 2, 8, 16];

fn tensor(element: Element, scale: f32, zero_point: i64) -> Tensor<'static> {
    let quantization = Quantization {
        scales: vec![scale],
        zero_points: vec![zero_point],
        axis: 0,
    };
    Tensor {
        name: String::new(),
        shape: SHAPE.into(),
        element,
        quantization: (element != Element::FLOAT32).then_some(quantization),
        data: None,
        sparse: false,
        variable: false,
    }
}

/// A model of int8 whose tensor 0 is the input, and the last one an output.
struct Model(Graph<'static>);

impl Model {
    fn new(scale: f32, zero_point: i64) -> Self {
        Self(Graph {
            name: String::new(),
            description: String::new(),
            tensors: vec![tensor(Element::INT8, scale, zero_point)],
            operators: Vec::new(),
            inputs: vec![0],
            outputs: Vec::new(),
        })
    }

    fn push(
        &mut self,
        opcode: Opcode,
        options: Attributes,
        inputs: &[usize],
        to: Tensor<'static>,
    ) -> usize {
        let Self(graph) = self;
        let output = graph.tensors.len();
        graph.tensors.push(to);
        graph.operators.push(Operator {
            index: graph.operators.len(),
            opcode,
            custom: None,
            version: 1,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
            intermediates: Vec::new(),
            options,
        });
        output
    }

    /// The same tensor again, which hides where it comes from.
    fn hidden(&mut self, id: usize) -> usize {
        let same = self.0.tensors[id].clone();
        self.push(Opcode::RESHAPE, Attributes::None, &[id], same)
    }

    /// Number of records, and the outputs for all bytes.
    fn run(mut self, output: usize, numerics: Numerics) -> (usize, Vec<Vec<u8>>) {
        self.0.outputs.push(output);
        let options = Options {
            numerics,
            ..Options::default()
        };
        let compiled = compile_graph(&self.0, &options).unwrap();
        let input: Vec<u8> = (0..=u8::MAX).collect();
        let records = compiled.report.totals.records.unwrap();
        (records, interpreter::run(&compiled.program, &input))
    }
}

/// Multiplies by the logistic function, which tells nobody that both are of one input if it is `hidden`.
fn silu(scale: f32, zero_point: i64, hidden: bool, keep: bool) -> (Model, usize) {
    let mut model = Model::new(scale, zero_point);
    let share = tensor(Element::INT8, 1.0 / 256.0, -128);
    let mut share = model.push(Opcode::LOGISTIC, Attributes::None, &[0], share);
    if hidden {
        share = model.hidden(share);
    }
    if keep {
        model.0.outputs.push(share);
    }
    let fused = Attributes::Fused {
        activation: Activation(0),
    };
    let product = tensor(Element::INT8, scale, zero_point);
    let product = model.push(Opcode::MUL, fused, &[0, share], product);
    (model, product)
}

proptest! {
    #[test]
    fn a_product_with_a_function_of_the_same_bytes_is_one_table(
        scale in 0.001f32..0.5,
        zero_point in -128i64..=127,
        numerics in prop_oneof![Just(Numerics::Tflite), Just(Numerics::Xnnpack)],
    ) {
        let (model, product) = silu(scale, zero_point, false, false);
        let (records, fused) = model.run(product, numerics);
        prop_assert_eq!(records, 1);
        let (model, product) = silu(scale, zero_point, true, false);
        let (records, apart) = model.run(product, numerics);
        prop_assert_eq!(records, 2);
        prop_assert_eq!(fused, apart);
    }
}

#[test]
fn what_somebody_else_reads_is_still_computed() {
    let (model, product) = silu(0.1, 0, false, true);
    let (records, fused) = model.run(product, Numerics::Tflite);
    assert_eq!(records, 2);
    let (model, product) = silu(0.1, 0, true, true);
    assert_eq!(fused, model.run(product, Numerics::Tflite).1);
}

#[test]
fn numbers_in_between_may_be_of_any_type() {
    let chain = |hidden: bool| {
        let mut model = Model::new(0.1, 3);
        let real = || tensor(Element::FLOAT32, 0.0, 0);
        let mut last = model.push(Opcode::DEQUANTIZE, Attributes::None, &[0], real());
        if hidden {
            last = model.hidden(last);
        }
        last = model.push(Opcode::TANH, Attributes::None, &[last], real());
        let bytes = tensor(Element::INT8, 1.0 / 128.0, 0);
        last = model.push(Opcode::QUANTIZE, Attributes::None, &[last], bytes);
        model.run(last, Numerics::Tflite)
    };
    let ((one, fused), (several, apart)) = (chain(false), chain(true));
    assert_eq!((one, several), (1, 3));
    assert_eq!(fused, apart);
}

#[test]
fn a_product_of_two_inputs_stays() {
    let mut model = Model::new(0.1, 0);
    let hidden = model.hidden(0);
    let halved = tensor(Element::INT8, 1.0 / 256.0, -128);
    let share = model.push(Opcode::LOGISTIC, Attributes::None, &[hidden], halved);
    let fused = Attributes::Fused {
        activation: Activation(0),
    };
    let product = tensor(Element::INT8, 0.1, 0);
    let product = model.push(Opcode::MUL, fused, &[0, share], product);
    assert_eq!(model.run(product, Numerics::Tflite).0, 2);
}
