"""Writes the golden vectors: what LiteRT itself computes for single-operator models.

One `.npz` an operator, readable with `numpy.load`. For a case `KIND/NN` it holds
`KIND/NN/parameters` (JSON as bytes), `KIND/NN/model` (the .tflite as bytes) and, stacked over the
runs along axis 0, `KIND/NN/input_I` and `KIND/NN/output_O`.

The kernels are the plain ones (`BUILTIN_REF`), which round twice as gemmlowp does; int8
FULLY_CONNECTED and SUM come from the optimised kernels, because the plain one of the first requantises in
float, and that of the second takes int8 for uint8.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python make_golden.py
"""

import argparse
import json
import platform
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from cases import binary, convolution, elementwise, glue, layout, matrices, moves, pooling, recurrent, unary

HERE = Path(__file__).resolve().parent
SEED = 20
CASES = 26  # of each kind at least, the particular ones among them
RANDOM_CASES = 12  # of them at least

WEIGHTED = ["int8_per_channel", "int8_per_tensor", "uint8"]
BYTES = ["int8", "uint8"]
QUANTISED = [*BYTES, "int16"]
WIDER = [("int32", "int8"), ("int32", "int16"), ("int16", "int32")]
REQUANTIZE = [(a, b) for a in BYTES for b in BYTES] + [("int16", "int16"), ("int16", "int8"), ("int8", "int16"), ("uint8", "int16")]

# file: kinds, each with its function, what that takes, and the particular cases
OPERATORS = {
    "conv_2d": {k: (convolution.conv_2d, k, convolution.CONV_2D) for k in WEIGHTED}
    | {f"grouped_{k}": (convolution.grouped, k, []) for k in WEIGHTED},
    "depthwise_conv_2d": {k: (convolution.depthwise_conv_2d, k, convolution.DEPTHWISE_CONV_2D) for k in WEIGHTED},
    "fully_connected": {k: (convolution.fully_connected, k, convolution.FULLY_CONNECTED) for k in WEIGHTED},
    "wide": {
        "conv_2d_per_channel": (convolution.conv_2d, "int16_per_channel", []),
        "conv_2d_grouped": (convolution.grouped, "int16_per_channel", []),
        "depthwise_conv_2d_per_channel": (convolution.depthwise_conv_2d, "int16_per_channel", []),
        "fully_connected_per_tensor": (convolution.fully_connected, "int16_per_tensor", convolution.FULLY_CONNECTED),
        "transpose_conv_per_channel": (convolution.transpose_conv, "int16_per_channel", []),
    },
    "add": {k: (elementwise.add, k, elementwise.ADD) for k in BYTES},
    "average_pool_2d": {k: (pooling.average_pool_2d, k, pooling.POOL_2D) for k in [*QUANTISED, "float32"]},
    "max_pool_2d": {k: (pooling.max_pool_2d, k, pooling.POOL_2D) for k in [*QUANTISED, "float32"]},
    "log_softmax": {k: (elementwise.log_softmax, k, elementwise.SOFTMAX[:8]) for k in BYTES}
    | {"float32": (glue.float_rows, "LOG_SOFTMAX", [])},
    "softmax": {k: (elementwise.softmax, k, elementwise.SOFTMAX) for k in QUANTISED}
    | {f"{k}_to_int16": (elementwise.softmax, f"{k}_to_int16", elementwise.SOFTMAX) for k in BYTES}
    | {"float32": (glue.float_rows, "SOFTMAX", [])},
    "quantize": {f"float32_to_{k}": (elementwise.quantize, k, []) for k in QUANTISED}
    | {f"{a}_to_{b}": (elementwise.requantize, (a, b), []) for a, b in REQUANTIZE}
    | {f"{a}_to_{b}": (elementwise.requantize_wide, (a, b), []) for a, b in WIDER}
    | {f"int16_off_centre_to_{k}": (elementwise.requantize_off_centre, ("int16", k), []) for k in ("int8", "int32")},
    "dequantize": {k: (elementwise.dequantize, k, []) for k in QUANTISED},
    "pad": {k: (layout.pad, k, layout.PAD) for k in [*BYTES, "float32"]}
    | {f"v2_{k}": (layout.padv2, k, layout.PAD) for k in [*BYTES, "float32"]},
    "mean": {k: (layout.mean, k, layout.MEAN) for k in QUANTISED},
    "unary": {f"{b.lower()}_{k}": (unary.unary, (b, k), []) for b, k in unary.KINDS},
    "binary": {f"{b.lower()}_{k}": (binary.binary, (b, k), binary.SHAPES) for b, k in binary.KINDS}
    | {f"{b.lower()}_int16_shifted": (binary.shifted, b, []) for b in ("ADD", "SUB")}
    | {"add_int16_fine": (binary.fine, "ADD", [])},
    "moves": {f"{name}_int8": (function, "int8", []) for name, function in moves.FUNCTIONS.items()}
    | {f"{name}_int32": (moves.FUNCTIONS[name], "int32", []) for name in ("concatenation", "strided_slice", "gather")}
    | {"gather_by_int16": (moves.gather_by_int16, "int8", []), "gather_nd_by_int16": (moves.gather_nd_by_int16, "int8", [])}
    | {"concatenation_rescaled_uint8": (moves.concatenation_rescaled, "uint8", [])},
    "resize_bilinear": {k: (moves.resize_bilinear, k, []) for k in [*BYTES, "int16", "float32"]},
    "transpose_conv": {k: (convolution.transpose_conv, k, []) for k in WEIGHTED},
    "batch_matmul": {k: (matrices.batch_matmul, k, []) for k in ("int8", "int16", "int16_by_int8")},
    "reductions": {f"{b.lower()}_{k}": (glue.reduction, (b, k), []) for b, k in glue.REDUCTIONS}
    | {f"add_n_{k}": (glue.add_n, k, []) for k in ("float32", "int32")}
    | {f"{b.lower()}_{k}": (glue.search, (b, k), []) for b, k in glue.SEARCHES},
    "detection": {k: (glue.detection, k, []) for k in ("uint8", "float32", "regular_uint8", "regular_float32")},
    "l2_normalization": {k: (glue.l2_normalization, k, []) for k in [*BYTES, "float32"]},
    "plain": {f"{b.lower()}_{k}": (glue.number, (b, k), []) for b, k in glue.NUMBERS}
    | {f"cast_{a}_to_{b}": (glue.cast, (a, b), []) for a, b in glue.CASTS}
    | {f"select_v2_{k}": (glue.select, k, []) for k in ("int8", "float32")}
    | {f"select_{k}": (glue.select_rows, k, []) for k in ("int8", "float32")},
    "recurrent": {"svdf_int8": (recurrent.svdf, "int8", []), "lstm_int8": (recurrent.lstm, "int8", [])},
    "reshape": {k: (layout.reshape, k, layout.RESHAPE) for k in [*BYTES, "float32", "int32"]},
}


