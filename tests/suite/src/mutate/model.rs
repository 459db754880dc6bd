//! Changes of models.

use std::borrow::Cow;

use apu_compiler::graph::{
    Activation, Element, Graph, Operator, Options, Padding, Quantization, Sliding, Tensor, TensorId,
};
use apu_compiler::import;
use fastrand::Rng;

use super::{choose, number};
use crate::tflite;

/// Most tensors and operators of a model, so that it is soon compiled.
const MOST: usize = 64;
/// Most bytes of a constant that changes its shape.
const MOST_BYTES: u64 = 1 << 14;

/// The model with one to four changes; `None` if the file is no model.
pub fn model(file: &[u8], seed: u64) -> Option<Vec<u8>> {
    let graph = import(file).ok()?;
    let mut random = Rng::with_seed(seed);
    // What a change breaks is what the compiler should refuse; that it can be imported is enough.
    (0..8).find_map(|_| {
        let mut changed = graph.clone();
        for _ in 0..random.usize(1..=4) {
            change(&mut changed, &mut random);
        }
        changed.check().ok()?;
        Some(tflite::write(&changed))
    })
}

fn change(graph: &mut Graph<'_>, random: &mut Rng) {
    match random.u8(..12) {
        0..=2 => size_everywhere(graph, random),
        3 => size_of_one(graph, random),
        4 => batch(graph, random),
        5 => element(graph, random),
        6 => quantization(graph, random),
        7 => contents(graph, random),
        8 => operand(graph, random),
        9 => repeated(graph, random),
        10 => ends(graph, random),
        _ => options(graph, random),
    }
}

/// A size that stands in several shapes changes in all of them, so that they still fit each other.
fn size_everywhere(graph: &mut Graph<'_>, random: &mut Rng) {
    let sizes: Vec<u32> = graph.tensors.iter().flat_map(|t| t.shape.clone()).collect();
    let Some(&old) = choose(random, &sizes) else {
        return;
    };
    let new = random.u32(1..=20);
    for tensor in &mut graph.tensors {
        let shape = tensor.shape.iter();
        let shape = shape.map(|&size| if size == old { new } else { size });
        reshape(tensor, shape.collect());
    }
}

fn size_of_one(graph: &mut Graph<'_>, random: &mut Rng) {
    let Some(tensor) = one_of(&mut graph.tensors, random) else {
        return;
    };
    let mut shape = tensor.shape.clone();
    match random.u8(..4) {
        0 => shape.push(1),
        1 => shape.insert(0, 1),
        2 => drop(shape.pop()),
        _ => {
            if let Some(size) = one_of(&mut shape, random) {
                *size = number(random, *size) & i32::MAX as u32;
            }
        }
    }
    reshape(tensor, shape);
}

/// Several samples where there is one.
fn batch(graph: &mut Graph<'_>, random: &mut Rng) {
    let new = random.u32(1..=4);
    for tensor in &mut graph.tensors {
        if tensor.data.is_none() && tensor.shape.first() == Some(&1) {
            tensor.shape[0] = new;
        }
    }
}

/// Another type, of one tensor or of all that have its type.
fn element(graph: &mut Graph<'_>, random: &mut Rng) {
    let types = [
        Element::FLOAT32,
        Element::INT32,
        Element::UINT8,
        Element::INT64,
        Element::BOOL,
        Element::INT16,
        Element::INT8,
    ];
    let new = types[random.usize(..types.len())];
    let Some(tensor) = one_of(&mut graph.tensors, random) else {
        return;
    };
    let (old, all) = (tensor.element, random.bool());
    tensor.element = new;
    resize(tensor);
    let others = graph.tensors.iter_mut();
    for tensor in others.filter(|tensor| all && tensor.element == old && tensor.data.is_none()) {
        tensor.element = new;
    }
}

fn quantization(graph: &mut Graph<'_>, random: &mut Rng) {
    let Some(tensor) = one_of(&mut graph.tensors, random) else {
        return;
    };
    let scales = [1.0 / 256.0, 1.0 / 128.0, 1.0 / 32768.0, 1.0, 0.0, -1.0];
    let scale = |random: &mut Rng| match random.u8(..3) {
        0 => scales[random.usize(..scales.len())],
        1 => (random.f32() * 60.0 - 30.0).exp2(),
        _ => random.f32(),
    };
    let zero_points = [0, -128, 127, 128, 255, i64::MAX];
    let zero_point = zero_points[random.usize(..zero_points.len())];
    let axis = random.usize(..tensor.shape.len() + 1);
    let count = tensor.shape.get(axis).map_or(1, |&size| size.min(64));
    tensor.quantization = match random.u8(..5) {
        0 => None,
        1 => Some(Quantization {
            scales: (0..count.max(1)).map(|_| scale(random)).collect(),
            zero_points: vec![0; count.max(1) as usize],
            axis: axis as i32,
        }),
        _ => Some(Quantization {
            scales: vec![scale(random)],
            zero_points: vec![zero_point],
            axis: 0,
        }),
    };
}

