"""Networks that find joints."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from backbones import mobilenet_v1, mobilenet_v2
from network import Network, options

JOINTS = 17


def posenet():
    """Maps of joints and of offsets, which the application decodes."""
    net = Network("posenet", 31, "uint8")
    x = mobilenet_v1(net, net.input([1, 97, 97, 3]), 0.25, output_stride=16)[-1]
    maps = [net.conv(x, n, activation="NONE") for n in (JOINTS, 2 * JOINTS, 64)]
    return net.build(net.logistic(maps[0]), *[net.dequantize(m) for m in maps[1:]])


def movenet():
    """A pyramid, the centre of the body, and the joints around it, decoded to coordinates in float32."""
    net = Network("movenet", 32)
    pixels = net.cast(net.input([1, 96, 96, 3], "int32"), "float32")
    centred = net.binary("SUB", pixels, net.constant(np.float32([127.5])))
    scaled = net.mul(centred, net.constant(np.float32([1 / 127.5])))
    stages = mobilenet_v2(net, net.quantize(scaled, 1 / 127), 0.35)
    x = net.conv(stages[6], 48, activation="NONE")
    for stage in (stages[4], stages[2], stages[1]):
        up = net.resize("RESIZE_BILINEAR", x, stage.shape[1:3], half_pixel=True)
        x = net.conv(net.depthwise(net.add(up, net.conv(stage, 48, activation="NONE"))), 48)
    predict = lambda n: net.conv(net.conv(net.depthwise(x), 48), n, activation="NONE")  # noqa: E731
    centre, vectors, heat, offsets = predict(1), predict(2 * JOINTS), predict(JOINTS), predict(2 * JOINTS)
    return net.build(decode(net, net.logistic(centre), vectors, net.logistic(heat), offsets))


def hand_landmarks():
    """PRELU with a factor for each channel, residuals that are pooled and padded, and three heads."""
    net = Network("hand_landmarks", 33)
    x = net.prelu(net.conv(net.input([1, 64, 64, 3]), 16, 3, 2, "NONE"))
    for channels, stride in ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (64, 2)):
        short = x if stride == 1 else net.pool("MAX_POOL_2D", x, 2, 2)
        short = net.pad(short, [[0, 0], [0, 0], [0, 0], [0, channels - x.shape[3]]]) if channels > x.shape[3] else short
        inner = net.conv(net.depthwise(x, 5, stride, "NONE"), channels, activation="NONE")
        x = net.prelu(net.add(inner, short))
    points = net.reshape(net.conv(x, 3 * 21, x.shape[1:3], activation="NONE", padding="VALID"), [1, 3 * 21])
    presence, side = [net.conv(x, 1, x.shape[1:3], activation="NONE", padding="VALID") for _ in range(2)]
    presence = net.plain("LOGISTIC", net.dequantize(net.reshape(presence, [1, 1])))
    return net.build(net.dequantize(points), presence, net.logistic(net.reshape(side, [1, 1])))


def decode(net, centre, vectors, heat, offsets):
    """As the original does: the best centre, its vectors, the joints that are strong near them."""
    rows, columns = centre.shape[1:3]
    cells = rows * columns
    closeness = net.constant(np.random.default_rng(1).integers(0, 256, centre.shape).astype("int16").clip(1, 127).astype("int8"), scales=1 / 127)
    weighted = net.mul(centre, closeness)
    place = best(net, net.reshape(net.dequantize(weighted), [1, cells]), 1)
    at = coordinates(net, place, columns, [1])
    regressed = gather(net, net.dequantize(net.reshape(vectors, vectors.shape[1:])), stack(net, at, 1), [1, 2 * JOINTS])
    regressed = net.reshape(regressed, [1, JOINTS, 2])
    parts = [net.tensor([1, JOINTS], "float32") for _ in "yx"]
    table = options(schema.UnpackOptionsT(), num=2, axis=2)
    parts = net.split("UNPACK", [regressed], parts, table)
    means = [net.binary("ADD", part, net.cast(net.reshape(a, [1, 1]), "float32")) for part, a in zip(parts, at)]
    grids = [np.arange(rows, dtype=np.float32)[:, None, None], np.arange(columns, dtype=np.float32)[None, :, None]]
    squares = []
    for grid, mean in zip(grids, means):
        apart = net.binary("SUB", net.constant(grid), net.reshape(mean, [1, 1, JOINTS]))
        squares.append(net.mul(apart, apart))
    distance = net.add_step("SQRT", [net.add(*squares)], net.tensor([rows, columns, JOINTS], "float32"))
    distance = net.add(distance, net.constant(np.float32([1.8])))
    strong = net.dequantize(net.reshape(heat, [rows, columns, JOINTS]))
    scores = net.add_step("DIV", [strong, distance], net.tensor(strong.shape, "float32"), schema.DivOptionsT())
    places = best(net, net.reshape(scores, [cells, JOINTS]), 0)
    joint = net.integers(np.arange(JOINTS))
    at = coordinates(net, places, columns, [JOINTS])
    flat = net.dequantize(net.reshape(offsets, [rows, columns, JOINTS, 2]))
    moved = gather(net, flat, stack(net, [*at, joint], 1), [JOINTS, 2])
    scale = net.constant(np.float32([1 / rows, 1 / columns]))
    found = net.mul(net.add(net.cast(stack(net, at, 1), "float32"), moved), scale)
    confidence = gather(net, strong, stack(net, [*at, joint], 1), [JOINTS])
    found = net.concat([found, net.reshape(confidence, [JOINTS, 1])], 1)
    return net.reshape(found, [1, 1, JOINTS, 3])


def best(net, x, axis):
    table = options(schema.ArgMaxOptionsT(), outputType=schema.TensorType.INT32)
    shape = [n for i, n in enumerate(x.shape) if i != axis]
    return net.add_step("ARG_MAX", [x, net.integers(axis)], net.tensor(shape, "int32"), table)


def coordinates(net, place, columns, shape):
    """Row and column of a place."""
    width = net.integers([columns])
    row = net.add_step("FLOOR_DIV", [place, width], net.tensor(shape, "int32"), schema.FloorDivOptionsT(), 2)
    return [row, net.binary("SUB", place, net.mul(row, width))]


def stack(net, parts, axis):
    table = options(schema.PackOptionsT(), valuesCount=len(parts), axis=axis)
    return net.add_step("PACK", parts, net.tensor([*parts[0].shape, len(parts)], parts[0].dtype), table)


def gather(net, x, indices, shape):
    return net.add_step("GATHER_ND", [x, indices], net.tensor(shape, x.dtype), schema.GatherNdOptionsT())


NETWORKS = [posenet, movenet, hand_landmarks]
