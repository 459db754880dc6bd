//! Every fast path gives the bytes of the plain one, for random parameters and contents.

#![allow(clippy::unwrap_used)]

use core::ops::RangeInclusive;

use apu_kernels::{
    Cut, Isa, conv_2d, depthwise_conv_2d, elementwise, lookup, mean, pool_2d, quantize,
    ramp::{Finder, Ramp},
    requant::{Factor, Ties},
    softmax,
};
use apu_proto::program::{self, DType, OP_RANK, Ramps, Rounding, Window};
use proptest::prelude::*;

/// Runs `kernel` with every instruction set, on an output of `size` bytes, and compares.
fn same_on_all(size: u32, kernel: impl Fn(Isa, &mut [u8])) {
    let mut want = vec![0xa5; size as usize];
    kernel(Isa::plain(), &mut want);
    for isa in Isa::all_available() {
        let mut got = vec![0x5a; size as usize];
        kernel(isa, &mut got);
        let difference = want.iter().zip(&got).position(|(want, got)| want != got);
        assert_eq!(difference, None, "first differing byte with {}", isa.name());
    }
}

/// Runs `whole` plainly and `shares` with every instruction set, and compares.
fn same_in_shares(size: u32, whole: impl Fn(Isa, &mut [u8]), shares: impl Fn(Isa, &mut [u8])) {
    let mut want = vec![0xa5; size as usize];
    whole(Isa::plain(), &mut want);
    same_on_all(size, |isa, got| {
        shares(isa, got);
        let difference = want.iter().zip(&*got).position(|(want, got)| want != got);
        assert_eq!(
            difference,
            None,
            "first differing byte in shares with {}",
            isa.name()
        );
    });
}

/// Computes an output in `of` shares, each by itself with scratch of its own.
fn in_shares<K>(
    of: usize,
    share: impl Fn(usize) -> (Cut, K),
    [a, b]: [&[u8]; 2],
    output: &mut [u8],
    run: impl Fn(&K, [&[u8]; 2], &mut [u8], &mut [u8]),
) {
    let mut end = 0;
    for (cut, kernel) in (0..of).map(share) {
        let [first, second] = cut.reads;
        assert_eq!(cut.output.start, end);
        end = cut.output.end;
        let mut scratch = noise(7, cut.scratch as u32);
        let output = &mut output[cut.output];
        run(&kernel, [&a[first], &b[second]], output, &mut scratch);
    }
    assert_eq!(end, output.len());
}

