"""Networks that say of each pixel what it belongs to, or draw the picture anew."""

from ai_edge_litert import schema_py_generated as schema

from backbones import mobilenet_v2
from network import Network, options


def deeplab_v3():
    """Dilated windows, a pool over the whole picture, and the best class of each pixel of the input's size."""
    net = Network("deeplab_v3", 21, "uint8")
    stages = mobilenet_v2(net, net.input([1, 129, 129, 3]), 0.35, output_stride=16)
    x = stages[-1]
    everywhere = net.pool("AVERAGE_POOL_2D", x, x.shape[1:3])
    everywhere = net.conv(everywhere, 64)
    everywhere = net.resize("RESIZE_BILINEAR", everywhere, x.shape[1:3], align_corners=True)
    x = net.conv(net.concat([everywhere, net.conv(x, 64)]), 64)
    x = net.conv(x, 21, activation="NONE")
    x = net.resize("RESIZE_BILINEAR", x, [33, 33], align_corners=True)
    x = net.resize("RESIZE_BILINEAR", x, [129, 129], align_corners=True)
    table = options(schema.ArgMaxOptionsT(), outputType=schema.TensorType.INT64)
    made = net.tensor(x.shape[:3], "int64")
    return net.build(net.add_step("ARG_MAX", [x, net.integers(3)], made, table))


def atrous():
    """Dilation as older converters wrote it, between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
    net = Network("atrous", 22)
    x = net.conv(net.input([1, 48, 48, 3]), 16, 3, 2)
    branches = []
    for rate in (2, 4):
        blocks, around = net.integers([rate, rate]), net.integers([[rate, rate], [rate, rate]])
        size = x.shape[1] // rate + 2
        spaced = net.like(x, [rate * rate, size, size, 16])
        spaced = net.add_step("SPACE_TO_BATCH_ND", [x, blocks, around], spaced, schema.SpaceToBatchNDOptionsT(), 2)
        y = net.depthwise(spaced, 3, padding="VALID")
        back = net.like(y, x.shape)
        crops = net.integers([[0, 0], [0, 0]])
        back = net.add_step("BATCH_TO_SPACE_ND", [y, blocks, crops], back, schema.BatchToSpaceNDOptionsT(), 2)
        branches.append(net.conv(back, 24))
    branches.append(net.conv(x, 24, 3, dilation=3))
    x = net.conv(net.concat(branches), 8, activation="NONE")
    x = net.resize("RESIZE_BILINEAR", x, [48, 48], half_pixel=True)
    table = options(schema.ArgMaxOptionsT(), outputType=schema.TensorType.INT32)
    best = net.add_step("ARG_MAX", [x, net.integers(-1)], net.tensor(x.shape[:3], "int32"), table, 2)
    return net.build(net.softmax(x), best)


def unet():
    """Down, up again by TRANSPOSE_CONV, with what was there before beside it."""
    net = Network("unet", 23)
    x, kept = net.input([1, 64, 64, 3]), []
    for channels in (8, 16, 32):
        x = net.conv(net.conv(x, channels, 3, activation="RELU"), channels, 3, activation="RELU")
        kept.append(x)
        x = net.pool("MAX_POOL_2D", x, 2)
    x = net.conv(net.conv(x, 64, 3, activation="RELU"), 64, 3, activation="RELU")
    for channels, beside in zip((32, 16, 8), kept[::-1]):
        up = net.transpose_conv(x, channels)
        up = net.requantize(net.add_step("RELU", [up], net.like(up, up.shape), None, 2), beside)
        x = net.conv(net.concat([up, beside]), channels, 3, activation="RELU")
    return net.build(net.logistic(net.conv(x, 1, activation="NONE")))


def selfie():
    """HARD_SWISH and channels weighted by LOGISTIC on the way down, a mask in float32 at the end."""
    net = Network("selfie", 25)
    x = net.hard_swish(net.conv(net.input([1, 64, 64, 3]), 16, 3, 2, "NONE"))
    kept = []
    for channels, hidden in ((16, 32), (24, 72), (32, 96)):
        kept.append(x)
        y = net.hard_swish(net.depthwise(net.hard_swish(net.conv(x, hidden, activation="NONE")), 5, 2, "NONE"))
        gate = net.conv(net.pool("AVERAGE_POOL_2D", y, y.shape[1:3]), 8, activation="RELU")
        y = net.mul(y, net.logistic(net.conv(gate, hidden, activation="NONE")), like=y)
        x = net.conv(y, channels, activation="NONE")
    for beside in kept[::-1]:
        up = net.resize("RESIZE_BILINEAR", x, beside.shape[1:3], half_pixel=True)
        beside = net.conv(beside, up.shape[3], activation="NONE")
        both = net.add(up, beside)
        gate = net.logistic(net.conv(net.pool("AVERAGE_POOL_2D", both, both.shape[1:3]), up.shape[3], activation="NONE"))
        x = net.conv(net.add(net.mul(beside, gate), up), 16, activation="RELU")
        x = net.add(x, net.depthwise(x, activation="RELU"))
    mask = net.dequantize(net.transpose_conv(x, 1))
    return net.build(net.plain("LOGISTIC", mask))


def super_resolution():
    """A picture three times as large, by DEPTH_TO_SPACE and by TRANSPOSE_CONV."""
    net = Network("super_resolution", 24)
    x = net.input([1, 32, 32, 1])
    y = net.leaky_relu(net.conv(x, 24, 5, activation="NONE"), 0.2)
    for _ in range(3):
        y = net.add(y, net.leaky_relu(net.conv(y, 24, 3, activation="NONE"), 0.1))
    y = net.conv(y, 9, 3, activation="NONE")
    made = net.like(y, [1, 96, 96, 1])
    y = net.add_step("DEPTH_TO_SPACE", [y], made, options(schema.DepthToSpaceOptionsT(), blockSize=3))
    larger = net.resize("RESIZE_BILINEAR", x, [96, 96])
    mirrored = net.integers([[0, 0], [2, 2], [2, 2], [0, 0]])
    table = options(schema.MirrorPadOptionsT(), mode=schema.MirrorPadMode.REFLECT)
    sharp = net.add(y, larger)
    framed = net.add_step("MIRROR_PAD", [sharp, mirrored], net.like(sharp, [1, 100, 100, 1]), table, 2)
    smooth = net.conv(framed, 1, 5, 1, "NONE", "VALID")
    return net.build(net.tanh(smooth), net.transpose_conv(smooth, 1, 3, 2))


NETWORKS = [deeplab_v3, atrous, unet, selfie, super_resolution]
