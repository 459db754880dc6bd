//! Whatever bytes the parameters hold, an operator refuses them or runs: no panic, no overflow, no
//! access beyond its operands.

#![allow(clippy::unwrap_used)]

use apu_kernels::{
    Error, Isa, Sizes, add, conv_2d, copy, depthwise_conv_2d, dequantize, mean, pad, pool_2d,
    quantize, softmax,
};
use apu_proto::program;
use proptest::{prelude::*, sample::select};
use zerocopy::{FromBytes, IntoBytes};

/// Small words, most of which an operator accepts, and a few at the edges of ranges among them.
fn words() -> impl Strategy<Value = [u32; 32]> {
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
    let mild = prop::array::uniform32(prop_oneof![2 => Just(1), 2 => Just(2), 1 => 3..12u32]);
    (mild, prop::collection::vec((0..32usize, edge), 0..4)).prop_map(|(mut words, changes)| {
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
    fn never_panic(opcode in 0..10u32, words in words()) {
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
                let p: program::Add = parameters(words);
                try_run(add::sizes(&p), |isa, operands| match operands {
                    [a, b, output] => add::run(isa, &p, a, b, output),
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
