"""A network under construction: layers with random weights of such sizes that activations keep theirs.

Quantisation needs no calibration: a tensor's real values are taken to deviate by a quarter of what its type
can hold, weights are scaled so that sums do as well, and every fourth deviation saturates.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
from writer import Operator, Tensor, build_graph, constant  # noqa: E402

PADDINGS = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}
# Versions of the operators that have one for each type.
VERSIONS = {
    "CONV_2D": dict(uint8=1, int8=3, int16=4),
    "DEPTHWISE_CONV_2D": dict(uint8=2, int8=3, int16=5),
    "FULLY_CONNECTED": dict(uint8=1, int8=4, int16=7),
    "TRANSPOSE_CONV": dict(uint8=3, int8=3, int16=4),
}
DEVIATION = 74  # of a byte that is uniformly distributed


def options(table, **fields):
    for name, value in fields.items():
        setattr(table, name, value)
    return table


def fused(activation):
    return getattr(schema.ActivationFunctionType, activation)


def pair(value):
    return list(value) if isinstance(value, (list, tuple)) else [value, value]


def limits(dtype):
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def spread(tensor):
    """The deviation that a tensor's real values are taken to have."""
    low, high = limits(tensor.dtype)
    return tensor.scales * max(high - tensor.zero_point, tensor.zero_point - low) / 4


