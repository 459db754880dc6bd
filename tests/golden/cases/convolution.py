"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: weighted sums."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor, constant

from . import case, limits, log_uniform, middle, pick, zero_point
from .windows import ACTIVATIONS, PADDINGS, activation, draw, output_size

UNIFORM_DEVIATION = 74  # of a byte that is uniformly distributed

# What to look at in particular; the random cases follow these.
CONV_2D = [
    dict(kernel=[1, 1], stride=[1, 1], size=[9, 11], channels=[64, 48], batch=1),
    dict(kernel=[1, 1], stride=[1, 1], size=[8, 8], channels=[6, 17], batch=2),
    dict(kernel=[1, 1], stride=[2, 2], size=[7, 7], channels=[16, 16], batch=1),
    dict(kernel=[3, 3], stride=[1, 1], size=[13, 12], channels=[24, 33], padding="SAME", batch=1),
    dict(kernel=[3, 3], stride=[2, 2], size=[15, 15], channels=[3, 8], padding="SAME", batch=1),
    dict(kernel=[5, 5], stride=[1, 1], size=[2, 3], channels=[5, 4], padding="SAME", batch=1),
    dict(kernel=[4, 10], stride=[2, 2], size=[20, 10], channels=[1, 32], padding="SAME", batch=1),
    dict(kernel=[7, 7], stride=[1, 1], size=[7, 7], channels=[9, 12], padding="VALID", batch=1),
    dict(channels=[1, 1]),
    dict(gain=200.0),
    dict(gain=1e-6),
    dict(bias_range=1 << 30),
]
DEPTHWISE_CONV_2D = [
    dict(kernel=[3, 3], stride=[1, 1], size=[10, 9], channels=[32, 32], padding="SAME", batch=1),
    dict(kernel=[3, 3], stride=[2, 2], size=[11, 10], channels=[40, 40], padding="SAME", batch=1),
    dict(kernel=[3, 3], stride=[1, 1], size=[6, 6], channels=[17, 17], padding="VALID", batch=2),
    dict(kernel=[3, 3], stride=[1, 1], dilation=[2, 2], size=[9, 9], channels=[16, 16], padding="SAME", batch=1),
    dict(kernel=[4, 10], stride=[2, 2], size=[20, 10], channels=[1, 8], padding="SAME", batch=1),
    dict(kernel=[3, 3], channels=[5, 40], batch=1),
    dict(kernel=[1, 1], channels=[6, 18]),
    dict(gain=200.0),
    dict(gain=1e-6),
    dict(bias_range=1 << 30),
]
FULLY_CONNECTED = [
    dict(shape=[1, 640], units=128),
    dict(shape=[1, 128], units=8),
    dict(shape=[1, 48], units=10),
    dict(shape=[7, 33], units=17),
    dict(shape=[1, 1, 1, 48], units=10),
    dict(shape=[2, 3, 4], units=5, keep_num_dims=True),
    dict(shape=[2, 3, 4], units=5, keep_num_dims=False),
    dict(shape=[1, 1], units=1),
    dict(shape=[70, 16], units=16),
    dict(bias=False),
    dict(gain=200.0),
    dict(gain=1e-6),
    dict(bias_range=1 << 30),
]


def grouped(rng, kind, fixed):
    """A CONV_2D whose filters see some of the channels; now and then just one."""
    groups = int(rng.integers(2, 6))
    channels = [groups * pick(rng, [1, 1, 2, 3, 4, 8]), groups * int(rng.integers(1, 9))]
    return conv_2d(rng, kind, dict(channels=channels, groups=groups))