/// Other numbers in a constant: arguments as well as weights.
fn contents(graph: &mut Graph<'_>, random: &mut Rng) {
    let constants = graph.tensors.iter_mut();
    let mut constants: Vec<&mut Tensor<'_>> = constants.filter(|t| t.data.is_some()).collect();
    let Some(tensor) = one_of(&mut constants, random) else {
        return;
    };
    let width = tensor.element.dtype().map_or(1, |dtype| dtype.size());
    let Some(data) = tensor.data.as_mut().map(Cow::to_mut) else {
        return;
    };
    let many = random.u8(..4) == 0;
    for element in data.chunks_mut(width) {
        if !many && random.u8(..4) != 0 {
            continue;
        }
        let near = element.first().copied().unwrap_or(0);
        let new = i64::from(number(random, near.into()).cast_signed());
        element.copy_from_slice(&new.to_le_bytes()[..element.len()]);
    }
}

/// Another input of an operator, or none.
fn operand(graph: &mut Graph<'_>, random: &mut Rng) {
    let tensors = graph.tensors.len();
    let Some(operator) = one_of(&mut graph.operators, random) else {
        return;
    };
    match random.u8(..4) {
        0 => drop(operator.inputs.pop()),
        1 => operator.inputs.push(Some(random.usize(..tensors))),
        _ => {
            if let Some(input) = one_of(&mut operator.inputs, random) {
                *input = (random.u8(..8) > 0).then(|| random.usize(..tensors));
            }
        }
    }
}

/// An operator once more, behind all others, on what one of them made; its outputs are new.
fn repeated(graph: &mut Graph<'_>, random: &mut Rng) {
    if graph.operators.len() >= MOST || graph.tensors.len() >= MOST {
        return;
    }
    let Some(mut again) = choose(random, &graph.operators).cloned() else {
        return;
    };
    let made: Vec<TensorId> = made(&graph.operators);
    if let (Some(input), Some(&from)) = (again.inputs.first_mut(), choose(random, &made)) {
        *input = Some(from);
    }
    let old = std::mem::take(&mut again.outputs);
    for id in old {
        graph.tensors.push(graph.tensors[id].clone());
        again.outputs.push(graph.tensors.len() - 1);
    }
    graph.outputs.extend(again.outputs.first());
    again.index = graph.operators.len();
    graph.operators.push(again);
}

fn made(operators: &[Operator]) -> Vec<TensorId> {
    operators.iter().flat_map(|it| it.outputs.clone()).collect()
}

/// What goes in and what comes out: more, fewer, or a constant for an input and the other way round.
fn ends(graph: &mut Graph<'_>, random: &mut Rng) {
    let Some(id) = (!graph.tensors.is_empty()).then(|| random.usize(..graph.tensors.len())) else {
        return;
    };
    match random.u8(..5) {
        0 => graph.outputs.push(id),
        1 => drop(graph.outputs.pop()),
        2 => graph.inputs.retain(|&input| input != id),
        3 => {
            graph.tensors[id].data = None;
            graph.inputs.push(id);
        }
        _ => {
            let tensor = &mut graph.tensors[id];
            if tensor.bytes() <= MOST_BYTES && !made(&graph.operators).contains(&id) {
                graph.inputs.retain(|&input| input != id);
                tensor.data = Some(Cow::Owned(vec![random.u8(..4); tensor.bytes() as usize]));
            }
        }
    }
}

