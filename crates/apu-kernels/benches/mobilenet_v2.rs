//! The convolutions and additions of MobileNetV2 1.0 224 (uint8): each shape by itself, and all
//! layers in their order, with every instruction set.

#![allow(clippy::unwrap_used)]

use apu_kernels::{Isa, conv_2d, depthwise_conv_2d, elementwise};
use apu_proto::program::{self, DType, Rounding, Window};
use divan::Bencher;
use std::{fmt, sync::LazyLock};

fn main() {
    divan::main();
}

/// One layer, with random operands.
struct Layer {
    name: String,
    kind: Kind,
    operands: Vec<Vec<u8>>,
    output: Vec<u8>,
    macs: u64,
}

enum Kind {
    Conv(program::Conv2d),
    Depthwise(program::DepthwiseConv2d),
    Elementwise(program::Elementwise),
}

impl Layer {
    fn conv(side: u32, in_c: u32, out_c: u32, kernel: u32, stride: u32) -> Self {
        let p = program::Conv2d {
            window: window(side, in_c, out_c, kernel, stride),
            dtype: DType::UInt8 as u32,
            input_zero_point: 128,
            weight_zero_point: 0,
            output_zero_point: 0,
            clamp_min: 0,
            clamp_max: 255,
            rounding: Rounding::AWAY,
            outliers: 1,
            ramps: 0,
        };
        let name = format!("conv {kernel}x{kernel} {side}x{side}x{in_c} to {out_c}");
        let macs = u64::from(side / stride).pow(2) * u64::from(kernel * kernel * in_c * out_c);
        Self::new(
            name,
            Kind::Conv(p),
            macs,
            conv_2d::sizes(&p).unwrap().as_slice(),
            &[3],
        )
    }

    fn depthwise(side: u32, channels: u32, stride: u32) -> Self {
        let p = program::DepthwiseConv2d {
            window: window(side, channels, channels, 3, stride),
            dtype: DType::UInt8 as u32,
            input_zero_point: 0,
            output_zero_point: 0,
            clamp_min: 0,
            clamp_max: 255,
            rounding: 0,
            ramps: 0,
        };
        let name = format!("depthwise {side}x{side}x{channels} stride {stride}");
        let macs = u64::from(side / stride).pow(2) * u64::from(9 * channels);
        let sizes = depthwise_conv_2d::sizes(&p).unwrap();
        Self::new(name, Kind::Depthwise(p), macs, sizes.as_slice(), &[3])
    }

    fn add(side: u32, channels: u32) -> Self {
        let stride = [0, 0, 0, 0, 0, 1];
        let p = program::Elementwise {
            function: program::Function::ADD,
            dtype: DType::UInt8 as u32,
            a_zero_point: 120,
            b_zero_point: 130,
            output_zero_point: 125,
            left_shift: 20,
            a_multiplier: 1 << 30,
            a_shift: 0,
            b_multiplier: 1_600_000_000,
            b_shift: -1,
            output_multiplier: 1_200_000_000,
            output_shift: -18,
            clamp_min: 0,
            clamp_max: 255,
            shape: [1, 1, 1, 1, 1, side * side * channels],
            a_stride: stride,
            b_stride: stride,
            rounding: 0,
        };
        let name = format!("add {side}x{side}x{channels}");
        Self::new(
            name,
            Kind::Elementwise(p),
            0,
            elementwise::sizes(&p).unwrap().as_slice(),
            &[2],
        )
    }

    fn new(name: String, kind: Kind, macs: u64, sizes: &[u32], outputs: &[usize]) -> Self {
        let mut operands: Vec<Vec<u8>> = (1..)
            .zip(sizes)
            .map(|(seed, &size)| noise(seed, size))
            .collect();
        let output = operands.remove(outputs[0]);
        if operands.len() > 2 {
            operands[2] = channel_table(operands[2].len());
        }
        Self {
            name,
            kind,
            operands,
            output,
            macs,
        }
    }