def conv_2d(rng, kind, fixed):
    p = draw(rng, dilate=True) | dict(channels=[int(rng.integers(1, 21)), int(rng.integers(1, 37))], groups=1)
    p = fit(p | fixed)
    depth, filters = p["channels"]
    operands, arithmetic = quantised(rng, kind, p)
    source, weights, bias, result = operands(
        [p["batch"], *p["size"], depth],
        [filters, *p["kernel"], depth // p["groups"]],
        [p["batch"], *output_size(**p), filters],
        axis=0,
    )
    options = window_options(schema.Conv2DOptionsT(), p, arithmetic)
    operator = Operator("CONV_2D", version(kind, 1, 3, 4), options)
    return case(rng, operator, [source, weights, bias], [result], **p, **arithmetic)


def depthwise_conv_2d(rng, kind, fixed):
    depth = int(rng.integers(1, 25))
    p = draw(rng, dilate=True) | dict(channels=[depth, depth * pick(rng, [1, 1, 1, 2, 3])])
    p = fit(p | fixed)
    depth, filters = p["channels"]
    operands, arithmetic = quantised(rng, kind, p)
    source, weights, bias, result = operands(
        [p["batch"], *p["size"], depth],
        [1, *p["kernel"], filters],
        [p["batch"], *output_size(**p), filters],
        axis=3,
    )
    options = window_options(schema.DepthwiseConv2DOptionsT(), p, arithmetic)
    options.depthMultiplier = filters // depth
    operator = Operator("DEPTHWISE_CONV_2D", version(kind, 1, 3, 5), options)
    return case(rng, operator, [source, weights, bias], [result], **p, **arithmetic)


def transpose_conv(rng, kind, fixed):
    """The output is any size that the convolution would bring back to the input's."""
    p = draw(rng, dilate=False) | dict(channels=[int(n) for n in rng.integers(1, 13, 2)]) | fixed
    p["size"] = [int(n) for n in rng.integers(1, 6, 2)]
    depth, filters = p["channels"]
    spare = [int(rng.integers(0, s)) for s in p["stride"]]
    if p["padding"] == "SAME":
        rows = [n * s - more for n, s, more in zip(p["size"], p["stride"], spare)]
    else:
        rows = [(n - 1) * s + k + more for n, s, k, more in zip(p["size"], p["stride"], p["kernel"], spare)]
    shape = [p["batch"], *rows, filters]
    operands, arithmetic = quantised(rng, kind, p)
    source, weights, bias, result = operands(
        [p["batch"], *p["size"], depth], [filters, *p["kernel"], depth], shape, axis=0
    )
    options = schema.TransposeConvOptionsT()
    options.padding = PADDINGS[p["padding"]]
    options.strideH, options.strideW = p["stride"]
    options.fusedActivationFunction = ACTIVATIONS[arithmetic["activation"]]
    target = constant("shape", np.array(shape, np.int32))
    inputs = [target, weights, source] + ([bias] if rng.random() < 0.7 else [])
    return case(rng, Operator("TRANSPOSE_CONV", version(kind, 4, 4, 5 if len(inputs) == 4 else 3), options), inputs, [result], **p, **arithmetic, output=shape)


def fully_connected(rng, kind, fixed):
    p = dict(shape=[int(rng.integers(1, 9)), int(rng.integers(1, 100))], units=int(rng.integers(1, 50)))
    p = dict(keep_num_dims=False, bias=bool(rng.random() < 0.8)) | p | fixed
    depth = p["shape"][-1]
    rows = p["shape"][:-1] if p["keep_num_dims"] else [int(np.prod(p["shape"])) // depth]
    operands, arithmetic = quantised(rng, kind, p)
    source, weights, bias, result = operands(p["shape"], [p["units"], depth], [*rows, p["units"]], axis=0)
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = ACTIVATIONS[arithmetic["activation"]]
    options.keepNumDims = p["keep_num_dims"]
    operator = Operator("FULLY_CONNECTED", version(kind, 1, 4, 7), options)
    return case(rng, operator, [source, weights, bias if p["bias"] else None], [result], **p, **arithmetic)


def version(kind, uint8, int8, int16):
    return {"uint8": uint8, "int8_per_channel": int8, "int8_per_tensor": int8}.get(kind, int16)


def fit(p):
    """Enlarges the input when a fixed parameter made the window larger than it."""
    if p["padding"] == "VALID":
        reach = [(k - 1) * d + 1 for k, d in zip(p["kernel"], p["dilation"])]
        p["size"] = [max(n, r) for n, r in zip(p["size"], reach)]
    return p


def window_options(options, p, arithmetic):
    options.padding = PADDINGS[p["padding"]]
    options.strideH, options.strideW = p["stride"]
    options.dilationHFactor, options.dilationWFactor = p["dilation"]
    options.fusedActivationFunction = ACTIVATIONS[arithmetic["activation"]]
    return options


def quantised(rng, kind, p):
    """Quantisation under which uniform inputs fill the output range about `gain` times.

    `kind` is int8_per_channel, int8_per_tensor or uint8 (per tensor, asymmetric weights). Returns a
    function from shapes to (input, weights, bias, output), and the parameters for the record.
    """
    dtype = "uint8" if kind == "uint8" else kind.split("_")[0]
    stored = "uint8" if kind == "uint8" else "int8"
    gain = p.pop("gain", None) or float(2 ** rng.uniform(-1, 1))
    bias_range = p.pop("bias_range", None)
    fused = activation(rng)
    fine = 256 if dtype == "int16" else 1
    output_scale, output_zero = log_uniform(rng, 0.01, 0.2) / fine, zero_point(rng, dtype)
    source = Tensor("input", (), dtype, log_uniform(rng, 0.005, 0.5), zero_point(rng, dtype))
    weight_zero = zero_point(rng, dtype) if kind == "uint8" else 0

    def operands(input_shape, weights_shape, output_shape, axis):
        source.shape = input_shape
        values = rng.integers(-127 if kind != "uint8" else 0, limits(stored)[1] + 1, weights_shape)
        filters = np.moveaxis(values - weight_zero, axis, 0).reshape(weights_shape[axis], -1)
        deviation = fine * UNIFORM_DEVIATION * np.sqrt(np.mean(np.sum(filters**2, 1))) + 1
        spread = 2 ** rng.uniform(-2, 1, len(filters)) if kind.endswith("per_channel") else 1.0
        weight_scales = np.float32(gain * 60 * fine / deviation * output_scale / source.scales * spread)
        sum_scales = np.float32(source.scales) * weight_scales
        target = aim(rng, dtype, fused, output_scale, output_zero, len(filters)) * output_scale / sum_scales
        bias = target - filters.sum(1) * middle(source) / source.scales
        if bias_range:
            bias = rng.uniform(-bias_range, bias_range, len(filters))
        return (
            source,
            constant("weights", values.astype(stored), scales=weight_scales, zero_point=weight_zero, axis=axis),
            constant("bias", np.clip(bias, -(1 << 30), 1 << 30).astype(np.int64 if dtype == "int16" else np.int32), scales=sum_scales),
            Tensor("output", output_shape, dtype, output_scale, output_zero),
        )

    zero_points = dict(input=source.zero_point, weights=weight_zero, output=output_zero)
    return operands, dict(activation=fused, zero_points=zero_points, gain=gain)


def aim(rng, dtype, fused, scale, zero, count):
    """Outputs amid what type and activation leave, as distances from the zero point."""
    low, high = limits(dtype)
    least, most = {"RELU": (0, 1e9), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}.get(fused, (-1e9, 1e9))
    return (max(low - zero, least / scale) + min(high - zero, most / scale)) / 2 + rng.normal(0, 20, count)
