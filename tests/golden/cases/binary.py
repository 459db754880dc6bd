"""Functions of two inputs with broadcasting, quantised and plain."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor

from . import RUNS, Case, build, case, centred, limits, log_uniform, middle, options, pick, values, zero_point
from .windows import ACTIVATIONS, activation

SHAPES = [
    dict(shapes=[[1, 3, 4, 8], [1, 3, 4, 8]]),
    dict(shapes=[[1, 3, 4, 8], [8]]),
    dict(shapes=[[1, 3, 4, 8], [1]]),
    dict(shapes=[[1], [3, 4, 5]]),
    dict(shapes=[[2, 5, 1, 4], [2, 1, 3, 4]]),
    dict(shapes=[[1, 1, 1, 7], [2, 3, 3, 1]]),
    dict(shapes=[[9], [9]]),
]
FUSED = {"SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT, "DIV": schema.DivOptionsT, "ADD": schema.AddOptionsT}
COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


def drawn_shapes(rng):
    whole = [int(n) for n in rng.integers(1, 6, rng.integers(1, 4))]
    other = [n if rng.random() < 0.6 else 1 for n in whole]
    pair = [whole, other[int(rng.integers(len(other))) :]]
    return pair if rng.random() < 0.7 else pair[::-1]


def binary(rng, kind, fixed):
    builtin, dtype = kind
    p = dict(shapes=drawn_shapes(rng)) | fixed
    if builtin == "PRELU":  # alpha broadcasts to the input, not the other way round
        p["shapes"] = sorted(p["shapes"], key=lambda shape: (len(shape), np.prod(shape)))[::-1]
        p["shapes"][0] = [int(n) for n in np.broadcast_shapes(*p["shapes"])]
    if dtype in ("float32", "int32", "int64", "bool") or builtin in ("FLOOR_DIV", "FLOOR_MOD"):
        return plain(rng, builtin, dtype, p)
    a, b = [operand(rng, name, shape, dtype) for name, shape in zip("ab", p["shapes"])]
    if builtin in ("MINIMUM", "MAXIMUM"):
        b.scales, b.zero_point = a.scales, a.zero_point
    p |= dict(scales=[a.scales, b.scales], zero_points=[a.zero_point, b.zero_point])
    if builtin == "DIV":
        return quotient(rng, a, b, p)
    if rng.random() < 0.3:
        b.data = values(rng, dtype, b.shape)
    result = output(rng, builtin, dtype, a, b)
    p |= dict(output=[result.scales, result.zero_point])
    fused = activation(rng)
    operator = Operator(builtin, 1 if builtin == "PRELU" else 2)
    if builtin in FUSED:
        operator.options = options(FUSED[builtin](), fusedActivationFunction=ACTIVATIONS[fused])
        p |= dict(activation=fused)
        if builtin in ("ADD", "SUB"):
            operator.options.potScaleInt16 = False
    return case(rng, operator, [a, b], [result], **p)


def shifted(rng, builtin, fixed):
    """int16 in steps of about powers of two, which LiteRT shifts: one input like the output, the other in smaller steps."""
    p = dict(shapes=drawn_shapes(rng), output=-int(rng.integers(8, 15)), shifts=[0, int(rng.integers(0, 16))]) | fixed
    if builtin == "ADD":  # which LiteRT then doesn't broadcast
        p["shapes"][1] = p["shapes"][0]
    if rng.random() < 0.5:
        p["shifts"].reverse()
    steps = [2.0 ** (p["output"] - shift) * (1 + rng.uniform(-6e-4, 6e-4)) for shift in (*p["shifts"], 0)]
    a, b = [Tensor(name, shape, "int16", float(np.float32(step))) for name, shape, step in zip("ab", p["shapes"], steps)]
    result = Tensor("output", np.broadcast_shapes(a.shape, b.shape), "int16", float(np.float32(steps[2])))
    p |= dict(activation=activation(rng))
    table = options(FUSED[builtin](), fusedActivationFunction=ACTIVATIONS[p["activation"]], potScaleInt16=True)
    return case(rng, Operator(builtin, 4, table), [a, b], [result], **p)


def fine(rng, builtin, fixed):
    """int16 of a shape, and an output whose steps are so small that only a few values stay below its end: then it shows
    how the terms were rounded, which LiteRT's kernels do in two ways, one for whole blocks of sixteen elements."""
    p = dict(shape=[int(rng.integers(1, 100))], step=log_uniform(rng, 1e-4, 1e-3), finer=int(rng.integers(0, 15))) | fixed
    ratios = [1.0, 2.0 ** -p["finer"] * rng.uniform(0.51, 0.99)]
    if rng.random() < 0.5:
        ratios.reverse()
    a, b = [Tensor(name, p["shape"], "int16", float(np.float32(p["step"] * ratio))) for name, ratio in zip("ab", ratios)]
    result = Tensor("output", p["shape"], "int16", float(np.float32(p["step"] * 2.0**-13 * rng.uniform(0.55, 1))))
    p |= dict(ratios=ratios, output=result.scales)
    table = options(FUSED[builtin](), potScaleInt16=False)
    most = [min(int(2 / ratio), limits("int16")[1]) for ratio in ratios]
    inputs = [rng.integers(-n, n + 1, (RUNS, *p["shape"])).astype(np.int16) for n in most]
    return Case(p, build(Operator(builtin, 2, table), [a, b], [result]), inputs)