/// `size` bytes, the same ones for the same seed.
fn noise(seed: u64, size: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// A channel table with biases and factors of the size that models have, a few of them wild for odd seeds.
fn channel_table(seed: u64, size: u32, rounding: u32) -> Vec<u8> {
    let channels = size as usize / 12;
    let is_wild = |word: i32| word % 16 == 0 && seed % 2 == 1;
    let word = |index: usize, bytes: &[u8]| {
        i32::from_le_bytes(bytes[index * 4..][..4].try_into().unwrap())
    };
    let random = noise(seed, size);
    let bias = (0..channels).map(|c| match word(c, &random) {
        wild if is_wild(wild) => wild,
        usual => usual >> 12,
    });
    let multiplier = (channels..2 * channels).map(|c| match word(c, &random) {
        wild if rounding == Rounding::EVEN && is_wild(wild) => wild,
        usual if rounding == Rounding::EVEN => {
            (0.01 / (usual as u16 as f32 + 1.0)).to_bits() as i32
        }
        usual if seed.is_multiple_of(2) => usual & i32::MAX | 1 << 30,
        usual => usual >> 1 | 1 << 30,
    });
    let shift = (2 * channels..3 * channels).map(|c| match word(c, &random) {
        wild if is_wild(wild) => wild % 64,
        usual => -6 - (usual & 7),
    });
    bias.chain(multiplier)
        .chain(shift)
        .flat_map(i32::to_le_bytes)
        .collect()
}

/// Ramps for a channel table and any sums that there are, of a kind that they all fit.
fn ramps_of(
    table: &[u8],
    seed: u64,
    (rounding, kind): (u32, u32),
    steps: RangeInclusive<i32>,
) -> (u32, Vec<u8>) {
    let words: Vec<i32> = table
        .as_chunks()
        .0
        .iter()
        .map(|&word| i32::from_le_bytes(word))
        .collect();
    let (channels, ties) = (words.len() / 3, Ties::new("rounding", rounding).unwrap());
    let reach = 1 << 26;
    let ramps: Option<Vec<Ramp>> = (0..channels)
        .map(|channel| {
            let factor = [channels + channel, 2 * channels + channel].map(|index| words[index]);
            Finder::default().ramp(
                Factor::from_words(ties, factor),
                steps.clone(),
                -reach..=reach,
            )
        })
        .collect();
    // Tables with something wild have none.
    let Some(ramps) = ramps.filter(|_| kind != Ramps::NONE && seed.is_multiple_of(2)) else {
        return (Ramps::NONE, Vec::new());
    };
    let needed = |ramp: &Ramp| match ramp {
        _ if ramp.is_fine() => Ramps::FINE,
        _ if ramp.is_bent() => Ramps::BENT,
        _ => Ramps::STRAIGHT,
    };
    let kind = ramps.iter().map(needed).fold(kind, u32::max);
    let arrays: [fn(&Ramp) -> f32; 4] = [|r| r.slope, |r| r.start, |r| r.start_below, |r| r.rest];
    let array = |array: &fn(&Ramp) -> f32| {
        let words: Vec<u8> = ramps
            .iter()
            .flat_map(|ramp| array(ramp).to_le_bytes())
            .collect();
        words
    };
    (
        kind,
        arrays[..kind as usize].iter().flat_map(array).collect(),
    )
}

fn ramps() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![Ramps::NONE, Ramps::STRAIGHT, Ramps::BENT, Ramps::FINE])
}

/// Multiplier and shift of an input: a half, which the one with the larger scale has and both do
/// if their scales are the same, or any other.
fn input_factor() -> impl Strategy<Value = (i32, i32)> {
    prop_oneof![Just((1 << 30, 0)), (1 << 30..i32::MAX, -20..2i32)]
}

/// Packed weights of a window: each kernel row ends with zeros, up to a multiple of four, if not with noise.
fn matrix(seed: u64, size: u32, window: &Window) -> Vec<u8> {
    let taps = (window.kernel_w * window.in_c) as usize;
    let groups = taps.div_ceil(4);
    let mut weights = noise(seed, size);
    if seed.is_multiple_of(16) {
        return weights;
    }
    for (index, group) in weights.chunks_exact_mut(16 * 4).enumerate() {
        let left = taps - index % groups * 4;
        for channel in group.chunks_exact_mut(4) {
            channel.iter_mut().skip(left).for_each(|tap| *tap = 0);
        }
    }
    weights
}

/// An outlier, which may be of a channel or a tap that isn't there.
fn outlier(seed: u64, window: &Window) -> Vec<u8> {
    let random = noise(seed, 3);
    let pitch = (window.kernel_w * window.in_c).next_multiple_of(4);
    let row = u32::from(random[0]) % (window.kernel_h + 1);
    let column = u32::from(random[1]) % pitch;
    let tap = row * pitch + column;
    let channel = u32::from(random[2]) % (window.out_c + 1);
    [channel, tap, u32::from(random[0]).wrapping_sub(100)]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect()
}

fn byte() -> impl Strategy<Value = u32> {
    prop_oneof![Just(DType::Int8 as u32), Just(DType::UInt8 as u32)]
}

/// The least value of a byte type.
fn least(dtype: u32) -> i32 {
    if dtype == DType::Int8 as u32 { -128 } else { 0 }
}

prop_compose! {
    /// One side of a window: input, output, kernel, stride, dilation, padding.
    fn side(max: u32)(
        kernel in 1..5u32, stride in 1..4u32, dilation in prop_oneof![4 => Just(1u32), 1 => 1..4u32],
        input in 1..=max, before in 0..=8u32, after in 0..=8u32,
    ) -> [u32; 6] {
        let reach = (kernel - 1) * dilation;
        let (before, after) = (before.min(reach), after.min(reach));
        let windows = (input + before + after).saturating_sub(reach + 1) / stride + 1;
        [input, windows.min((input + before - 1) / stride + 1), kernel, stride, dilation, before]
    }
}