# XNNPACK's float32 isn't the same on every processor, and LiteRT's optimised kernels for int16 are others
# yet.
UNLIKE = {
    "quantize": ["float32_to_int16"],
    "wide": ["fully_connected_per_tensor"],
    "resize_bilinear": ["float32"],
    "average_pool_2d": ["float32"],
    "max_pool_2d": ["float32"],
    "reductions": ["sum_float32", "mean_float32"],
    "l2_normalization": ["float32"],
    "plain": [f"{b}_float32" for b in "elu exp hard_swish leaky_relu log logistic neg round rsqrt sqrt tanh".split()],
    "softmax": ["float32", "int8_to_int16", "uint8_to_int16"],
    "log_softmax": ["float32"],
}


# What LiteRT gives to XNNPACK.
TAKEN = {"transpose_conv": dict(kernel=[3, 3])}


def kinds(operator, numerics):
    unlike = UNLIKE.get(operator, []) if numerics == "xnnpack" else []
    return [kind for kind in OPERATORS[operator] if kind not in unlike]


def resolver(operator, kind, numerics):
    """Which of LiteRT's kernels the vectors come from."""
    if numerics == "xnnpack":  # where it takes the operator
        return OpResolverType.AUTO
    if kind in ("elu_int8", "elu_float32", "ceil_float32", "round_float32"):  # have one kernel, which is not among the plain ones
        return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if operator == "fully_connected" and kind.startswith("int8"):
        return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if kind in ("sum_int8", "sum_int16"):  # whose plain kernel takes int8 for uint8
        return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return OpResolverType.BUILTIN_REF


def run(case, kernels):
    """Outputs of the model for each set of inputs, stacked over the runs."""
    interpreter = Interpreter(model_content=case.model, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()
    runs = []
    for values in zip(*case.inputs, strict=True):
        for source, value in zip(sources, values, strict=True):
            interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        runs.append([interpreter.get_tensor(sink["index"]) for sink in sinks])
    return [np.stack(outputs) for outputs in zip(*runs)]


def vectors(operator, kind, seed, numerics):
    """Entries of the archive for all cases of one kind."""
    draw, argument, particular = OPERATORS[operator][kind]
    count = max(CASES, len(particular) + RANDOM_CASES)
    usual = TAKEN.get(operator, {}) if numerics == "xnnpack" else {}
    for number in range(count):
        name = f"{kind}/{number:02}"
        rng = np.random.default_rng([seed, zlib.crc32(f"{operator}/{name}".encode())])
        case = draw(rng, argument, dict(particular[number]) if number < len(particular) else dict(usual))
        yield f"{name}/parameters", text(json.dumps(case.parameters))
        yield f"{name}/model", np.frombuffer(case.model, np.uint8)
        yield from ((f"{name}/input_{i}", a) for i, a in enumerate(case.inputs))
        yield from ((f"{name}/output_{i}", a) for i, a in enumerate(run(case, resolver(operator, kind, numerics))))


def text(string):
    return np.frombuffer(string.encode(), np.uint8)


def versions():
    packages = ["ai-edge-litert", "flatbuffers", "numpy"]
    lines = [f"{name} {version(name)}" for name in packages]
    return "\n".join([*lines, f"python {platform.python_version()} {platform.machine()}"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--seed", type=int, default=SEED, help="another one gives other cases")
    parser.add_argument("--numerics", choices=["tflite", "xnnpack"], default="tflite")
    parser.add_argument("operators", nargs="*", default=list(OPERATORS), help="which operators; all by default")
    arguments = parser.parse_args()
    for operator in arguments.operators:
        drawn = (vectors(operator, k, arguments.seed, arguments.numerics) for k in kinds(operator, arguments.numerics))
        entries = dict(entry for kind in drawn for entry in kind)
        path = arguments.out / f"{operator}.npz"
        np.savez_compressed(path, **entries)
        cases = sum(name.endswith("/model") for name in entries)
        print(f"{path.name}: {cases} cases, {path.stat().st_size} bytes")
    (arguments.out / "versions.txt").write_text(versions())
    print(versions(), end="")


if __name__ == "__main__":
    main()
