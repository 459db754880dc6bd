//! Whatever bytes the parameters hold, an operator refuses them or runs: no panic, no overflow, no
//! access beyond its operands.

#![allow(clippy::unwrap_used)]

use apu_kernels::{
    Error, Isa, Sizes, arg_max, batch_matmul, cast, conv_2d, copy, depthwise_conv_2d, dequantize,
    detection, elementwise, float_function, float_softmax, gather, l2_normalization, log_softmax,
    lookup, lstm, mean, pad, pool_2d, quantize, reduce, resize_bilinear, select, softmax,
    strided_copy, svdf, table_softmax, wide_conv_2d,
};
use apu_proto::program;
use proptest::{prelude::*, sample::select};
use zerocopy::{FromBytes, IntoBytes};

/// Words of the largest parameters.
const WORDS: usize = program::PARAMS / 4;

/// Small words, most of which an operator accepts, and a few at the edges of ranges among them.
fn words() -> impl Strategy<Value = Vec<u32>> {
    let edges = vec![
        0,
        5,
        16,
        33,
        127,
        128,
        255,
        256,
        4095,
        4096,
        65535,
        65536,
        1 << 24,
        1 << 30,
        1 << 31,
        u32::MAX,
        u32::MAX - 127,
    ];
    let edge = prop_oneof![3 => select(edges), 1 => any::<u32>()];
    let mild = prop_oneof![2 => Just(1), 2 => Just(2), 1 => 3..12u32];
    let mild = prop::collection::vec(mild, WORDS);
    (mild, prop::collection::vec((0..WORDS, edge), 0..4)).prop_map(|(mut words, changes)| {
        changes
            .into_iter()
            .for_each(|(index, word)| words[index] = word);
        words
    })
}

/// Runs an operator on operands of the sizes it asks for, if those are accepted and small.
fn try_run(sizes: Result<Sizes, Error>, run: impl Fn(Isa, &mut [Vec<u8>]) -> Result<(), Error>) {
    let Ok(sizes) = sizes else { return };
    if sizes
        .as_slice()
        .iter()
        .map(|&size| u64::from(size))
        .sum::<u64>()
        > 1 << 20
    {
        return;
    }
    let operands: Vec<Vec<u8>> = sizes
        .as_slice()
        .iter()
        .map(|&size| vec![0x91; size as usize])
        .collect();
    let results = Isa::all_available().map(|isa| {
        let mut operands = operands.clone();
        assert_eq!(
            run(isa, &mut operands),
            Ok(()),
            "{} refuses the sizes that it asked for",
            isa.name()
        );
        operands
    });
    let results: Vec<_> = results.collect();
    for index in 0..operands.len() {
        let changed = results
            .iter()
            .all(|result| result[index] == results[0][index]);
        let is_scratch = index + 1 == operands.len() && index > 1;
        assert!(
            changed || is_scratch,
            "operand {index} differs between instruction sets"
        );
    }
}