prop_compose! {
    fn window(max_side: u32, max_channels: u32)(
        pointwise in any::<bool>(), batch in 1..3u32, h in side(max_side), w in side(max_side),
        in_c in 1..=max_channels, out_c in 1..=max_channels,
    ) -> Window {
        let [h, w] = if pointwise { [h, w].map(|s| [s[0], s[0], 1, 1, 1, 0]) } else { [h, w] };
        Window {
            batch, in_h: h[0], in_w: w[0], in_c, out_h: h[1], out_w: w[1], out_c,
            kernel_h: h[2], kernel_w: w[2], stride_h: h[3], stride_w: w[3],
            dilation_h: h[4], dilation_w: w[4], pad_top: h[5], pad_left: w[5],
        }
    }
}

prop_compose! {
    /// A single window of one element a channel, as of a fully connected layer with one row.
    fn vector()(groups in 1..100u32, out_c in 1..200u32) -> Window {
        Window {
            batch: 1, in_h: 1, in_w: 1, in_c: 4 * groups, out_h: 1, out_w: 1, out_c, kernel_h: 1, kernel_w: 1,
            stride_h: 1, stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0,
        }
    }
}

prop_compose! {
    /// A 3x3 window over few channels, as first layers have.
    fn first_layer()(
        size in (1..40u32, 1..90u32), stride in 1..4u32, pad in prop::array::uniform2(0..3u32),
        in_c in 3..5u32, out_c in prop::sample::select(vec![8, 16, 32]), batch in 1..3u32,
    ) -> Window {
        let (in_h, in_w) = size;
        let [out_h, out_w] = [(in_h, pad[0]), (in_w, pad[1])].map(|(side, pad)| (side + pad - 1) / stride + 1);
        Window {
            batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h: 3, kernel_w: 3,
            stride_h: stride, stride_w: stride, dilation_h: 1, dilation_w: 1, pad_top: pad[0], pad_left: pad[1],
        }
    }
}

prop_compose! {
    /// Windows over few channels of a small input, which has room in scratch with its padding.
    fn small_input()(
        size in (1..50u32, 1..20u32), kernel in (1..11u32, 1..6u32), stride in prop::array::uniform2(1..3u32),
        pad in prop::array::uniform2(0..5u32), in_c in 1..4u32, out_c in prop::sample::select(vec![16, 32, 64]),
        batch in 1..3u32,
    ) -> Window {
        let ((in_h, in_w), (kernel_h, kernel_w), [stride_h, stride_w]) = (size, kernel, stride);
        let pad = [pad[0].min(kernel_h - 1), pad[1].min(kernel_w - 1)];
        let [out_h, out_w] =
            [(in_h, pad[0], stride_h), (in_w, pad[1], stride_w)].map(|(side, pad, stride)| (side + pad - 1) / stride + 1);
        Window {
            batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w,
            stride_h, stride_w, dilation_h: 1, dilation_w: 1, pad_top: pad[0], pad_left: pad[1],
        }
    }
}

prop_compose! {
    /// 1x1 windows over few channels.
    fn pointwise()(
        h in 1..12u32, w in 3..12u32, batch in 1..3u32,
        [in_c, out_c] in prop::sample::select(vec![[8, 16], [16, 16], [16, 32], [32, 32], [32, 64], [64, 64], [64, 32]]),
    ) -> Window {
        Window {
            batch, in_h: h, in_w: w, in_c, out_h: h, out_w: w, out_c, kernel_h: 1, kernel_w: 1,
            stride_h: 1, stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 0, pad_left: 0,
        }
    }
}

prop_compose! {
    /// Offsets from the least value of the type: zero points of input and output, and the clamp.
    fn offsets()(zero in 0..256, out in 0..256, min in 0..64, max in 128..256) -> [i32; 4] {
        [zero, out, min, max]
    }
}