def operand(rng, name, shape, dtype):
    if dtype == "int16":
        return Tensor(name, shape, dtype, log_uniform(rng, 1e-4, 1e-3), 0)
    return Tensor(name, shape, dtype, log_uniform(rng, 0.01, 0.1), zero_point(rng, dtype))


def output(rng, builtin, dtype, a, b):
    shape = np.broadcast_shapes(a.shape, b.shape)
    if builtin in COMPARISONS:
        return Tensor("output", shape, "bool")
    if builtin in ("MINIMUM", "MAXIMUM"):
        return Tensor("output", shape, dtype, a.scales, a.zero_point)
    steps = 32768 if dtype == "int16" else 128
    spread = {
        "ADD": a.scales + b.scales,
        "SUB": a.scales + b.scales,
        "MUL": a.scales * b.scales * steps,
        "PRELU": a.scales,
        "SQUARED_DIFFERENCE": (a.scales + b.scales) ** 2 * steps,
    }[builtin]
    scale = float(np.float32(spread * 2 ** rng.uniform(-1, 0.5)))
    if dtype == "int16":
        return Tensor("output", shape, dtype, scale, 0)
    about = dict(SUB=middle(a) - middle(b), ADD=middle(a) + middle(b), MUL=middle(a) * middle(b)).get(builtin, 0.0)
    return Tensor("output", shape, dtype, scale, centred(rng, dtype, scale, about))


def quotient(rng, a, b, p):
    """Divisors that aren't 0, and an output step for which TFLite's shifts are defined."""
    step = a.scales / b.scales * 2.0 ** (rng.uniform(-10, -6.1) if a.dtype != "int16" else rng.uniform(-14.9, -13.1))
    about = 16 * step if a.dtype == "uint8" else 0.0
    result = Tensor("output", np.broadcast_shapes(a.shape, b.shape), a.dtype, step, centred(rng, a.dtype, step, about))
    fused = activation(rng)
    operator = Operator("DIV", 2, options(schema.DivOptionsT(), fusedActivationFunction=ACTIVATIONS[fused]))
    first, second = [values(rng, t.dtype, (RUNS, *t.shape)) for t in (a, b)]
    other = b.zero_point + 1 if b.zero_point < limits(b.dtype)[1] else b.zero_point - 1
    second = np.where(second == b.zero_point, second.dtype.type(other), second)
    p |= dict(scales=[a.scales, b.scales], zero_points=[a.zero_point, b.zero_point], activation=fused)
    p |= dict(output=[result.scales, result.zero_point])
    return Case(p, build(operator, [a, b], [result]), [first, second])


def plain(rng, builtin, dtype, p):
    a, b = [Tensor(name, shape, dtype) for name, shape in zip("ab", p["shapes"])]
    shape = np.broadcast_shapes(*p["shapes"])
    result = Tensor("output", shape, "bool" if builtin in COMPARISONS else dtype)
    operator = Operator(builtin, 1)
    if builtin in FUSED:
        fused = pick(rng, ["NONE", "RELU", "RELU6"]) if dtype != "int64" else "NONE"
        operator.options = options(FUSED[builtin](), fusedActivationFunction=ACTIVATIONS[fused])
        p |= dict(activation=fused)
    first, second = [values(rng, dtype, (RUNS, *t.shape)) for t in (a, b)]
    if builtin in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
        second = np.where(second == 0, second.dtype.type(3), second)
    if builtin in COMPARISONS and dtype != "bool":
        first, second = np.round(first / 300).astype(dtype), np.round(second / 300).astype(dtype)
    return Case(p, build(operator, [a, b], [result]), [first, second])


BYTES = ["int8", "uint8"]
WIDE = ["float32", "int32", "int64"]
TYPES = {
    "ADD": ["int16", *WIDE],
    "SUB": [*BYTES, "int16", *WIDE],
    "MUL": [*BYTES, "int16", *WIDE],
    "DIV": [*BYTES, "float32", "int32", "int16"],
    "FLOOR_DIV": ["float32", "int32", "int8", "int16"],
    "FLOOR_MOD": [*WIDE, "int8", "int16"],
    "MINIMUM": [*BYTES, "int16", *WIDE],
    "MAXIMUM": [*BYTES, "int16", *WIDE],
    "PRELU": [*BYTES, "float32"],
    "SQUARED_DIFFERENCE": ["int8", "float32", "int32"],
    "LOGICAL_AND": ["bool"],
    "LOGICAL_OR": ["bool"],
} | {name: [*BYTES, *WIDE, "int16"] + ["bool"] * (name in ("EQUAL", "NOT_EQUAL")) for name in COMPARISONS}
KINDS = [(builtin, dtype) for builtin, dtypes in TYPES.items() for dtype in dtypes]
