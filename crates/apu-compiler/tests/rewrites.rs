//! Bands of rows, pads in convolutions and tensors that are parts of others compute the same bytes as
//! whole tensors do, in less memory and with fewer records.
#![allow(missing_docs, clippy::unwrap_used)]

mod interpreter;

use std::borrow::Cow;

use apu_compiler::graph::{
    Activation, Element, Graph, Opcode, Operator, Options as Attributes, Padding, Quantization,
    Sliding, Tensor,
};
use apu_compiler::{Compiled, Optimise, Options, compile_graph};
use proptest::prelude::*;

/// What a layer does to the image before it.
#[derive(Clone, Debug)]
enum Layer {
    Conv {
        kernel: u32,
        channels: u32,
        sliding: Sliding,
    },
    /// A convolution most of whose filters are zeros.
    Pruned {
        kernel: u32,
        channels: u32,
        sliding: Sliding,
    },
    Depthwise {
        kernel: u32,
        sliding: Sliding,
    },
    MaxPool {
        filter: u32,
        sliding: Sliding,
    },
    /// Rows above and below, columns to the left and right.
    Pad([u32; 4]),
    /// An earlier image of the same shape below this one.
    Stack {
        back: usize,
    },
    /// The upper or lower half of the rows.
    Half {
        lower: bool,
    },
    /// Each byte by itself.
    Function(Opcode),
    /// The sum with an earlier image of the same shape, counted from the last.
    Add {
        back: usize,
    },
}

fn sliding(most_dilation: i32) -> impl Strategy<Value = Sliding> {
    let padding = prop_oneof![Just(Padding::Same), Just(Padding::Valid)];
    (padding, 1..=3i32, 1..=most_dilation).prop_map(|(padding, stride, dilation)| Sliding {
        padding,
        stride: [stride, 1],
        dilation: [dilation, 1],
    })
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        (1..=4u32, 1..=9u32, sliding(2)).prop_map(|(kernel, channels, sliding)| Layer::Conv {
            kernel,
            channels,
            sliding
        }),
        (1..=3u32, 10..=70u32, sliding(2)).prop_map(|(kernel, channels, sliding)| Layer::Pruned {
            kernel,
            channels,
            sliding
        }),
        (1..=4u32, sliding(2)).prop_map(|(kernel, sliding)| Layer::Depthwise { kernel, sliding }),
        (1..=3u32, sliding(1)).prop_map(|(filter, sliding)| Layer::MaxPool { filter, sliding }),
        (1..=4usize).prop_map(|back| Layer::Add { back }),
        prop_oneof![Just(Opcode::RELU), Just(Opcode::QUANTIZE)].prop_map(Layer::Function),
        [0..3u32, 0..3u32, 0..3u32, 0..3u32].prop_map(Layer::Pad),
        (1..=4usize).prop_map(|back| Layer::Stack { back }),
        any::<bool>().prop_map(|lower| Layer::Half { lower }),
    ]
}

/// A graph as it grows. Images have names by their index in `images`.
struct Builder {
    graph: Graph<'static>,
    images: Vec<usize>,
    state: u32,
}

impl Builder {
    fn new(shape: [u32; 4]) -> Self {
        let mut builder = Self {
            graph: Graph {
                name: String::new(),
                description: String::new(),
                tensors: Vec::new(),
                operators: Vec::new(),
                inputs: vec![0],
                outputs: Vec::new(),
            },
            images: vec![0],
            state: 1,
        };
        builder.tensor(&shape, Element::INT8, None);
        builder
    }

    fn tensor(&mut self, shape: &[u32], element: Element, data: Option<Vec<u8>>) -> usize {
        let scale = if element == Element::INT32 { 0.01 } else { 0.1 };
        self.graph.tensors.push(Tensor {
            name: format!("t{}", self.graph.tensors.len()),
            shape: shape.into(),
            element,
            quantization: Some(Quantization {
                scales: vec![scale],
                zero_points: vec![0],
                axis: 0,
            }),
            data: data.map(Cow::Owned),
            sparse: false,
            variable: false,
        });
        self.graph.tensors.len() - 1
    }

