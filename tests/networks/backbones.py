"""The feature extractors that several networks have in common. Each returns the tensors of its stages."""


def wide(channels, factor):
    """A number of channels times a factor, in eights as the original networks round it."""
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * factor else rounded


def mobilenet_v1(net, x, factor, output_stride=32):
    """Depthwise convolutions, and 1x1 ones between them."""
    x = net.conv(x, wide(32, factor), 3, 2)
    stages, stride, dilation = [], 2, 1
    layers = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for channels, step in layers:
        if step == 2 and stride == output_stride:
            step, dilation = 1, dilation * 2
        stride *= step
        x = net.conv(net.depthwise(x, 3, step, dilation=dilation if step == 1 else 1), wide(channels, factor))
        stages.append(x)
    return stages


def inverted_residual(net, x, channels, stride, expand, kernel=3, dilation=1):
    """Wide within, narrow at both ends, which are added."""
    hidden = net.conv(x, x.shape[3] * expand) if expand > 1 else x
    hidden = net.depthwise(hidden, kernel, stride, dilation=dilation)
    made = net.conv(hidden, channels, activation="NONE")
    return net.add(x, made) if stride == 1 and x.shape[3] == channels else made


def mobilenet_v2(net, x, factor, output_stride=32, last=None):
    x = net.conv(x, wide(32, factor), 3, 2)
    stages, stride, dilation = [], 2, 1
    blocks = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, channels, repeats, step in blocks:
        for number in range(repeats):
            first = step if number == 0 else 1
            if first == 2 and stride == output_stride:
                first, dilation = 1, dilation * 2
            stride *= first
            x = inverted_residual(net, x, wide(channels, factor), first, expand, dilation=dilation if first == 1 else 1)
        stages.append(x)
    return [*stages, net.conv(x, last)] if last else stages


def efficientnet_lite(net, x, factor):
    x = net.conv(x, wide(32, factor), 3, 2)
    stages = []
    blocks = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    for expand, channels, repeats, step, kernel in blocks:
        for number in range(repeats):
            x = inverted_residual(net, x, wide(channels, factor), step if number == 0 else 1, expand, kernel)
        stages.append(x)
    return stages