    fn run(&mut self, isa: Isa) {
        let output = &mut self.output;
        match (&self.kind, self.operands.as_mut_slice()) {
            (Kind::Conv(p), [input, weights, table, scratch]) => {
                conv_2d::run(isa, p, input, weights, table, output, scratch)
            }
            (Kind::Depthwise(p), [input, weights, table]) => {
                depthwise_conv_2d::run(isa, p, input, weights, table, output)
            }
            (Kind::Elementwise(p), [a, b]) => elementwise::run(isa, p, a, b, output),
            _ => unreachable!(),
        }
        .unwrap();
    }
}

/// A window with TensorFlow's padding SAME.
fn window(side: u32, in_c: u32, out_c: u32, kernel: u32, stride: u32) -> Window {
    let out = side.div_ceil(stride);
    let pad = ((out - 1) * stride + kernel).saturating_sub(side) / 2;
    Window {
        batch: 1,
        in_h: side,
        in_w: side,
        in_c,
        out_h: out,
        out_w: out,
        out_c,
        kernel_h: kernel,
        kernel_w: kernel,
        stride_h: stride,
        stride_w: stride,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: pad,
        pad_left: pad,
    }
}

fn noise(seed: u32, size: u32) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::successors(Some(seed), |s| Some(*s))
        .scan(seed, |s, _| next(s))
        .take(size as usize)
        .collect()
}

fn channel_table(bytes: usize) -> Vec<u8> {
    let channels = bytes / 12;
    let column = |word: i32| std::iter::repeat_n(word.to_le_bytes(), channels).flatten();
    column(1000)
        .chain(column(1_500_000_000))
        .chain(column(-9))
        .collect()
}

/// The layers in the order of the network: `(expansion, channels, repeats, stride)` of the blocks are
/// those of table 2 in Sandler et al., "MobileNetV2", 2018.
fn network() -> Vec<Layer> {
    let blocks = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    let mut layers = vec![Layer::conv(224, 3, 32, 3, 2)];
    let (mut side, mut channels) = (112, 32);
    for (expansion, out_c, repeats, stride) in blocks {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            let wide = channels * expansion;
            if expansion > 1 {
                layers.push(Layer::conv(side, channels, wide, 1, 1));
            }
            layers.push(Layer::depthwise(side, wide, stride));
            side /= stride;
            layers.push(Layer::conv(side, wide, out_c, 1, 1));
            if repeat > 0 {
                layers.push(Layer::add(side, out_c));
            }
            channels = out_c;
        }
    }
    layers.extend([
        Layer::conv(7, 320, 1280, 1, 1),
        Layer::conv(1, 1280, 1001, 1, 1),
    ]);
    layers
}

/// A layer and an instruction set, by index, so that both have names in the report.
#[derive(Clone, Copy)]
struct Case(usize, Isa);

static NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| network().into_iter().map(|layer| layer.name).collect());

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", NAMES[self.0], self.1.name())
    }
}

/// Each shape once.
fn cases() -> Vec<Case> {
    let new = |&index: &usize| !NAMES[..index].contains(&NAMES[index]);
    (0..NAMES.len())
        .filter(new)
        .flat_map(|index| fast().into_iter().map(move |isa| Case(index, isa)))
        .collect()
}

/// All but the plain one, which takes too long here.
fn fast() -> Vec<Isa> {
    Isa::all_available().skip(1).collect()
}

#[divan::bench(args = cases(), sample_count = 20)]
fn layer(bencher: Bencher<'_, '_>, case: Case) {
    let mut layer = network().swap_remove(case.0);
    bencher
        .counter(divan::counter::ItemsCount::new(layer.macs))
        .bench_local(|| layer.run(case.1));
}

#[divan::bench(args = fast().into_iter().map(|isa| isa.name()), sample_count = 50)]
fn all_layers(bencher: Bencher<'_, '_>, name: &str) {
    let isa = Isa::all_available().find(|isa| isa.name() == name).unwrap();
    let mut layers = network();
    bencher.bench_local(|| layers.iter_mut().for_each(|layer| layer.run(isa)));
}