    fn weights(&mut self, shape: &[u32]) -> usize {
        let count = shape.iter().product::<u32>() as usize;
        let data = (0..count).map(|_| self.next()).collect();
        self.tensor(shape, Element::INT8, Some(data))
    }

    fn next(&mut self) -> u8 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.state >> 24) as u8
    }

    fn last(&self) -> (usize, [u32; 4]) {
        let id = *self.images.last().unwrap();
        (
            id,
            self.graph.tensors[id].shape.as_slice().try_into().unwrap(),
        )
    }

    fn operator(&mut self, opcode: Opcode, inputs: &[usize], shape: &[u32], options: Attributes) {
        let output = self.tensor(shape, Element::INT8, None);
        self.graph.operators.push(Operator {
            index: self.graph.operators.len(),
            opcode,
            custom: None,
            version: 1,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
            intermediates: vec![],
            options,
        });
        self.images.push(output);
    }

    /// Adds a layer, if it fits on the image.
    fn add(&mut self, layer: &Layer) {
        let (input, [_, h, w, c]) = self.last();
        let activation = Activation(0);
        match *layer {
            Layer::Conv {
                kernel,
                channels,
                sliding,
            } => {
                let Some((h, w)) = slid(&sliding, kernel, h, w) else {
                    return;
                };
                let weights = self.weights(&[channels, kernel, kernel, c]);
                let options = Attributes::Conv2d {
                    sliding,
                    activation,
                };
                self.operator(
                    Opcode::CONV_2D,
                    &[input, weights],
                    &[1, h, w, channels],
                    options,
                );
            }
            Layer::Pruned {
                kernel,
                channels,
                sliding,
            } => {
                let Some((h, w)) = slid(&sliding, kernel, h, w) else {
                    return;
                };
                let weights = self.weights(&[channels, kernel, kernel, c]);
                let filters = self.graph.tensors[weights].data.as_mut().unwrap().to_mut();
                let filters = filters.chunks_exact_mut((kernel * kernel * c) as usize);
                for (channel, filter) in filters.enumerate() {
                    if channel % 5 != 0 {
                        filter.fill(0);
                    }
                }
                // Some are zero in every run, some are something else.
                let bias: Vec<u32> = (0..channels).map(|it| it % 2 * it * 10).collect();
                let bias = self.integers(&bias);
                let options = Attributes::Conv2d {
                    sliding,
                    activation,
                };
                self.operator(
                    Opcode::CONV_2D,
                    &[input, weights, bias],
                    &[1, h, w, channels],
                    options,
                );
            }
            Layer::Depthwise { kernel, sliding } => {
                let Some((h, w)) = slid(&sliding, kernel, h, w) else {
                    return;
                };
                let weights = self.weights(&[1, kernel, kernel, c]);
                let options = Attributes::DepthwiseConv2d {
                    sliding,
                    activation,
                };
                self.operator(
                    Opcode::DEPTHWISE_CONV_2D,
                    &[input, weights],
                    &[1, h, w, c],
                    options,
                );
            }
            Layer::MaxPool { filter, sliding } => {
                let Some((h, w)) = slid(&sliding, filter, h, w) else {
                    return;
                };
                let options = Attributes::Pool2d {
                    sliding,
                    filter: [filter.cast_signed(); 2],
                    activation,
                };
                self.operator(Opcode::MAX_POOL_2D, &[input], &[1, h, w, c], options);
            }
            Layer::Function(opcode) => {
                self.operator(opcode, &[input], &[1, h, w, c], Attributes::None);
            }
            Layer::Add { back } => {
                if let Some(other) = self.earlier(back) {
                    let options = Attributes::Fused { activation };
                    self.operator(Opcode::ADD, &[input, other], &[1, h, w, c], options);
                }
            }
            Layer::Stack { back } => {
                if let Some(other) = self.earlier(back) {
                    let options = Attributes::Concatenation {
                        axis: 1,
                        activation,
                    };
                    let shape = [1, 2 * h, w, c];
                    self.operator(Opcode::CONCATENATION, &[input, other], &shape, options);
                }
            }
            Layer::Half { lower } => {
                let half = h / 2;
                if half > 0 {
                    let begin = self.integers(&[0, if lower { h - half } else { 0 }, 0, 0]);
                    let size = self.integers(&[1, half, w, c]);
                    let inputs = [input, begin, size];
                    self.operator(Opcode::SLICE, &inputs, &[1, half, w, c], Attributes::None);
                }
            }
            Layer::Pad([top, bottom, left, right]) => {
                let pads = self.integers(&[0, 0, top, bottom, left, right, 0, 0]);
                self.graph.tensors[pads].shape = vec![4, 2];
                let shape = [1, h + top + bottom, w + left + right, c];
                self.operator(Opcode::PAD, &[input, pads], &shape, Attributes::None);
            }
        }
    }

    /// An earlier image of the same shape as the last.
    fn earlier(&self, back: usize) -> Option<usize> {
        let (_, shape) = self.last();
        let at = self.images.len().checked_sub(1 + back)?;
        let same = |id: &usize| self.graph.tensors[*id].shape == shape;
        Some(self.images[at]).filter(same)
    }

    fn integers(&mut self, values: &[u32]) -> usize {
        let data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let id = self.tensor(&[values.len() as u32], Element::INT32, Some(data));
        self.graph.tensors[id].quantization = None;
        id
    }
}

