"""PAD, PADV2, MEAN and RESHAPE."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor, constant

from . import RUNS, Case, build, case, centred, limits, log_uniform, middle, pick, zero_point

PAD = [
    dict(shape=[1, 8, 8, 16], pads=[[0, 0], [1, 1], [1, 1], [0, 0]]),
    dict(shape=[1, 7, 5, 3], pads=[[0, 0], [0, 1], [0, 1], [0, 0]]),
    dict(shape=[1, 3, 3, 3], pads=[[0, 0], [0, 0], [0, 0], [0, 5]]),
    dict(shape=[2, 3, 2, 3], pads=[[1, 0], [0, 2], [3, 0], [1, 1]]),
    dict(shape=[4], pads=[[2, 3]]),
    dict(shape=[3, 4], pads=[[0, 0], [0, 0]]),
    dict(shape=[2, 2, 2, 2, 2], pads=[[1, 0], [0, 1], [1, 1], [0, 0], [2, 1]]),
]
MEAN = [
    dict(shape=[1, 7, 7, 32], axes=[1, 2], keep_dims=False),
    dict(shape=[1, 7, 7, 32], axes=[1, 2], keep_dims=True),
    dict(shape=[2, 5, 4, 17], axes=[2, 1], keep_dims=True),
    dict(shape=[1, 4, 4, 8], axes=[-1], keep_dims=True),
    dict(shape=[2, 3, 4, 5], axes=[0, 1, 2, 3], keep_dims=False),
    dict(shape=[2, 3, 4, 5], axes=[0, 2], keep_dims=False),
    dict(shape=[2, 3, 4, 5], axes=[1, 3], keep_dims=True),
    dict(shape=[2, 3, 4, 5], axes=[1, -3], keep_dims=False),
    dict(shape=[6, 9], axes=[1], keep_dims=False),
    dict(shape=[11], axes=[0], keep_dims=True),
    dict(shape=[2, 2, 3, 2, 3], axes=[1, 3], keep_dims=False),
    dict(shape=[1, 7, 7, 8], axes=[1, 2], keep_dims=False, same=True),
    dict(shape=[1, 7, 7, 8], axes=[3], keep_dims=True, same=True),
    dict(shape=[1, 64, 48, 2], axes=[1, 2], keep_dims=False),
]
RESHAPE = [
    dict(shape=[1, 1, 1, 48], target=[1, 48]),
    dict(shape=[2, 3, 4], target=[-1]),
    dict(shape=[24], target=[2, 3, 4]),
    dict(shape=[1, 4, 6, 2], target=[1, -1, 4]),
    dict(shape=[1], target=[1, 1, 1, 1]),
]


def pad(rng, dtype, fixed):
    """PAD fills with the zero point; the quantisation of both sides is the same."""
    p = pads(rng) | fixed
    quantisation = quantised(rng, dtype)
    source, amounts, result = padded(rng, p, dtype, quantisation)
    operator = Operator("PAD", 1 if dtype == "uint8" else 2, schema.PadOptionsT())
    return moved(rng, operator, [source, amounts], result, p | quantisation)


def padv2(rng, dtype, fixed):
    """PADV2 fills with a constant of its own."""
    p = pads(rng) | fixed
    quantisation = quantised(rng, dtype)
    source, amounts, result = padded(rng, p, dtype, quantisation)
    value = values(rng, dtype, ())
    filler = constant("value", np.atleast_1d(value), **quantisation)
    operator = Operator("PADV2", 1 if dtype == "uint8" else 2, schema.PadV2OptionsT())
    return moved(rng, operator, [source, amounts, filler], result, p | quantisation | dict(value=value.item()))


def pads(rng):
    rank = int(rng.integers(1, 5))
    return dict(
        shape=[int(n) for n in rng.integers(1, 6, rank)],
        pads=rng.integers(0, 4, (rank, 2)).tolist(),
        index_type=pick(rng, ["int32", "int32", "int64"]),
    )


def padded(rng, p, dtype, quantisation):
    shape = [n + sum(around) for n, around in zip(p["shape"], p["pads"])]
    amounts = constant("paddings", np.array(p["pads"], p["index_type"]))
    return Tensor("input", p["shape"], dtype, **quantisation), amounts, Tensor("output", shape, dtype, **quantisation)


def mean(rng, dtype, fixed):
    rank = int(rng.integers(1, 5))
    axes = rng.permutation(rank)[: rng.integers(1, rank + 1)].tolist()
    p = dict(shape=[int(n) for n in rng.integers(1, 9, rank)], axes=axes, keep_dims=bool(rng.integers(2)))
    p = p | dict(same=bool(rng.random() < 0.3)) | fixed
    source = Tensor("input", p["shape"], dtype, log_uniform(rng, 0.01, 0.1), zero_point(rng, dtype))
    result = Tensor("output", reduced(p), dtype, source.scales, source.zero_point)
    if not p["same"]:
        result.scales = source.scales * 2 ** rng.uniform(-3, 1)
        result.zero_point = centred(rng, dtype, result.scales, middle(source))
    options = schema.ReducerOptionsT()
    options.keepDims = p["keep_dims"]
    operator = Operator("MEAN", dict(uint8=1, int8=2, int16=3)[dtype], options)
    axes = constant("axes", np.array(p["axes"], np.int32))
    zero_points = [source.zero_point, result.zero_point]
    return case(rng, operator, [source, axes], [result], **p, zero_points=zero_points)


def reduced(p):
    gone = {axis % len(p["shape"]) for axis in p["axes"]}
    kept = [(1 if d in gone else n) for d, n in enumerate(p["shape"]) if p["keep_dims"] or d not in gone]
    return kept


def reshape(rng, dtype, fixed):
    """The target shape as a constant tensor, or in the options alone as old converters wrote it."""
    factors = [int(n) for n in rng.integers(1, 5, 4)]
    p = dict(shape=factors, target=regrouped(rng, factors), by=pick(rng, ["tensor", "options"])) | fixed
    quantisation = quantised(rng, dtype)
    result_shape = np.empty(p["shape"], bool).reshape(p["target"]).shape
    options = schema.ReshapeOptionsT()
    options.newShape = p["target"]
    target = [constant("shape", np.array(p["target"], np.int32))] if p["by"] == "tensor" else []
    source = Tensor("input", p["shape"], dtype, **quantisation)
    result = Tensor("output", result_shape, dtype, **quantisation)
    return moved(rng, Operator("RESHAPE", 1, options), [source, *target], result, p | quantisation)


def regrouped(rng, factors):
    """Neighbouring dimensions multiplied together here and there."""
    groups = [factors[0]]
    for n in factors[1:]:
        groups[len(groups) :] = [n]
        if rng.random() < 0.5:
            groups[-2:] = [int(np.prod(groups[-2:]))]
    return groups


def quantised(rng, dtype):
    if np.dtype(dtype).itemsize > 1:
        return {}
    return dict(scales=log_uniform(rng, 0.01, 0.1), zero_point=zero_point(rng, dtype))


def values(rng, dtype, shape):
    if dtype == "float32":
        return rng.normal(0, 10, shape).astype(np.float32) if shape else np.float32(rng.normal(0, 10))
    low, high = limits(dtype)
    return np.array(rng.integers(low, high + 1, shape)).astype(dtype)


def moved(rng, operator, inputs, result, p):
    """A case of an operator that only moves elements of any type."""
    model = build(operator, inputs, [result])
    return Case(p, model, [values(rng, inputs[0].dtype, (RUNS, *inputs[0].shape))])
