"""Networks that find things in a picture, to the last operator."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from backbones import efficientnet_lite, mobilenet_v1, mobilenet_v2
from network import Network, options


def post_process(net, boxes, scores, classes, regular):
    """Anchors on a grid over all boxes; a threshold that some boxes miss."""
    count = boxes.shape[1]
    rng = net.rng
    anchors = np.concatenate([rng.uniform(0, 1, (count, 2)), rng.uniform(0.05, 0.3, (count, 2))], 1)
    if boxes.dtype == "uint8":
        anchors = net.constant(np.round(anchors * 256).clip(0, 255).astype(np.uint8), scales=1 / 256)
    else:
        anchors = net.constant(anchors.astype(np.float32))
    attributes = dict(
        max_detections=10, max_classes_per_detection=1, detections_per_class=100, num_classes=classes,
        use_regular_nms=regular, nms_score_threshold=1e-8, nms_iou_threshold=0.6,
        y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0,
    )  # fmt: skip
    outputs = [net.tensor(shape, "float32") for shape in ([1, 10, 4], [1, 10], [1, 10], [1])]
    table = bytes(flexbuffers.Dumps(attributes))
    return net.split("CUSTOM", [boxes, scores, anchors], outputs, table, custom="TFLite_Detection_PostProcess")


def heads(net, features, classes, predict):
    """Boxes and scores of all features, one below the other."""
    boxes, scores = [], []
    for x in features:
        for made, width in ((boxes, 4), (scores, classes)):
            like = made[0] if made else None
            made.append(net.reshape(predict(x, 3 * width, like), [1, -1, width]))
    return net.concat(boxes, 1), net.logistic(net.concat(scores, 1))


def ssd_mobilenet_v1():
    """The first of them: uint8 throughout, to the boxes."""
    net = Network("ssd_mobilenet_v1", 11, "uint8")
    stages = mobilenet_v1(net, net.input([1, 128, 128, 3]), 0.25)
    features = [stages[10], stages[12]]
    for channels in (128, 64, 64, 32):
        features.append(net.conv(net.conv(features[-1], channels // 2), channels, 3, 2))
    boxes, scores = heads(net, features, 21, lambda x, n, like: net.conv(x, n, activation="NONE", like=like))
    return net.build(*post_process(net, boxes, scores, 20, regular=False))


def ssdlite_mobilenet_v2():
    """float32 at both ends, and boxes suppressed class by class."""
    net = Network("ssdlite_mobilenet_v2", 12)
    x = net.quantize(net.input([1, 128, 128, 3], "float32"), 1 / 127, -1)
    stages = mobilenet_v2(net, x, 0.35, last=320)
    features = [stages[4], stages[7]]
    for channels in (128, 64):
        features.append(net.conv(net.depthwise(net.conv(features[-1], channels // 2), 3, 2), channels))
    predict = lambda x, n, like: net.conv(net.depthwise(x), n, activation="NONE", like=like)  # noqa: E731
    boxes, scores = heads(net, features, 11, predict)
    return net.build(*post_process(net, net.dequantize(boxes), net.dequantize(scores), 10, regular=True))


def efficientdet_lite():
    """Features up and down a pyramid, added with weights."""
    net = Network("efficientdet_lite", 13)
    stages = efficientnet_lite(net, net.input([1, 128, 128, 3]), 0.35)
    pyramid = [net.conv(stages[i], 32, activation="NONE") for i in (2, 4, 6)]
    for _ in range(2):
        pyramid.append(net.pool("MAX_POOL_2D", pyramid[-1], 3, 2, "SAME"))
    separable = lambda x: net.conv(net.depthwise(x, activation="NONE"), 32)  # noqa: E731
    for _ in range(2):
        down = [pyramid[-1]]
        for x in pyramid[-2::-1]:
            up = net.resize("RESIZE_NEAREST_NEIGHBOR", down[0], x.shape[1:3])
            down.insert(0, separable(net.add(x, up)))
        up = [down[0]]
        for x in down[1:]:
            smaller = net.pool("MAX_POOL_2D", up[-1], 3, 2, "SAME")
            up.append(separable(net.add(x, smaller, activation="RELU6")))
        pyramid = up
    predict = lambda x, n, like: net.conv(separable(x), n, activation="NONE", like=like)  # noqa: E731
    boxes, scores = heads(net, pyramid, 10, predict)
    return net.build(*post_process(net, net.dequantize(boxes), net.dequantize(scores), 10, regular=False))


def silu(net, x, channels, kernel=1, stride=1):
    """A convolution, and x * LOGISTIC(x)."""
    x = net.conv(x, channels, kernel, stride, "NONE")
    return net.mul(x, net.logistic(x), like=net.tensor([1], "int8", 8 / 255, -128 + 9))


def yolo():
    """x * LOGISTIC(x), a pyramid of pools, and boxes decoded by the network itself."""
    net = Network("yolo", 14)

    def convolution(x, channels, kernel=1, stride=1):
        return silu(net, x, channels, kernel, stride)

    def bottlenecks(x, channels, count, add=True):
        left, right = convolution(x, channels // 2), convolution(x, channels // 2)
        for _ in range(count):
            inner = convolution(convolution(left, channels // 2), channels // 2, 3)
            left = net.add(left, inner, like=left) if add else inner
        return convolution(net.concat([left, right]), channels)

    x = convolution(convolution(net.input([1, 96, 96, 3]), 8, 6, 2), 16, 3, 2)
    x = bottlenecks(x, 16, 1)
    early = bottlenecks(convolution(x, 32, 3, 2), 32, 2)
    x = bottlenecks(convolution(early, 64, 3, 2), 64, 1)
    pools = [convolution(x, 32)]
    for _ in range(3):
        pools.append(net.pool("MAX_POOL_2D", pools[-1], 5, 1, "SAME"))
    late = convolution(net.concat(pools), 64)
    up = net.resize("RESIZE_NEAREST_NEIGHBOR", convolution(late, 32), early.shape[1:3])
    fine = bottlenecks(net.concat([up, early]), 32, 1, add=False)
    coarse = bottlenecks(net.concat([convolution(fine, 32, 3, 2), convolution(late, 32)]), 64, 1, add=False)
    rows = []
    for x, size in ((fine, 0.1), (coarse, 0.2)):
        y, cells = net.conv(x, 3 * 15, activation="NONE"), x.shape[1] * x.shape[2]
        y = net.transpose(net.reshape(y, [1, cells, 3, 15]), [0, 2, 1, 3])
        y = net.logistic(y)
        centre = net.strided_slice(y, [0, 0, 0, 0], [0, 0, 0, 2], end_mask=7)
        extent = net.strided_slice(y, [0, 0, 0, 2], [0, 0, 0, 4], end_mask=7)
        rest = net.strided_slice(y, [0, 0, 0, 4], [0, 0, 0, 15], begin_mask=7, end_mask=15)
        grid = net.constant(net.rng.integers(-128, 128, [1, 1, cells, 2]).astype(np.int8), scales=1 / 256, zero_point=-128)
        place = net.tensor([1], "int8", 2 / 256, -128)
        centre = net.add(centre, grid, like=place)
        extent = net.mul(extent, extent, like=place)
        extent = net.mul(extent, net.number(size), like=place)
        joined = net.concat([centre, extent, net.requantize(rest, place)], -1)
        rows.append(net.reshape(joined, [1, 3 * cells, 15]))
    return net.build(net.concat(rows, 1))


def yolo_v8():
    """Halves of what there is, and distances as shares of 16 bins, which a convolution turns into numbers."""
    net, bins, classes = Network("yolo_v8", 16), 16, 12

    def halves(x, channels, count, add):
        parts = net.split_evenly(silu(net, x, channels), 2)
        for _ in range(count):
            inner = silu(net, silu(net, parts[-1], channels // 2, 3), channels // 2, 3)
            parts.append(net.add(parts[-1], inner, like=parts[0]) if add else inner)
        return silu(net, net.concat(parts), channels)

    x = silu(net, silu(net, net.input([1, 96, 96, 3]), 8, 3, 2), 16, 3, 2)
    early = halves(silu(net, halves(x, 16, 1, True), 32, 3, 2), 32, 2, True)
    x = halves(silu(net, early, 64, 3, 2), 64, 1, True)
    pools = [silu(net, x, 32)]
    for _ in range(3):
        pools.append(net.pool("MAX_POOL_2D", pools[-1], 5, 1, "SAME"))
    late = silu(net, net.concat(pools), 64)
    up = net.resize("RESIZE_NEAREST_NEIGHBOR", late, early.shape[1:3])
    fine = halves(net.concat([up, early]), 32, 1, False)
    coarse = halves(net.concat([silu(net, fine, 32, 3, 2), late]), 64, 1, False)
    boxes, scores, grid, steps = [], [], [], []
    for x, step in ((fine, 8.0), (coarse, 16.0)):
        side, like = x.shape[1], boxes[0] if boxes else None
        predicted = net.conv(silu(net, x, 32, 3), 4 * bins, activation="NONE", like=like)
        boxes.append(net.reshape(predicted, [1, side * side, 4 * bins]))
        like = scores[0] if scores else None
        predicted = net.conv(silu(net, x, 32, 3), classes, activation="NONE", like=like)
        scores.append(net.reshape(predicted, [1, side * side, classes]))
        grid.append(np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 2), -1).reshape(1, -1, 2))
        steps.append(np.full([1, side * side, 1], step))
    boxes, scores = net.concat(boxes, 1), net.logistic(net.concat(scores, 1))
    cells = boxes.shape[1]
    shares = net.softmax(net.reshape(boxes, [1, cells, 4, bins]))
    weights = net.constant(np.arange(bins, dtype=np.int8).reshape(1, 1, 1, bins), scales=1.0, zero_point=0)
    table = options(schema.Conv2DOptionsT(), padding=schema.Padding.VALID, strideH=1, strideW=1)
    options(table, dilationHFactor=1, dilationWFactor=1)
    zero = net.constant(np.zeros(1, np.int32), scales=1 / 256)
    distances = net.add_step("CONV_2D", [shares, weights, zero], net.tensor([1, cells, 4, 1], "int8", 15 / 255, -128), table, 3)
    near, far = net.split_evenly(net.reshape(distances, [1, cells, 4]), 2, 2)
    largest = float(np.max(grid[0]))
    stored = lambda values, most: net.constant(  # noqa: E731
        np.round(values / most * 255 - 128).astype(np.int8), scales=np.float32(most / 255), zero_point=-128
    )
    anchors = stored(np.concatenate(grid, 1), largest)
    place = net.tensor([1], "int8", (largest + 30) / 255, 0)
    low, high = net.binary("SUB", anchors, near, like=place), net.add(anchors, far, like=place)
    centre = net.mul(net.add(low, high, like=place), net.number(0.5), like=place)
    decoded = net.concat([centre, net.binary("SUB", high, low, like=place)], 2)
    decoded = net.mul(decoded, stored(np.concatenate(steps, 1), 16.0))
    return net.build(net.concat([decoded, net.requantize(scores, decoded)], 2))


def ssd_fpnlite():
    """A pyramid whose steps up are elements stacked beside themselves, and scores in float32."""
    net = Network("ssd_fpnlite", 17)
    stages = mobilenet_v2(net, net.input([1, 128, 128, 3]), 0.35)
    x, pyramid = net.conv(stages[6], 32, activation="NONE"), []
    pyramid.append(x)
    for stage in (stages[4], stages[2]):
        _, height, width, channels = x.shape
        for axis, shape in ((3, [1, height, width, 2, channels]), (2, [1, height, 2, width, 2, channels])):
            table = options(schema.PackOptionsT(), axis=axis, valuesCount=2)
            x = net.add_step("PACK", [x, x], net.like(x, shape), table, 2)
        x = net.reshape(x, [1, 2 * height, 2 * width, channels])
        x = net.add(x, net.conv(stage, 32, activation="NONE"))
        pyramid.append(net.conv(net.depthwise(x), 32))
    predict = lambda x, n, like: net.conv(net.depthwise(x), n, activation="NONE", like=like)  # noqa: E731
    boxes, scores = [], []
    for x in pyramid[::-1]:
        for made, width in ((boxes, 4), (scores, 10)):
            made.append(net.reshape(predict(x, 3 * width, made[0] if made else None), [1, -1, width]))
    scores = net.plain("LOGISTIC", net.dequantize(net.concat(scores, 1)))
    return net.build(*post_process(net, net.dequantize(net.concat(boxes, 1)), scores, 10, regular=False))


def blazeface():
    """Residuals whose channels are padded."""
    net = Network("blazeface", 15)
    x = net.conv(net.input([1, 64, 64, 3]), 24, 5, 2, "RELU")
    for channels, stride in ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1)):
        short = x if stride == 1 else net.pool("MAX_POOL_2D", x, 2, 2)
        if channels > x.shape[3]:
            short = net.pad(short, [[0, 0], [0, 0], [0, 0], [0, channels - x.shape[3]]])
        x = net.add(net.conv(net.depthwise(x, 5, stride, "NONE"), channels, activation="NONE"), short, activation="RELU")
    small = net.conv(net.depthwise(x, 5, 2, "NONE"), 96, activation="RELU")
    boxes = [net.reshape(net.conv(small, 6 * 16, activation="NONE"), [1, -1, 16])]
    boxes.insert(0, net.reshape(net.conv(x, 2 * 16, activation="NONE", like=boxes[0]), [1, -1, 16]))
    scores = [net.reshape(net.conv(small, 6, activation="NONE"), [1, -1, 1])]
    scores.insert(0, net.reshape(net.conv(x, 2, activation="NONE", like=scores[0]), [1, -1, 1]))
    return net.build(net.dequantize(net.concat(boxes, 1)), net.dequantize(net.concat(scores, 1)))


NETWORKS = [ssd_mobilenet_v1, ssdlite_mobilenet_v2, ssd_fpnlite, efficientdet_lite, yolo, yolo_v8, blazeface]
