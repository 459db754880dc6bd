"""ADD, SOFTMAX, QUANTIZE and DEQUANTIZE."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor

from . import RUNS, Case, build, case, centred, limits, log_uniform, middle, pick, probe, zero_point
from .windows import ACTIVATIONS, activation

ADD = [
    dict(shapes=[[1, 8, 8, 32], [1, 8, 8, 32]]),
    dict(shapes=[[1, 5, 7, 3], [1, 5, 7, 3]]),
    dict(shapes=[[1, 6, 5, 16], [1, 1, 1, 16]]),
    dict(shapes=[[1, 1, 1, 16], [1, 6, 5, 16]]),
    dict(shapes=[[2, 6, 1, 4], [2, 1, 5, 4]]),
    dict(shapes=[[4, 5, 6], [6]]),
    dict(shapes=[[6], [4, 5, 6]]),
    dict(shapes=[[3, 4, 5], [1]]),
    dict(shapes=[[1], [7]]),
    dict(shapes=[[9], [9]]),
    dict(shapes=[[2, 1, 3, 1, 2], [2, 2, 1, 4, 1]]),
    dict(shapes=[[2, 1, 3, 1, 2, 2], [1, 2, 1, 3, 2, 1]]),
    dict(shapes=[[1, 4, 4, 8], [1, 4, 4, 8]], constant=True),
    dict(shapes=[[1, 4, 4, 8], [8]], constant=True),
    dict(shapes=[[1, 4, 4, 8], [1, 4, 4, 8]], ratio=64.0),
    dict(shapes=[[1, 4, 4, 8], [1, 4, 4, 8]], ratio=1 / 64),
]
# LiteRT's plain kernel aborts where the exponentials of a row sum to 512 or more, so no row is longer.
SOFTMAX = [
    dict(shape=[1, 10]),
    dict(shape=[1, 2]),
    dict(shape=[1, 500], scale=0.1),
    dict(shape=[3, 12]),
    dict(shape=[1, 1]),
    dict(shape=[33]),
    dict(shape=[2, 3, 4]),
    dict(shape=[1, 2, 3, 21]),
    dict(shape=[2, 16], scale=1.0),
    dict(shape=[2, 16], scale=0.001),
    dict(shape=[2, 64], beta=0.25),
    dict(shape=[2, 16], beta=3.0),
]


def add(rng, dtype, fixed):
    p = dict(shapes=[broadcast(rng)] * 2, constant=False, ratio=2 ** rng.uniform(-2, 2)) | fixed
    scale = log_uniform(rng, 0.01, 0.1)
    a = Tensor("a", p["shapes"][0], dtype, scale, zero_point(rng, dtype))
    b = Tensor("b", p["shapes"][1], dtype, scale * p["ratio"], zero_point(rng, dtype))
    if p["constant"]:
        b.data = probe(rng, b)[0]
    shape = np.broadcast_shapes(*p["shapes"])
    result_scale = (a.scales + b.scales) * 2 ** rng.uniform(-1, 0.5)
    result_zero = centred(rng, dtype, result_scale, middle(a) + middle(b))
    result = Tensor("output", shape, dtype, result_scale, result_zero)
    fused = activation(rng)
    options = schema.AddOptionsT()
    options.fusedActivationFunction = ACTIVATIONS[fused]
    operator = Operator("ADD", 1 if dtype == "uint8" else 2, options)
    zero_points = dict(a=a.zero_point, b=b.zero_point, output=result.zero_point)
    return case(rng, operator, [a, b], [result], **p, activation=fused, zero_points=zero_points)


def broadcast(rng):
    return [int(n) for n in rng.integers(1, 9, rng.integers(1, 5))]


def softmax(rng, dtype, fixed):
    shape = [int(n) for n in rng.integers(1, 6, rng.integers(0, 3))] + [int(rng.integers(1, 80))]
    p = dict(shape=shape, scale=log_uniform(rng, 0.004, 0.5), beta=pick(rng, [1.0, 1.0, 1.0, 0.5, 2.0])) | fixed
    dtype, _, result_type = dtype.partition("_to_")
    p["scale"] /= 256 if dtype == "int16" else 1
    source = Tensor("input", p["shape"], dtype, p["scale"], zero_point(rng, dtype))
    result_type = result_type or dtype
    quantisation = (1 / 256, limits(result_type)[0]) if result_type != "int16" else (1 / 32768, 0)
    if dtype != result_type:  # the kernel gives all of the type, whatever the output's steps are
        quantisation = 1 / 65536, -32768
    result = Tensor("output", p["shape"], result_type, *quantisation)
    options = schema.SoftmaxOptionsT()
    options.beta = p["beta"]
    operator = Operator("SOFTMAX", dict(uint8=1, int8=2, int16=3)[result_type], options)
    return case(rng, operator, [source], [result], **p, zero_point=source.zero_point)


def log_softmax(rng, dtype, fixed):
    shape = [int(n) for n in rng.integers(1, 6, rng.integers(0, 3))] + [int(rng.integers(1, 80))]
    p = dict(shape=shape, scale=log_uniform(rng, 0.004, 0.5)) | fixed
    source = Tensor("input", p["shape"], dtype, p["scale"], zero_point(rng, dtype))
    result = Tensor("output", p["shape"], dtype, 1 / 16, limits(dtype)[1])
    operator = Operator("LOG_SOFTMAX", 1 if dtype == "uint8" else 2, schema.LogSoftmaxOptionsT())
    return case(rng, operator, [source], [result], **p, zero_point=source.zero_point)


def requantize(rng, types, fixed):
    """QUANTIZE between 8-bit types; sometimes with one scale on both sides, where only a shift remains."""
    source_type, result_type = types
    scale = log_uniform(rng, 0.005, 0.2)
    p = dict(shape=broadcast(rng), ratio=pick(rng, [1.0, 1.0, 2.0, 0.5, 2 ** rng.uniform(-4, 4)])) | fixed
    source = Tensor("input", p["shape"], source_type, scale, zero_point(rng, source_type))
    result_scale = scale * p["ratio"]
    result_zero = centred(rng, result_type, result_scale, middle(source))
    result = Tensor("output", p["shape"], result_type, result_scale, result_zero)
    zero_points = [source.zero_point, result.zero_point]
    return case(rng, Operator("QUANTIZE", 2), [source], [result], **p, zero_points=zero_points)


def requantize_wide(rng, types, fixed):
    """QUANTIZE from or to int32, with numbers that mostly are in range, and ties."""
    source_type, result_type = types
    step = log_uniform(rng, 1e-4, 1e-2)
    p = dict(shape=broadcast(rng), ratio=pick(rng, [1.0, 2.0, 0.5, 2 ** rng.uniform(-6, 6)])) | fixed
    zero_points = [0 if kind == "int16" else int(rng.integers(-100, 101)) for kind in types]
    source, result = [
        Tensor(name, p["shape"], kind, scale, zero)
        for name, kind, scale, zero in zip(("input", "output"), types, (step, step * p["ratio"]), zero_points)
    ]
    spread = min(limits(result_type)[1] * p["ratio"], limits(source_type)[1])
    drawn = np.clip(rng.normal(0, spread / 2, (RUNS, *p["shape"])), -spread * 2, spread * 2)
    drawn = drawn.clip(*limits(source_type)).astype(source_type)
    return Case(p | dict(zero_points=zero_points), build(Operator("QUANTIZE", 2), [source], [result]), [drawn])


def requantize_off_centre(rng, types, fixed):
    """QUANTIZE from int16 whose zero point isn't 0, as the shares of a SOFTMAX at times have."""
    source_type, result_type = types
    step, zero = log_uniform(rng, 1e-6, 1e-4), pick(rng, [-32768, -32768, 32767, int(rng.integers(-32768, 32768))])
    coarser = 256 if result_type == "int8" else 1
    p = dict(shape=broadcast(rng), ratio=pick(rng, [1.0, 2.0, 0.5, 2 ** rng.uniform(-3, 3)])) | fixed
    source = Tensor("input", p["shape"], source_type, step, zero)
    result = Tensor("output", p["shape"], result_type, step * p["ratio"] * coarser, zero // 256 if coarser > 1 else 0)
    return case(rng, Operator("QUANTIZE", 2), [source], [result], **p, zero_points=[zero, result.zero_point])


def quantize(rng, dtype, fixed):
    """QUANTIZE from float32, with values in the middle between two steps among the inputs."""
    p = dict(shape=broadcast(rng), scale=log_uniform(rng, 1e-4, 10.0)) | fixed
    result = Tensor("output", p["shape"], dtype, p["scale"], zero_point(rng, dtype))
    source = Tensor("input", p["shape"], np.float32)
    step = np.float32(p["scale"])
    shape = (RUNS, *p["shape"])
    halves = (rng.integers(-300, 301, shape) + 0.5).astype(np.float32) * step
    spread = rng.normal(0, 150, shape).astype(np.float32) * step
    far = rng.choice([-1e6, 1e6, 0.0, -0.0], shape).astype(np.float32) * step
    values = np.choose(rng.integers(0, 5, shape), [halves, halves, spread, spread, far])
    p |= dict(zero_point=result.zero_point)
    return Case(p, build(Operator("QUANTIZE", 1), [source], [result]), [values.astype(np.float32)])


def dequantize(rng, dtype, fixed):
    p = dict(shape=broadcast(rng), scale=log_uniform(rng, 1e-4, 10.0)) | fixed
    source = Tensor("input", p["shape"], dtype, p["scale"], zero_point(rng, dtype))
    result = Tensor("output", p["shape"], np.float32)
    return case(rng, Operator("DEQUANTIZE", 2), [source], [result], **p, zero_point=source.zero_point)