/// The structure whose words are those of `words`.
fn parameters<P: FromBytes + IntoBytes>(words: &[u32]) -> P {
    P::read_from_prefix(words.as_bytes()).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn never_panic(opcode in 0..28u32, words in words()) {
        let words = &words;
        match opcode {
            0 => {
                let p: program::Conv2d = parameters(words);
                try_run(conv_2d::sizes(&p), |isa, operands| match operands {
                    [input, weights, table, output, scratch] => conv_2d::run(isa, &p, input, weights, table, output, scratch),
                    _ => unreachable!(),
                });
            }
            1 => {
                let p: program::DepthwiseConv2d = parameters(words);
                try_run(depthwise_conv_2d::sizes(&p), |isa, operands| match operands {
                    [input, weights, table, output] => depthwise_conv_2d::run(isa, &p, input, weights, table, output),
                    _ => unreachable!(),
                });
            }
            2 => {
                let p: program::Elementwise = parameters(words);
                try_run(elementwise::sizes(&p), |isa, operands| match operands {
                    [a, b, output] => elementwise::run(isa, &p, a, b, output),
                    _ => unreachable!(),
                });
            }
            3 | 4 => {
                let p: program::Pool2d = parameters(words);
                let pooling = if opcode == 3 { pool_2d::Pooling::Average } else { pool_2d::Pooling::Max };
                try_run(pool_2d::sizes(&p), |isa, operands| match operands {
                    [input, output] => pool_2d::run(isa, pooling, &p, input, output),
                    _ => unreachable!(),
                });
            }
            5 => {
                let p: program::Softmax = parameters(words);
                try_run(softmax::sizes(&p), |isa, operands| match operands {
                    [input, output] => softmax::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            6 => {
                let p: program::Quantize = parameters(words);
                try_run(quantize::sizes(&p), |isa, operands| match operands {
                    [input, output] => quantize::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            7 => {
                let p: program::Dequantize = parameters(words);
                try_run(dequantize::sizes(&p), |isa, operands| match operands {
                    [input, output] => dequantize::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            8 => {
                let p: program::Pad = parameters(words);
                try_run(pad::sizes(&p), |isa, operands| match operands {
                    [input, output] => pad::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            9 => {
                let p: program::Lookup = parameters(words);
                try_run(lookup::sizes(&p), |isa, operands| match operands {
                    [input, table, output] => lookup::run(isa, &p, input, table, output),
                    _ => unreachable!(),
                });
            }
            10 => {
                let p: program::StridedCopy = parameters(words);
                try_run(strided_copy::sizes(&p), |isa, operands| match operands {
                    [input, output] => strided_copy::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            11 => {
                let p: program::Gather = parameters(words);
                try_run(gather::sizes(&p), |isa, operands| match operands {
                    [input, indices, output] => {
                        indices.fill(0);
                        gather::run(isa, &p, input, indices, output)
                    }
                    _ => unreachable!(),
                });
            }
            12 => {
                let p: program::ResizeBilinear = parameters(words);
                try_run(resize_bilinear::sizes(&p), |isa, operands| match operands {
                    [input, output] => resize_bilinear::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            13 => {
                let p: program::Reduce = parameters(words);
                try_run(reduce::sizes(&p), |isa, operands| match operands {
                    [input, output] => reduce::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            14 => {
                let p: program::ArgMax = parameters(words);
                try_run(arg_max::sizes(&p), |isa, operands| match operands {
                    [input, output] => arg_max::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            15 => {
                let p: program::BatchMatmul = parameters(words);
                try_run(batch_matmul::sizes(&p), |isa, operands| match operands {
                    [a, b, output] => batch_matmul::run(isa, &p, a, b, output),
                    _ => unreachable!(),
                });
            }
            16 => {
                let p: program::Select = parameters(words);
                try_run(select::sizes(&p), |isa, operands| match operands {
                    [a, b, c, output] => select::run(isa, &p, a, b, c, output),
                    _ => unreachable!(),
                });
            }
            17 => {
                let p: program::Cast = parameters(words);
                try_run(cast::sizes(&p), |isa, operands| match operands {
                    [input, output] => cast::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            18 => {
                let p: program::FloatFunction = parameters(words);
                try_run(float_function::sizes(&p), |isa, operands| match operands {
                    [input, output] => float_function::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            27 => {
                let p: program::FloatSoftmax = parameters(words);
                try_run(float_softmax::sizes(&p), |isa, operands| match operands {
                    [input, output] => float_softmax::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            19 => {
                let p: program::L2Normalization = parameters(words);
                try_run(l2_normalization::sizes(&p), |isa, operands| match operands {
                    [input, output] => l2_normalization::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            24 => {
                let p: program::WideConv2d = parameters(words);
                try_run(wide_conv_2d::sizes(&p), |isa, operands| match operands {
                    [input, weights, table, output] => wide_conv_2d::run(isa, &p, input, weights, table, output),
                    _ => unreachable!(),
                });
            }
            25 => {
                let p: program::TableSoftmax = parameters(words);
                try_run(table_softmax::sizes(&p), |isa, operands| match operands {
                    [input, table, output] => table_softmax::run(isa, &p, input, table, output),
                    _ => unreachable!(),
                });
            }
            22 => {
                let p: program::Svdf = parameters(words);
                try_run(svdf::sizes(&p), |isa, operands| match operands {
                    [input, weights, output, state] => svdf::run(isa, &p, input, weights, output, state),
                    _ => unreachable!(),
                });
            }
            23 => {
                let p: program::Lstm = parameters(words);
                try_run(lstm::sizes(&p), |isa, operands| match operands {
                    [input, weights, output, state] => lstm::run(isa, &p, input, weights, output, state),
                    _ => unreachable!(),
                });
            }
            21 => {
                let p: program::LogSoftmax = parameters(words);
                try_run(log_softmax::sizes(&p), |isa, operands| match operands {
                    [input, output] => log_softmax::run(isa, &p, input, output),
                    _ => unreachable!(),
                });
            }
            20 => {
                let p: program::Detection = parameters(words);
                try_run(detection::sizes(&p), |isa, operands| match operands {
                    [boxes, scores, anchors, output, scratch] => {
                        detection::run(isa, &p, [boxes, scores, anchors], output, scratch)
                    }
                    _ => unreachable!(),
                });
            }
            _ => {
                let p: program::Mean = parameters(words);
                try_run(mean::sizes(&p), |isa, operands| match operands {
                    [input, output, scratch] => mean::run(isa, &p, input, output, scratch),
                    _ => unreachable!(),
                });
            }
        }
    }
}

#[test]
fn refuses_operands_of_other_sizes() {
    let p = program::Dequantize {
        input_dtype: 1,
        count: 3,
        zero_point: 0,
        scale: 1f32.to_bits(),
    };
    let error = dequantize::run(Isa::plain(), &p, &[0; 3], &mut [0; 11]).unwrap_err();
    assert_eq!(
        error,
        Error::Operand {
            operand: "output",
            got: 11,
            needed: 12
        }
    );
    assert_eq!(
        error.to_string(),
        "output has 11 bytes, the parameters ask for 12"
    );
    let error = copy::run(&[0; 3], &mut [0; 4]).unwrap_err();
    assert_eq!(
        error,
        Error::Operand {
            operand: "output",
            got: 4,
            needed: 3
        }
    );
}

#[test]
fn an_index_outside_its_dimension_fails_the_run() {
    let p = program::Gather {
        batches: 1,
        outer: 1,
        count: 2,
        depth: 1,
        inner: 1,
        index_dtype: program::DType::Int32 as u32,
        dims: [3, 1, 1, 1, 1, 1],
    };
    for (index, want) in [
        (2i32, Ok(())),
        (3, Err(3)),
        (-1, Err(-1)),
        (i32::MIN, Err(i32::MIN.into())),
    ] {
        let indices = [0i32.to_le_bytes(), index.to_le_bytes()].concat();
        let got = gather::run(Isa::plain(), &p, &[7, 8, 9], &indices, &mut [0; 2]);
        assert_eq!(got, want.map_err(|got| Error::Index { got, size: 3 }));
    }
}