fn options(graph: &mut Graph<'_>, random: &mut Rng) {
    let Some(operator) = one_of(&mut graph.operators, random) else {
        return;
    };
    let activations = [0, 1, 2, 3, 4, 5, 100].map(Activation);
    let new = activations[random.usize(..activations.len())];
    match &mut operator.options {
        Options::None => {}
        Options::Conv2d {
            sliding,
            activation,
        }
        | Options::DepthwiseConv2d {
            sliding,
            activation,
        }
        | Options::TransposeConv {
            sliding,
            activation,
        } => either(
            random,
            |random| slide(sliding, random),
            || *activation = new,
        ),
        Options::Pool2d {
            sliding,
            filter,
            activation,
        } => match random.u8(..3) {
            0 => slide(sliding, random),
            1 => integer(&mut filter[random.usize(..2)], random),
            _ => *activation = new,
        },
        Options::FullyConnected {
            activation,
            keep_num_dims,
            ..
        } => either(random, |_| *keep_num_dims ^= true, || *activation = new),
        Options::Fused { activation } => *activation = new,
        Options::Sum {
            activation,
            shifted,
        } => either(random, |_| *shifted ^= true, || *activation = new),
        Options::Softmax { beta: real } | Options::LeakyRelu { alpha: real } => {
            *real = random.f32() * 4.0 - 2.0;
        }
        Options::Concatenation { axis, .. }
        | Options::Stack { axis }
        | Options::Block { size: axis } => integer(axis, random),
        Options::Gelu { approximate: flag }
        | Options::MirrorPad { symmetric: flag }
        | Options::Lstm {
            time_major: flag, ..
        } => *flag ^= true,
        Options::Gather { axis, batch_dims } => {
            let field = if random.bool() { axis } else { batch_dims };
            integer(field, random);
        }
        Options::Resize {
            align_corners: a,
            half_pixel_centers: b,
        }
        | Options::BatchMatmul { adj_x: a, adj_y: b } => {
            let flag = if random.bool() { a } else { b };
            *flag ^= true;
        }
        Options::StridedSlice(masks) => {
            let fields = [
                &mut masks.begin,
                &mut masks.end,
                &mut masks.ellipsis,
                &mut masks.new_axis,
                &mut masks.shrink_axis,
            ];
            for field in fields {
                *field ^= i32::from(random.u8(..16)) & i32::from(random.u8(..16));
            }
        }
        Options::Detection(it) => match random.u8(..4) {
            0 => it.max_detections = number(random, it.max_detections),
            1 => it.classes = number(random, it.classes),
            2 => it.per_class = number(random, it.per_class),
            _ => it.regular ^= true,
        },
        Options::Svdf { rank, .. } => integer(rank, random),
        Options::Variable { initial } => *initial = random.u8(..),
    }
}

fn either(random: &mut Rng, one: impl FnOnce(&mut Rng), other: impl FnOnce()) {
    if random.bool() { one(random) } else { other() }
}

fn slide(sliding: &mut Sliding, random: &mut Rng) {
    match random.u8(..3) {
        0 => {
            sliding.padding = match sliding.padding {
                Padding::Same => Padding::Valid,
                Padding::Valid => Padding::Same,
            }
        }
        1 => integer(&mut sliding.stride[random.usize(..2)], random),
        _ => integer(&mut sliding.dilation[random.usize(..2)], random),
    }
}

fn integer(field: &mut i32, random: &mut Rng) {
    *field = match random.u8(..4) {
        0 => number(random, field.cast_unsigned()).cast_signed(),
        _ => random.i32(-2..=4),
    };
}

fn one_of<'a, T>(items: &'a mut [T], random: &mut Rng) -> Option<&'a mut T> {
    (!items.is_empty()).then(|| &mut items[random.usize(..items.len())])
}

/// Gives a tensor another shape, unless it is a constant that would be too large.
fn reshape(tensor: &mut Tensor<'_>, shape: Vec<u32>) {
    let count = shape.iter().try_fold(8u64, |n, &d| n.checked_mul(d.into()));
    if tensor.data.is_some() && count.is_none_or(|bytes| bytes > MOST_BYTES) {
        return;
    }
    if count.is_some_and(|bytes| bytes <= i64::MAX as u64) {
        tensor.shape = shape;
        resize(tensor);
    }
}

/// Makes a constant as long as its shape and type say, with what is in it over and over.
fn resize(tensor: &mut Tensor<'_>) {
    let bytes = tensor.bytes();
    let Some(old) = &tensor.data else { return };
    if tensor.element.dtype().is_none() || old.len() as u64 == bytes || bytes > MOST_BYTES * 8 {
        return;
    }
    let old = if old.is_empty() { &[0][..] } else { old };
    let new = old.iter().copied().cycle().take(bytes as usize).collect();
    tensor.data = Some(Cow::Owned(new));
}