/// Compares a convolution, whole and in shares. An even seed has nothing wild.
fn same_convolutions(
    window: Window,
    dtype: u32,
    offsets: [i32; 4],
    (seed, shares): (u64, usize),
    (rounding, weight_zero_point): (u32, i32),
    (ramps, outliers): (u32, u32),
) {
    let [input_zero_point, output_zero_point, clamp_min, clamp_max] =
        offsets.map(|x| x + least(dtype));
    let mut p = program::Conv2d {
        window,
        dtype,
        input_zero_point,
        weight_zero_point,
        output_zero_point,
        clamp_min,
        clamp_max,
        rounding,
        outliers: 0,
        ramps: Ramps::NONE,
    };
    let sizes = conv_2d::sizes(&p).unwrap();
    let &[input, weights, table, output, scratch] = sizes.as_slice() else {
        unreachable!()
    };
    let (input, mut table) = (noise(seed, input), channel_table(seed ^ 2, table, rounding));
    let steps = clamp_min - output_zero_point..=clamp_max - output_zero_point;
    let (kind, ramps) = ramps_of(&table, seed ^ 2, (rounding, ramps), steps);
    (p.ramps, p.outliers) = (kind, outliers);
    table.extend((0..outliers).flat_map(|index| outlier(seed ^ 4 ^ u64::from(index), &window)));
    table.extend(ramps);
    let weights = matrix(seed ^ 1, weights, &window);
    same_on_all(output, |isa, output| {
        let mut scratch = noise(seed ^ 3, scratch);
        conv_2d::run(isa, &p, &input, &weights, &table, output, &mut scratch).unwrap();
    });
    let whole = conv_2d::Conv2d::new(&p).unwrap();
    let of = shares.min(whole.most_shares());
    same_in_shares(
        output,
        |isa, output| {
            conv_2d::run(
                isa,
                &p,
                &input,
                &weights,
                &table,
                output,
                &mut noise(5, scratch),
            )
            .unwrap();
        },
        |isa, output| {
            let operands = [&*input, &*weights];
            in_shares(
                of,
                |index| (whole.cut(index, of), whole.share(index, of)),
                operands,
                output,
                |conv, [a, b], out, scratch| {
                    conv.run(isa, a, b, &table, out, scratch).unwrap();
                },
            );
        },
    );
}

