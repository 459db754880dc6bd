"""Geometry of the operators that slide a window: CONV_2D, DEPTHWISE_CONV_2D and the pools."""

from ai_edge_litert import schema_py_generated as schema

from . import pick

PADDINGS = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}
ACTIVATIONS = {
    name: getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
}


def draw(rng, dilate):
    """Kernel, strides, dilations, padding, batch, and an input size that the window fits."""
    kernel = [int(rng.integers(1, 6)), int(rng.integers(1, 6))]
    stride = pick(rng, [[1, 1], [1, 1], [2, 2], [2, 2], [1, 2], [3, 2], [3, 3]])
    dilation = pick(rng, [[2, 2], [1, 3], [3, 2]]) if dilate and rng.random() < 0.25 else [1, 1]
    padding = pick(rng, ["SAME", "VALID"])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    smallest = reach if padding == "VALID" else [1, 1]
    size = [int(rng.integers(low, high + 7)) for low, high in zip(smallest, reach)]
    batch = pick(rng, [1, 1, 1, 2, 3])
    return dict(batch=batch, size=size, kernel=kernel, stride=stride, dilation=dilation, padding=padding)


def output_size(size, kernel, stride, dilation, padding, **_):
    """Rows and columns of the output, as TFLite computes them."""
    if padding == "SAME":
        return [-(-n // s) for n, s in zip(size, stride)]
    return [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation)]


def activation(rng):
    return pick(rng, ["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
