"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor

from . import case, log_uniform, moved, zero_point
from .convolution import fit
from .windows import ACTIVATIONS, PADDINGS, activation, draw, output_size

POOL_2D = [
    dict(kernel=[2, 2], stride=[2, 2], size=[8, 8], channels=32, padding="VALID", batch=1),
    dict(kernel=[7, 7], stride=[1, 1], size=[7, 7], channels=17, padding="VALID", batch=1),
    dict(kernel=[3, 3], stride=[1, 1], size=[3, 4], channels=3, padding="SAME", batch=1),
    dict(kernel=[3, 3], stride=[2, 2], size=[9, 9], channels=16, padding="SAME", batch=2),
    dict(kernel=[25, 5], stride=[25, 5], size=[25, 5], channels=4, padding="VALID", batch=1),
    dict(kernel=[5, 5], stride=[1, 1], size=[2, 2], channels=20, padding="SAME", batch=1),
    dict(channels=1),
]


def average_pool_2d(rng, dtype, fixed):
    return pool_2d(rng, "AVERAGE_POOL_2D", dtype, fixed)


def max_pool_2d(rng, dtype, fixed):
    return pool_2d(rng, "MAX_POOL_2D", dtype, fixed)


def pool_2d(rng, builtin, dtype, fixed):
    """Input and output share one quantisation, as the specification of these operators demands."""
    p = fit(draw(rng, dilate=False) | dict(channels=int(rng.integers(1, 40))) | fixed)
    quantisation = (log_uniform(rng, 0.01, 0.1), zero_point(rng, dtype)) if dtype != "float32" else ()
    if dtype == "int16":
        quantisation = (quantisation[0] / 256, 0)
    source = Tensor("input", [p["batch"], *p["size"], p["channels"]], dtype, *quantisation)
    result = Tensor("output", [p["batch"], *output_size(**p), p["channels"]], dtype, *quantisation)
    fused = activation(rng)
    options = schema.Pool2DOptionsT()
    options.padding = PADDINGS[p["padding"]]
    options.filterHeight, options.filterWidth = p["kernel"]
    options.strideH, options.strideW = p["stride"]
    options.fusedActivationFunction = ACTIVATIONS[fused]
    operator = Operator(builtin, dict(float32=1, uint8=1, int8=2, int16=3)[dtype], options)
    if dtype == "float32":
        return moved(rng, operator, [source], [result], **p, activation=fused)
    return case(rng, operator, [source], [result], **p, activation=fused, quantisation=quantisation)
