"""Networks that name what is in a picture."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from backbones import efficientnet_lite, mobilenet_v1, wide
from network import Network, limits, options


def mobilenet_v3_small():
    """HARD_SWISH, and weights of channels that a small network beside computes."""
    net = Network("mobilenet_v3_small", 1)
    x = net.hard_swish(net.conv(net.input([1, 96, 96, 3]), 16, 3, 2, "NONE"))
    blocks = [
        (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1), (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1), (5, 120, 48, True, True, 1), (5, 288, 96, True, True, 2), (5, 576, 96, True, True, 1),
    ]  # fmt: skip
    for kernel, hidden, channels, excite, swish, stride in blocks:
        residual = x
        activation = "NONE" if swish else "RELU"
        act = net.hard_swish if swish else lambda y: y
        x = act(net.conv(x, hidden, activation=activation))
        x = act(net.depthwise(x, kernel, stride, activation))
        x = squeeze_and_excite(net, x) if excite else x
        x = net.conv(x, channels, activation="NONE")
        x = net.add(residual, x) if residual.shape == x.shape else x
    x = net.hard_swish(net.conv(x, 576, activation="NONE"))
    x = net.hard_swish(net.conv(net.mean(x, [1, 2]), 256, activation="NONE"))
    x = net.reshape(net.conv(x, 100, activation="NONE"), [1, 100])
    return net.build(net.softmax(x))


def squeeze_and_excite(net, x):
    """Its sigmoid is made of an ADD and a MUL."""
    gate = net.conv(net.mean(x, [1, 2]), wide(x.shape[3], 0.25), activation="RELU")
    gate = net.conv(gate, x.shape[3], activation="NONE")
    gate = net.binary("ADD", gate, net.number(3.0), "RELU6")
    gate = net.binary("MUL", gate, net.number(1 / 6), like=net.tensor([1], "int8", 1 / 255, -128))
    return net.mul(x, gate, like=x)


def efficientnet_lite0():
    net = Network("efficientnet_lite0", 2, "uint8")
    x = net.conv(efficientnet_lite(net, net.input([1, 96, 96, 3]), 0.35)[-1], 256)
    x = net.pool("AVERAGE_POOL_2D", x, x.shape[1:3])
    return net.build(net.softmax(net.dense(net.reshape(x, [1, -1]), 100)))


def resnet_open_batch():
    """Bottlenecks, an explicit PAD before VALID windows; two pictures at once where the file leaves that open."""
    net = Network("resnet_open_batch", 3)
    x = net.pad(net.input([2, 64, 64, 3], open_batch=True), [[0, 0], [3, 3], [3, 3], [0, 0]])
    x = net.conv(x, 16, 7, 2, "RELU", "VALID")
    x = net.pool("MAX_POOL_2D", net.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2)
    for channels, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        short = x if stride == 1 and x.shape[3] == 4 * channels else net.conv(x, 4 * channels, 1, stride, "NONE")
        inner = net.conv(x, channels, activation="RELU")
        inner = net.conv(net.pad(inner, [[0, 0], [1, 1], [1, 1], [0, 0]]), channels, 3, stride, "RELU", "VALID")
        x = net.add(net.conv(inner, 4 * channels, activation="NONE"), short, activation="RELU")
    return net.build(net.softmax(net.dense(net.mean(x, [1, 2], keep=False), 50)))


def inception():
    """Branches side by side, rescaled to stand in one tensor."""
    net = Network("inception", 4, "uint8")
    x = net.conv(net.input([1, 75, 75, 3]), 16, 3, 2, "RELU", "VALID")
    x = net.pool("MAX_POOL_2D", net.conv(x, 24, 3, 1, "RELU"), 3, 2)
    for channels in (16, 24, 32):
        deep = net.conv(net.conv(x, channels, activation="RELU"), channels, [1, 7], 1, "RELU")
        branches = [
            net.conv(x, channels, activation="RELU"),
            net.conv(deep, channels, [7, 1], 1, "RELU", size=1.5),
            net.conv(net.conv(x, channels, activation="RELU"), channels, 5, 1, "RELU", size=3.0),
            net.conv(net.pool("AVERAGE_POOL_2D", x, 3, 1, "SAME"), channels, activation="RELU", size=2.5),
        ]
        x = net.concat(branches)
        x = net.pool("MAX_POOL_2D", x, 3, 2)
    x = net.pool("AVERAGE_POOL_2D", x, x.shape[1:3])
    return net.build(net.softmax(net.reshape(net.conv(x, 50, activation="NONE"), [1, 50])))


def mobilenet_v1_wide():
    """Activations of 16 bits."""
    net = Network("mobilenet_v1_wide", 5, "int16")
    x = mobilenet_v1(net, net.input([1, 64, 64, 3], scale=1 / 8192), 0.25)[-1]
    x = net.pool("AVERAGE_POOL_2D", x, x.shape[1:3])
    x = net.reshape(net.conv(x, 40, activation="NONE"), [1, 40])
    return net.build(net.softmax(x))


def shuffled():
    """Channels split, convolved and shuffled, as ShuffleNet does."""
    net = Network("shuffled", 6)
    x = net.conv(net.input([1, 64, 64, 3]), 24, 3, 2, "RELU")
    for channels in (24, 24, 24):
        table = options(schema.SplitOptionsT(), numSplits=2)
        halves = [net.like(x, [*x.shape[:3], channels // 2]) for _ in "ab"]
        left, right = net.split("SPLIT", [net.integers(3), x], halves, table, 2)
        right = net.conv(right, channels // 2, activation="RELU")
        right = net.conv(net.depthwise(right, activation="NONE"), channels // 2, activation="RELU", like=left)
        x = net.concat([left, right])
        grouped = net.reshape(x, [*x.shape[:3], 2, channels // 2])
        x = net.reshape(net.transpose(grouped, [0, 1, 2, 4, 3]), x.shape)
    x = net.pool("MAX_POOL_2D", x, 2)
    low = limits("int8")[0]
    prelu = net.constant(net.rng.integers(low + 1, 128, [1, 1, 24]).astype("int8"), scales=0.003)
    x = net.add_step("PRELU", [x, prelu], net.like(x, x.shape))
    return net.build(net.softmax(net.dense(net.mean(x, [1, 2], keep=False), 20)))


def face_embedding():
    """Bytes to the last layer, then a vector of length 1 in float32, beside how far it is from a known one."""
    net = Network("face_embedding", 7)
    x = mobilenet_v1(net, net.input([2, 64, 64, 3]), 0.25)[-1]
    x = net.dense(net.mean(x, [1, 2], keep=False), 64)
    x = net.plain("L2_NORMALIZATION", net.dequantize(x), schema.L2NormOptionsT())
    known = net.rng.normal(0, 1, [1, 64]).astype(np.float32)
    known = net.constant(known / np.linalg.norm(known))
    apart = net.tensor(x.shape, "float32")
    apart = net.add_step("SQUARED_DIFFERENCE", [x, known], apart, schema.SquaredDifferenceOptionsT())
    table = options(schema.ReducerOptionsT(), keepDims=False)
    distance = net.add_step("SUM", [apart, net.integers([1])], net.tensor([2], "float32"), table)
    return net.build(x, distance)


def mixed_precision():
    """Convolutions of bytes amid norms and activations that were left in float32, as converters do where asked."""
    net = Network("mixed_precision", 8)
    x = net.conv(net.input([1, 32, 32, 3]), 16, 4, 4, "NONE")
    activations = [
        lambda y: net.plain("HARD_SWISH", y),
        lambda y: net.plain("ELU", y),
        lambda y: net.plain("LEAKY_RELU", y, options(schema.LeakyReluOptionsT(), alpha=0.1)),
        lambda y: net.mul(y, net.plain("LOGISTIC", y)),
    ]
    for activation in activations:
        y = net.dequantize(net.conv(net.depthwise(x, activation="NONE"), 16, activation="NONE"))
        y = net.quantize(activation(plain_norm(net, y)), 1 / 32, -90)
        x = net.add(x, y)
    x = net.plain_mean(net.dequantize(x), [1, 2], keep=False)
    scores = net.dequantize(net.dense(net.quantize(x, 1 / 64), 12))
    return net.build(net.plain("SOFTMAX", scores, options(schema.SoftmaxOptionsT(), beta=1.0)))


def plain_norm(net, x):
    """Centred and divided by the deviation in float32."""
    mean = net.plain_mean(x, [-1])
    apart = net.tensor(x.shape, "float32")
    apart = net.add_step("SQUARED_DIFFERENCE", [x, mean], apart, schema.SquaredDifferenceOptionsT())
    variance = net.add(net.plain_mean(apart, [-1]), net.constant(np.float32([1e-3])))
    return net.mul(net.binary("SUB", x, mean), net.plain("RSQRT", variance))


NETWORKS = [mobilenet_v3_small, efficientnet_lite0, resnet_open_batch, inception, mobilenet_v1_wide, shuffled, face_embedding, mixed_precision]