/// Height and width after a window has slid over an image; none if it doesn't fit.
fn slid(sliding: &Sliding, kernel: u32, h: u32, w: u32) -> Option<(u32, u32)> {
    let side = |size: u32, axis: usize| {
        let stride = sliding.stride[axis].cast_unsigned();
        let reach = (kernel - 1) * sliding.dilation[axis].cast_unsigned();
        match sliding.padding {
            Padding::Same => Some(size.div_ceil(stride)),
            Padding::Valid => size
                .checked_sub(reach)
                .filter(|&n| n > 0)
                .map(|n| n.div_ceil(stride)),
        }
    };
    Some((side(h, 0)?, side(w, 1)?))
}

fn compiled(graph: &Graph, optimise: Optimise) -> Compiled {
    let options = Options {
        optimise,
        ..Options::default()
    };
    compile_graph(graph, &options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rewrite_changes_a_byte(
        shape in (3..40u32, 1..6u32, 1..6u32),
        layers in prop::collection::vec(layer(), 2..9),
    ) {
        let mut builder = Builder::new([1, shape.0, shape.1, shape.2]);
        layers.iter().for_each(|layer| builder.add(layer));
        if builder.images.len() < 2 {
            return Ok(());
        }
        let mut graph = builder.graph;
        let last = *builder.images.last().unwrap();
        let input: Vec<u8> = (0..shape.0 * shape.1 * shape.2).map(|i| (i * 37 + i / 7) as u8).collect();

        // Whole tensors are what there is when all of them are outputs.
        graph.outputs = builder.images[1..].to_vec();
        prop_assume!(graph.outputs.len() < 20);
        let whole = interpreter::run(&compiled(&graph, Optimise::Speed).program, &input);
        graph.outputs = vec![last];
        let small = compiled(&graph, Optimise::Size);
        let fast = compiled(&graph, Optimise::Speed);
        let want = whole.last().unwrap();
        prop_assert!(interpreter::run(&small.program, &input)[0] == *want);
        prop_assert!(interpreter::run(&fast.program, &input)[0] == *want);
        let arena = |compiled: &Compiled| compiled.report.totals.arena_lower_bound.unwrap();
        prop_assert!(arena(&small) <= arena(&fast));
    }
}

#[test]
fn channels_that_never_change_are_not_computed() {
    let same = Sliding {
        padding: Padding::Same,
        stride: [1, 1],
        dilation: [1, 1],
    };
    let mut builder = Builder::new([1, 9, 9, 4]);
    let layers = [
        Layer::Pruned {
            kernel: 3,
            channels: 60,
            sliding: same,
        },
        Layer::Depthwise {
            kernel: 3,
            sliding: same,
        },
        Layer::Conv {
            kernel: 1,
            channels: 5,
            sliding: same,
        },
    ];
    layers.iter().for_each(|layer| builder.add(layer));
    let mut graph = builder.graph;
    let input: Vec<u8> = (0..9 * 9 * 4).map(|i| (i * 37) as u8).collect();
    graph.outputs = builder.images[1..].to_vec();
    let whole = compiled(&graph, Optimise::Speed);
    graph.outputs = vec![*builder.images.last().unwrap()];
    let pruned = compiled(&graph, Optimise::Speed);
    assert_eq!(
        interpreter::run(&pruned.program, &input)[0],
        *interpreter::run(&whole.program, &input).last().unwrap()
    );
    // 12 filters aren't zeros, and 24 of the others make what isn't zero behind the padding.
    let size = |compiled: &Compiled| compiled.report.totals.constants_bytes.unwrap();
    assert!(
        size(&pruned) < size(&whole),
        "{} {}",
        size(&pruned),
        size(&whole)
    );
}

#[test]
fn an_expansion_is_never_held_whole() {
    let same = Sliding {
        padding: Padding::Same,
        stride: [1, 1],
        dilation: [1, 1],
    };
    let mut builder = Builder::new([1, 64, 16, 8]);
    builder.add(&Layer::Conv {
        kernel: 1,
        channels: 48,
        sliding: same,
    });
    builder.add(&Layer::Depthwise {
        kernel: 3,
        sliding: same,
    });
    builder.add(&Layer::Conv {
        kernel: 1,
        channels: 8,
        sliding: same,
    });
    builder.add(&Layer::Conv {
        kernel: 1,
        channels: 8,
        sliding: same,
    });
    let mut graph = builder.graph;
    graph.outputs = vec![*builder.images.last().unwrap()];
    let [small, fast] =
        [Optimise::Size, Optimise::Speed].map(|optimise| compiled(&graph, optimise).report.totals);
    // Two images of 48 channels at once, or some rows of each.
    assert_eq!(fast.arena_bytes, Some(2 * 64 * 16 * 48));
    assert!(small.arena_bytes.unwrap() <= 8 * 16 * 48, "{small:?}");
    assert_eq!(small.macs, fast.macs);
}

#[test]
fn a_pad_is_part_of_the_convolution_behind_it() {
    let valid = Sliding {
        padding: Padding::Valid,
        stride: [2, 1],
        dilation: [1, 1],
    };
    let mut builder = Builder::new([1, 9, 9, 4]);
    for _ in 0..2 {
        builder.add(&Layer::Pad([1, 1, 1, 1]));
        builder.add(&Layer::Depthwise {
            kernel: 3,
            sliding: valid,
        });
    }
    builder.graph.outputs = vec![*builder.images.last().unwrap()];
    let totals = compiled(&builder.graph, Optimise::Speed).report.totals;
    assert_eq!((totals.operators, totals.records), (4, Some(2)));
}

#[test]
fn what_is_stacked_is_made_in_its_place_and_what_is_cut_out_stays_there() {
    let same = Sliding {
        padding: Padding::Same,
        stride: [1, 1],
        dilation: [1, 1],
    };
    let depthwise = Layer::Depthwise {
        kernel: 3,
        sliding: same,
    };
    let mut builder = Builder::new([1, 8, 8, 4]);
    builder.add(&depthwise);
    builder.add(&depthwise);
    builder.add(&Layer::Stack { back: 1 });
    builder.add(&Layer::Half { lower: true });
    builder.add(&depthwise);
    builder.graph.outputs = vec![*builder.images.last().unwrap()];
    let totals = compiled(&builder.graph, Optimise::Speed).report.totals;
    assert_eq!((totals.operators, totals.records), (5, Some(3)));
    // Two images, side by side.
    assert_eq!(totals.arena_bytes, Some(2 * 8 * 8 * 4));
}