class Network:
    """Steps in the order in which they run. Layers return the tensor that they make."""

    def __init__(self, name, seed, dtype="int8"):
        self.name, self.dtype = name, dtype
        self.rng = np.random.default_rng(seed)
        self.steps, self.once, self.inputs, self.count = [], [], [], 0

    def build(self, *outputs):
        return build_graph(self.steps, self.inputs, list(outputs), self.name, self.once)

    # Tensors.

    def tensor(self, shape, dtype, scale=None, zero_point=0, **more):
        self.count += 1
        return Tensor(f"t{self.count}", [int(n) for n in shape], dtype, scale, zero_point, **more)

    def constant(self, data, **quantisation):
        self.count += 1
        return constant(f"c{self.count}", np.asarray(data), **quantisation)

    def integers(self, values):
        return self.constant(np.asarray(values, np.int32))

    def input(self, shape, dtype=None, scale=1 / 64, zero_point=None, open_batch=False):
        """What one feeds; pixels by default."""
        dtype = dtype or self.dtype
        if dtype in ("float32", "int32", "bool"):
            made = self.tensor(shape, dtype)
        else:
            middle = sum(limits(dtype)) // 2 + 1
            made = self.tensor(shape, dtype, scale, middle if zero_point is None else zero_point)
        made.open_dimensions = int(open_batch)
        self.inputs.append(made)
        return made

    def like(self, x, shape):
        """A tensor of another shape with the same quantisation."""
        return self.tensor(shape, x.dtype, x.scales, x.zero_point)

    def activation(self, shape, kind="NONE", size=2.0, dtype=None):
        """A tensor for values that deviate by `size`, behind an activation that is a part of the operator."""
        dtype = dtype or self.dtype
        low, high = limits(dtype)
        if dtype == "int16":
            return self.tensor(shape, dtype, (6.0 if kind == "RELU6" else 4 * size) / 32767)
        if kind == "RELU6":
            return self.tensor(shape, dtype, 6 / 255, low)
        if kind == "RELU":
            return self.tensor(shape, dtype, 4 * size / 255, low)
        middle = (low + high + 1) // 2 + int(self.rng.integers(-9, 10))
        return self.tensor(shape, dtype, 4 * size / 127, middle)

    def weights(self, x, shape, axis, inputs, per_channel=True, size=2.0):
        """Weights and bias under which sums of `inputs` products deviate by `size`."""
        deviation = size / (spread(x) * inputs**0.5)
        channels = shape[axis]
        if self.dtype == "uint8":
            data, zero_point = self.rng.integers(0, 256, shape).astype(np.uint8), int(self.rng.integers(120, 137))
            scales = np.float32(deviation / DEVIATION)
        else:
            data, zero_point = self.rng.integers(-127, 128, shape).astype(np.int8), 0
            scales = np.float32(deviation / DEVIATION * (self.rng.uniform(0.5, 1.5, channels) if per_channel else 1.0))
        sums = np.float32(x.scales) * scales
        bias = np.round(self.rng.normal(0, 0.5, channels) / sums).astype(np.int64 if self.dtype == "int16" else np.int32)
        return (
            self.constant(data, scales=scales, zero_point=zero_point, axis=axis if per_channel else 0),
            self.constant(bias, scales=sums),
        )

    # Steps.

    def add_step(self, builtin, inputs, output, table=None, version=1, **more):
        self.steps.append((Operator(builtin, version, table, **more), list(inputs), [output]))
        return output

    def split(self, builtin, inputs, outputs, table, version=1, **more):
        self.steps.append((Operator(builtin, version, table, **more), list(inputs), outputs))
        return outputs

    def version(self, builtin):
        return VERSIONS[builtin][self.dtype]

    # Layers with weights.

    def conv(self, x, channels, kernel=1, stride=1, activation="RELU6", padding="SAME", dilation=1, size=2.0, like=None):
        kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
        shape = [x.shape[0], *slid(x.shape[1:3], kernel, stride, dilation, padding), channels]
        inputs = kernel[0] * kernel[1] * x.shape[3]
        weights = self.weights(x, [channels, *kernel, x.shape[3]], 0, inputs, self.dtype != "uint8", size)
        table = options(schema.Conv2DOptionsT(), padding=PADDINGS[padding], fusedActivationFunction=fused(activation))
        options(table, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1])
        made = self.like(like, shape) if like else self.activation(shape, activation, size)
        return self.add_step("CONV_2D", [x, *weights], made, table, self.version("CONV_2D"))

    def depthwise(self, x, kernel=3, stride=1, activation="RELU6", padding="SAME", dilation=1):
        kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
        channels = x.shape[3]
        shape = [x.shape[0], *slid(x.shape[1:3], kernel, stride, dilation, padding), channels]
        weights = self.weights(x, [1, *kernel, channels], 3, kernel[0] * kernel[1], self.dtype != "uint8")
        table = options(schema.DepthwiseConv2DOptionsT(), padding=PADDINGS[padding], fusedActivationFunction=fused(activation))
        options(table, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1])
        table.depthMultiplier = 1
        made = self.activation(shape, activation)
        return self.add_step("DEPTHWISE_CONV_2D", [x, *weights], made, table, self.version("DEPTHWISE_CONV_2D"))

    def transpose_conv(self, x, channels, kernel=2, stride=2):
        shape = [x.shape[0], x.shape[1] * stride, x.shape[2] * stride, channels]
        inputs = max(1, kernel // stride) ** 2 * x.shape[3]
        weights = self.weights(x, [channels, kernel, kernel, x.shape[3]], 0, inputs)
        table = options(schema.TransposeConvOptionsT(), padding=schema.Padding.SAME, strideH=stride, strideW=stride)
        made = self.activation(shape)
        operands = [self.integers(shape), weights[0], x, weights[1]]
        return self.add_step("TRANSPOSE_CONV", operands, made, table, self.version("TRANSPOSE_CONV"))

    def dense(self, x, units, activation="NONE", per_channel=False, keep=False, like=None):
        depth = x.shape[-1]
        rows = x.shape[:-1] if keep else [int(np.prod(x.shape)) // depth]
        weights = self.weights(x, [units, depth], 0, depth, per_channel)
        table = options(schema.FullyConnectedOptionsT(), fusedActivationFunction=fused(activation), keepNumDims=keep)
        made = self.like(like, [*rows, units]) if like else self.activation([*rows, units], activation)
        return self.add_step("FULLY_CONNECTED", [x, *weights], made, table, self.version("FULLY_CONNECTED"))

    # Layers without.

    def pool(self, builtin, x, kernel, stride=None, padding="VALID"):
        kernel = pair(kernel)
        stride = pair(stride or kernel)
        table = options(schema.Pool2DOptionsT(), padding=PADDINGS[padding], filterHeight=kernel[0], filterWidth=kernel[1])
        options(table, strideH=stride[0], strideW=stride[1])
        shape = [x.shape[0], *slid(x.shape[1:3], kernel, stride, [1, 1], padding), x.shape[3]]
        return self.add_step(builtin, [x], self.like(x, shape), table, 3 if x.dtype == "int16" else 2)

    def binary(self, builtin, a, b, activation="NONE", like=None):
        """ADD, SUB or MUL, of quantised tensors or plain ones."""
        table = getattr(schema, f"{builtin.title()}OptionsT")()
        table.fusedActivationFunction = fused(activation)
        if hasattr(table, "potScaleInt16"):
            table.potScaleInt16 = False
        shape = np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
        if a.scales is None:
            return self.add_step(builtin, [a, b], self.tensor(shape, a.dtype), table)
        size = spread(a) * spread(b) if builtin == "MUL" else (spread(a) ** 2 + spread(b) ** 2) ** 0.5
        made = self.like(like, shape) if like else self.activation(shape, activation, size, a.dtype)
        return self.add_step(builtin, [a, b], made, table, 2)

    def add(self, a, b, **more):
        return self.binary("ADD", a, b, **more)

    def mul(self, a, b, **more):
        return self.binary("MUL", a, b, **more)

    def number(self, value):
        """A quantised constant of one element."""
        low, high = limits(self.dtype)
        filled = np.full([1], high if self.dtype != "int16" else 32767, self.dtype)
        zero_point = 0 if self.dtype == "int16" else low
        return self.constant(filled, scales=np.float32(value / (int(filled[0]) - zero_point)), zero_point=zero_point)

    def looked_up(self, builtin, x, scale, zero_point, table=None, version=2):
        return self.add_step(builtin, [x], self.tensor(x.shape, x.dtype, scale, zero_point), table, version)

    def logistic(self, x):
        if x.dtype == "int16":
            return self.looked_up("LOGISTIC", x, 1 / 32768, 0, version=3)
        return self.looked_up("LOGISTIC", x, 1 / 256, limits(x.dtype)[0])

    def tanh(self, x):
        if x.dtype == "int16":
            return self.looked_up("TANH", x, 1 / 32768, 0, version=3)
        return self.looked_up("TANH", x, 1 / 128, sum(limits(x.dtype)) // 2 + 1)

    def softmax(self, x, beta=1.0):
        scale, zero = (1 / 32768, 0) if x.dtype == "int16" else (1 / 256, limits(x.dtype)[0])
        table = options(schema.SoftmaxOptionsT(), beta=beta)
        return self.looked_up("SOFTMAX", x, scale, zero, table, 3 if x.dtype == "int16" else 2)

    def hard_swish(self, x):
        low, _ = limits(x.dtype)
        scale = spread(x) * 4 / 240
        return self.looked_up("HARD_SWISH", x, scale, low + int(0.375 / scale), version=1)

    def leaky_relu(self, x, alpha):
        scale = spread(x) * 4 / 250
        table = options(schema.LeakyReluOptionsT(), alpha=alpha)
        return self.looked_up("LEAKY_RELU", x, scale, limits(x.dtype)[0] + 5, table)

    def mean(self, x, axes, keep=True, size=0.5):
        axes = [a % len(x.shape) for a in axes]
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        made = self.activation(shape, "RELU" if x.zero_point == limits(x.dtype)[0] else "NONE", spread(x) * size, x.dtype)
        table = options(schema.ReducerOptionsT(), keepDims=keep)
        return self.add_step("MEAN", [x, self.integers(axes)], made, table, 2)

    def plain(self, builtin, x, table=None, **more):
        """A function of each element of a tensor without scales."""
        return self.add_step(builtin, [x], self.tensor(x.shape, x.dtype), table, **more)

    def plain_mean(self, x, axes, keep=True):
        axes = [a % len(x.shape) for a in axes]
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        table = options(schema.ReducerOptionsT(), keepDims=keep)
        return self.add_step("MEAN", [x, self.integers(axes)], self.tensor(shape, x.dtype), table)

    def split_evenly(self, x, count, axis=-1):
        axis %= len(x.shape)
        shape = [n // count if i == axis else n for i, n in enumerate(x.shape)]
        table = options(schema.SplitOptionsT(), numSplits=count)
        parts = [self.like(x, shape) for _ in range(count)]
        return list(self.split("SPLIT", [self.integers(axis), x], parts, table, 2))

    def prelu(self, x):
        """With a factor for each channel."""
        factors = self.rng.integers(1, 128, [1, 1, x.shape[-1]]).astype(np.int8)
        factors = self.constant(factors, scales=np.float32(0.5 / 127), zero_point=0)
        scale = spread(x) * 4 / 250
        made = self.tensor(x.shape, x.dtype, scale, limits(x.dtype)[0] + int(spread(x) / scale))
        return self.add_step("PRELU", [x, factors], made)

    # Layers that move elements.

    def reshape(self, x, shape):
        made = self.like(x, np.empty(x.shape, bool).reshape(shape).shape)
        return self.add_step("RESHAPE", [x, self.integers(shape)], made, options(schema.ReshapeOptionsT(), newShape=list(shape)))

    def transpose(self, x, order):
        made = self.like(x, [x.shape[i] for i in order])
        return self.add_step("TRANSPOSE", [x, self.integers(order)], made, schema.TransposeOptionsT(), 2)

    def concat(self, parts, axis=-1):
        """Parts of one quantisation."""
        axis %= len(parts[0].shape)
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        table = options(schema.ConcatenationOptionsT(), axis=axis)
        return self.add_step("CONCATENATION", parts, self.like(parts[0], shape), table, 2)

    def pad(self, x, around):
        shape = [n + sum(extra) for n, extra in zip(x.shape, around)]
        return self.add_step("PAD", [x, self.integers(around)], self.like(x, shape), schema.PadOptionsT(), 2)

    def resize(self, builtin, x, size, align_corners=False, half_pixel=False):
        table = schema.ResizeBilinearOptionsT() if builtin == "RESIZE_BILINEAR" else schema.ResizeNearestNeighborOptionsT()
        options(table, alignCorners=align_corners, halfPixelCenters=half_pixel)
        made = self.like(x, [x.shape[0], *pair(size), x.shape[3]])
        return self.add_step(builtin, [x, self.integers(pair(size))], made, table, 3)

    def strided_slice(self, x, begin, end, strides=None, begin_mask=0, end_mask=0, shrink=0):
        table = options(schema.StridedSliceOptionsT(), beginMask=begin_mask, endMask=end_mask, shrinkAxisMask=shrink)
        strides = strides or [1] * len(begin)
        cut = [slice(None if begin_mask >> i & 1 else b, None if end_mask >> i & 1 else e, s) for i, (b, e, s) in enumerate(zip(begin, end, strides))]
        cut = [b if shrink >> i & 1 else c for i, (b, c) in enumerate(zip(begin, cut))]
        made = self.like(x, np.empty(x.shape, bool)[tuple(cut)].shape)
        operands = [x, self.integers(begin), self.integers(end), self.integers(strides)]
        return self.add_step("STRIDED_SLICE", operands, made, table, 2)

    # Layers between types.

    def quantize(self, x, scale=1 / 64, zero_point=0, dtype=None):
        made = self.tensor(x.shape, dtype or self.dtype, scale, zero_point)
        return self.add_step("QUANTIZE", [x], made, schema.QuantizeOptionsT(), 1)

    def requantize(self, x, like):
        return self.add_step("QUANTIZE", [x], self.like(like, x.shape), schema.QuantizeOptionsT(), 2)

    def dequantize(self, x):
        return self.add_step("DEQUANTIZE", [x], self.tensor(x.shape, "float32"), schema.DequantizeOptionsT(), 2)

    def cast(self, x, dtype):
        return self.add_step("CAST", [x], self.tensor(x.shape, dtype), schema.CastOptionsT())


def slid(size, kernel, stride, dilation, padding):
    if padding == "SAME":
        return [-(-n // s) for n, s in zip(size, stride)]
    return [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation)]
