//! Every operator, byte for byte as LiteRT computes it.
#![allow(missing_docs, clippy::expect_used)]

macro_rules! operators {
    ($($operator:ident { $($kind:ident),* $(,)? })*) => {
        $(mod $operator {
            $(#[test]
            fn $kind() {
                suite::golden::check(stringify!($operator), stringify!($kind));
            })*
        })*

        const OPERATORS: &[(&str, &[&str])] =
            &[$((stringify!($operator), &[$(stringify!($kind)),*])),*];
    };
}

operators! {
    conv_2d { int8_per_channel, int8_per_tensor, uint8 }
    depthwise_conv_2d { int8_per_channel, int8_per_tensor, uint8 }
    fully_connected { int8_per_channel, int8_per_tensor, uint8 }
    add { int8, uint8 }
    average_pool_2d { int8, uint8 }
    max_pool_2d { int8, uint8 }
    softmax { int8, uint8 }
    quantize {
        float32_to_int8, float32_to_uint8,
        int8_to_int8, int8_to_uint8, uint8_to_int8, uint8_to_uint8,
    }
    dequantize { int8, uint8 }
    pad { int8, uint8, float32, v2_int8, v2_uint8, v2_float32 }
    mean { int8, uint8 }
    reshape { int8, uint8, float32, int32 }
}

#[test]
fn no_vector_is_left_out() {
    let folder = std::fs::read_dir(suite::golden::folder()).expect("the vectors are in the tree");
    let paths = folder.map(|entry| entry.expect("the folder is readable").path());
    let archives: Vec<_> = paths
        .filter(|p| p.extension() == Some("npz".as_ref()))
        .collect();
    assert_eq!(archives.len(), OPERATORS.len());
    for (operator, kinds) in OPERATORS {
        let tested = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(suite::golden::open(operator).kinds(), tested, "{operator}");
    }
}