proptest! {
    #[test]
    fn conv_2d(
        // Rows that are longer than scratch, first layers, small inputs, few channels and a single window are
        // computed in ways of their own.
        window in prop_oneof![6 => window(12, 70), 1 => window(220, 5), 3 => first_layer(), 3 => small_input(), 4 => pointwise(), 1 => vector()], dtype in byte(), offsets in offsets(), seed in any::<u64>(),
        weight_zero_point in prop_oneof![Just(0), -128..128i32],
        rounding in prop::sample::select(vec![Rounding::AWAY, Rounding::UP, Rounding::EVEN]), ramps in ramps(),
        outliers in prop_oneof![Just(0), 1..5u32], shares in 1..9usize,
    ) {
        same_convolutions(window, dtype, offsets, (seed, shares), (rounding, weight_zero_point), (ramps, outliers));
    }

    #[test]
    fn conv_2d_with_ramps_and_outliers(
        window in prop_oneof![1 => first_layer(), 1 => small_input(), 2 => pointwise()], dtype in byte(), offsets in offsets(), seed in any::<u64>(),
        rounding in prop::sample::select(vec![Rounding::AWAY, Rounding::UP]), outliers in 0..5u32, shares in 1..5usize,
    ) {
        same_convolutions(window, dtype, offsets, (seed & !1, shares), (rounding, 0), (Ramps::STRAIGHT, outliers));
    }

    #[test]
    fn depthwise_conv_2d(
        // Small images with many channels, and rows that are long.
        window in prop_oneof![3 => window(12, 70), 1 => window(24, 200), 1 => window(220, 20)], multiplier in prop_oneof![3 => Just(1u32), 1 => 1..4u32],
        dtype in byte(), offsets in offsets(), seed in any::<u64>(),
        rounding in prop::sample::select(vec![Rounding::AWAY, Rounding::UP, Rounding::EVEN]), ramps in ramps(), shares in 1..9usize,
    ) {
        let window = Window { out_c: window.in_c * multiplier, ..window };
        let [input_zero_point, output_zero_point, clamp_min, clamp_max] = offsets.map(|x| x + least(dtype));
        let mut p = program::DepthwiseConv2d {
            window, dtype, input_zero_point, output_zero_point, clamp_min, clamp_max, rounding, ramps: Ramps::NONE,
        };
        let sizes = depthwise_conv_2d::sizes(&p).unwrap();
        let &[input, weights, table, output] = sizes.as_slice() else { unreachable!() };
        let (input, mut table) = (noise(seed, input), channel_table(seed ^ 2, table, rounding));
        let steps = clamp_min - output_zero_point..=clamp_max - output_zero_point;
        let (kind, ramps) = ramps_of(&table, seed ^ 2, (rounding, ramps), steps);
        p.ramps = kind;
        table.extend(ramps);
        let weights: Vec<u8> = noise(seed ^ 1, weights / 2).iter().flat_map(|&w| (i16::from(w) - 100).to_le_bytes()).collect();
        same_on_all(output, |isa, output| {
            depthwise_conv_2d::run(isa, &p, &input, &weights, &table, output).unwrap();
        });
        let whole = depthwise_conv_2d::DepthwiseConv2d::new(&p).unwrap();
        let of = shares.min(whole.most_shares());
        same_in_shares(output, |isa, output| {
            depthwise_conv_2d::run(isa, &p, &input, &weights, &table, output).unwrap();
        }, |isa, output| {
            let operands = [&*input, &*weights];
            in_shares(of, |index| (whole.cut(index, of), whole.share(index, of)), operands, output, |conv, [a, b], out, _| {
                conv.run(isa, a, b, &table, out).unwrap();
            });
        });
    }

    #[test]
    fn depthwise_conv_2d_of_3x3_windows(
        size in (1..7u32, 1..40u32), sixteens in 1..10u32, stride in 1..3u32, batch in 1..3u32,
        (pad_top, pad_left) in (0..3u32, 0..3u32), cut in (0..2u32, 0..2u32), dtype in byte(),
        offsets in offsets(), seed in any::<u64>(), shares in 1..9usize,
        rounding in prop::sample::select(vec![Rounding::AWAY, Rounding::UP, Rounding::EVEN]), ramps in ramps(),
    ) {
        let (in_h, in_w) = size;
        let out = |side: u32, pad: u32, cut: u32| ((side + pad - 1) / stride + 1 - cut).max(1);
        let window = Window {
            batch, in_h, in_w, in_c: 16 * sixteens,
            out_h: out(in_h, pad_top, cut.0), out_w: out(in_w, pad_left, cut.1), out_c: 16 * sixteens,
            kernel_h: 3, kernel_w: 3, stride_h: stride, stride_w: stride, dilation_h: 1, dilation_w: 1, pad_top, pad_left,
        };
        let [input_zero_point, output_zero_point, clamp_min, clamp_max] = offsets.map(|x| x + least(dtype));
        let mut p = program::DepthwiseConv2d {
            window, dtype, input_zero_point, output_zero_point, clamp_min, clamp_max, rounding, ramps: Ramps::NONE,
        };
        let sizes = depthwise_conv_2d::sizes(&p).unwrap();
        let &[input, weights, table, output] = sizes.as_slice() else { unreachable!() };
        let (input, mut table) = (noise(seed, input), channel_table(seed ^ 2, table, rounding));
        let steps = clamp_min - output_zero_point..=clamp_max - output_zero_point;
        let (kind, ramps) = ramps_of(&table, seed ^ 2, (rounding, ramps), steps);
        p.ramps = kind;
        table.extend(ramps);
        let whole = depthwise_conv_2d::DepthwiseConv2d::new(&p).unwrap();
        // Signed bytes, but seldom.
        let more = i16::from(seed.is_multiple_of(16));
        let weights: Vec<u8> = noise(seed ^ 1, weights / 2).iter().flat_map(|&w| (i16::from(w as i8) + more).to_le_bytes()).collect();
        same_on_all(output, |isa, output| whole.run(isa, &input, &weights, &table, output).unwrap());
        let of = shares.min(whole.most_shares());
        same_in_shares(output, |isa, output| whole.run(isa, &input, &weights, &table, output).unwrap(), |isa, output| {
            let operands = [&*input, &*weights];
            in_shares(of, |index| (whole.cut(index, of), whole.share(index, of)), operands, output, |conv, [a, b], out, _| {
                conv.run(isa, a, b, &table, out).unwrap();
            });
        });
    }

    #[test]
    fn elementwise(
        function in prop_oneof![Just(program::Function::ADD), 0..=program::Function::GREATER_EQUAL], shape in prop::array::uniform6(1..4u32), columns in 1..90u32, broadcast in any::<[u8; 2]>(),
        dtype in byte(), offsets in offsets(), inputs in prop::array::uniform2(input_factor()),
        output in (1 << 30..i32::MAX, -20..2i32), seed in any::<u64>(), shares in 1..9usize,
    ) {
        let shape = [shape[0], shape[1], shape[2], shape[3], shape[4], columns];
        let strides = broadcast.map(|bits| {
            let mut step = 1;
            let mut strides = [0; OP_RANK];
            for dim in (0..OP_RANK).rev().filter(|dim| bits >> dim & 1 == 0) {
                (strides[dim], step) = (step, step * shape[dim]);
            }
            strides
        });
        let [a_zero_point, output_zero_point, clamp_min, clamp_max] = offsets.map(|x| x + least(dtype));
        let p = program::Elementwise {
            function, dtype, a_zero_point, b_zero_point: least(dtype) + 77, output_zero_point, left_shift: 20,
            a_multiplier: inputs[0].0, a_shift: inputs[0].1, b_multiplier: inputs[1].0, b_shift: inputs[1].1,
            output_multiplier: output.0, output_shift: output.1, clamp_min, clamp_max,
            shape, a_stride: strides[0], b_stride: strides[1], rounding: 0,
        };
        let sizes = elementwise::sizes(&p).unwrap();
        let &[a, b, output] = sizes.as_slice() else { unreachable!() };
        let (a, b) = (noise(seed, a), noise(seed ^ 1, b));
        same_on_all(output, |isa, output| elementwise::run(isa, &p, &a, &b, output).unwrap());
        let whole = elementwise::Elementwise::new(&p).unwrap();
        let of = shares.min(whole.most_shares());
        same_in_shares(output, |isa, output| {
            elementwise::run(isa, &p, &a, &b, output).unwrap();
        }, |isa, output| {
            in_shares(of, |index| (whole.cut(index, of), whole.share(index, of)), [&a, &b], output, |kernel, [a, b], out, _| {
                kernel.run(isa, a, b, out).unwrap();
            });
        });
    }

    #[test]
    fn each_pair_of_bytes_has_its_sum(
        dtype in byte(), offsets in offsets(), zero_point in 0..256, inputs in prop::array::uniform2(input_factor()),
        output in (1 << 30..i32::MAX, -22..-12i32),
    ) {
        let shape = [1, 1, 1, 1, 1, 1 << 16];
        let [a_zero_point, output_zero_point, clamp_min, clamp_max] = offsets.map(|x| x + least(dtype));
        let p = program::Elementwise {
            function: program::Function::ADD, dtype, a_zero_point, b_zero_point: least(dtype) + zero_point, output_zero_point, left_shift: 20,
            a_multiplier: inputs[0].0, a_shift: inputs[0].1, b_multiplier: inputs[1].0, b_shift: inputs[1].1,
            output_multiplier: output.0, output_shift: output.1, clamp_min, clamp_max,
            shape, a_stride: [1; OP_RANK], b_stride: [1; OP_RANK], rounding: 0,
        };
        let (a, b): (Vec<u8>, Vec<u8>) = (0..=u16::MAX).map(|pair| ((pair >> 8) as u8, pair as u8)).unzip();
        same_on_all(1 << 16, |isa, output| elementwise::run(isa, &p, &a, &b, output).unwrap());
    }

    #[test]
    fn pool_2d(window in window(12, 150), dtype in byte(), offsets in offsets(), max in any::<bool>(), seed in any::<u64>()) {
        let window = Window { out_c: window.in_c, dilation_h: 1, dilation_w: 1, ..window };
        let window = Window {
            pad_top: window.pad_top.min(window.kernel_h - 1), pad_left: window.pad_left.min(window.kernel_w - 1),
            out_h: 1, out_w: 1, ..window
        };
        let pooling = if max { pool_2d::Pooling::Max } else { pool_2d::Pooling::Average };
        let p = program::Pool2d { window, dtype, clamp_min: offsets[2] + least(dtype), clamp_max: offsets[3] + least(dtype) };
        let sizes = pool_2d::sizes(&p).unwrap();
        let &[input, output] = sizes.as_slice() else { unreachable!() };
        let input = noise(seed, input);
        same_on_all(output, |isa, output| pool_2d::run(isa, pooling, &p, &input, output).unwrap());
    }

    #[test]
    fn quantize(
        input_dtype in prop_oneof![byte(), Just(DType::Float32 as u32)], output_dtype in byte(), count in 0..300u32,
        zero_points in prop::array::uniform2(0..256i32), multiplier in 0..i32::MAX, shift in -20..3i32,
        scale in 1e-3f32..10.0, seed in any::<u64>(),
    ) {
        let input_zero_point = zero_points[0] + if input_dtype == DType::Float32 as u32 { 0 } else { least(input_dtype) };
        let p = program::Quantize {
            input_dtype, output_dtype, count, input_zero_point, output_zero_point: zero_points[1] + least(output_dtype),
            multiplier, shift, scale: scale.to_bits(), rounding: 0,
        };
        let sizes = quantize::sizes(&p).unwrap();
        let &[input, output] = sizes.as_slice() else { unreachable!() };
        let input = noise(seed, input);
        same_on_all(output, |isa, output| quantize::run(isa, &p, &input, output).unwrap());
    }

    #[test]
    fn softmax(
        rows in 1..3u32, columns in prop_oneof![1..40u32, 200..1100u32], dtype in byte(), wide in 0..2u32,
        input_multiplier in 1 << 30..i32::MAX, input_left_shift in 15..27i32, diff_min in -300..0i32, seed in any::<u64>(),
    ) {
        let exponentials = program::Exponentials { dtype, rows, columns, input_multiplier, input_left_shift, diff_min };
        let p = program::Softmax { exponentials, wide };
        let sizes = softmax::sizes(&p).unwrap();
        let &[input, output] = sizes.as_slice() else { unreachable!() };
        let input = noise(seed, input);
        same_on_all(output, |isa, output| softmax::run(isa, &p, &input, output).unwrap());
    }

    #[test]
    fn lookup(count in 0..300u32, index_size in 1..3u32, entry_size in prop::sample::select(vec![1u32, 2, 4, 8]), seed in any::<u64>()) {
        let p = program::Lookup { count, index_size, entry_size };
        let sizes = lookup::sizes(&p).unwrap();
        let &[input, table, output] = sizes.as_slice() else { unreachable!() };
        let (input, table) = (noise(seed, input), noise(seed ^ 1, table));
        same_on_all(output, |isa, output| lookup::run(isa, &p, &input, &table, output).unwrap());
    }

    #[test]
    fn mean(in_shape in prop::array::uniform6(1..9u32), reduced in 0..64u32, dtype in byte(), seed in any::<u64>()) {
        let p = program::Mean {
            dtype, input_zero_point: least(dtype) + 100, output_zero_point: least(dtype) + 50,
            multiplier: 1 << 30 | 12345, shift: -3, reduced, in_shape, rounding: 0,
        };
        let sizes = mean::sizes(&p).unwrap();
        let &[input, output, scratch] = sizes.as_slice() else { unreachable!() };
        let input = noise(seed, input);
        same_on_all(output, |isa, output| {
            mean::run(isa, &p, &input, output, &mut noise(seed, scratch)).unwrap();
        });
    }
}
