"""Reductions, searches, selections, casts, and functions of plain numbers."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from writer import Operator, Tensor, constant

from . import Case, RUNS, build, case, centred, log_uniform, middle, moved, options, pick, quantised, values, zero_point
from .layout import reduced
from .moves import sizes


def reduction(rng, kind, fixed):
    """REDUCE_MAX, REDUCE_MIN and SUM; the sum of 8-bit types is rescaled."""
    builtin, dtype = kind
    shape = sizes(rng, high=6)
    axes = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist()
    p = dict(shape=shape, axes=axes, keep_dims=bool(rng.integers(2)))
    scales = quantised(rng, dtype)
    source, result = Tensor("input", shape, dtype, **scales), Tensor("output", reduced(p), dtype, **scales)
    if builtin == "SUM" and scales:  # whose sums mostly are in range
        count = np.prod([shape[a] for a in axes])
        result.scales = source.scales * count**0.5 * 2 ** rng.uniform(-1, 1)
        result.zero_point = centred(rng, dtype, result.scales, middle(source) * count)
    operator = Operator(builtin, 1 if builtin == "SUM" else 2, options(schema.ReducerOptionsT(), keepDims=p["keep_dims"]))
    operands = [source, constant("axes", np.array(axes, np.int32))]
    return moved(rng, operator, operands, [result], **p, **scales)


def add_n(rng, dtype, fixed):
    """Zeros of both signs among the numbers."""
    shape = sizes(rng)
    inputs = [Tensor(f"input{i}", shape, dtype) for i in range(rng.integers(2, 6))]
    drawn = [values(rng, dtype, (RUNS, *shape)) for _ in inputs]
    if dtype == "float32":
        drawn = [np.where(rng.random(x.shape) < 0.7, x, np.float32(-0.0)) for x in drawn]
    model = build(Operator("ADD_N", 1, schema.AddNOptionsT()), inputs, [Tensor("output", shape, dtype)])
    return Case(dict(shape=shape, inputs=len(inputs)), model, drawn)


def search(rng, kind, fixed):
    """Few values, so that some are equal."""
    builtin, dtype = kind
    p = dict(shape=sizes(rng, high=7)) | fixed
    p |= dict(axis=int(rng.integers(-len(p["shape"]), len(p["shape"]))), output=pick(rng, ["int32", "int64"]))
    shape = [n for d, n in enumerate(p["shape"]) if d != p["axis"] % len(p["shape"])]
    kind_of = schema.TensorType.INT32 if p["output"] == "int32" else schema.TensorType.INT64
    table = schema.ArgMaxOptionsT() if builtin == "ARG_MAX" else schema.ArgMinOptionsT()
    table.outputType = kind_of
    inputs = [Tensor("input", p["shape"], dtype, **quantised(rng, dtype)), constant("axis", np.array([p["axis"]], np.int32))]
    model = build(Operator(builtin, 2, table), inputs, [Tensor("output", shape, p["output"])])
    few = rng.integers(0, 9, (RUNS, *p["shape"])) if dtype == "uint8" else rng.integers(-4, 5, (RUNS, *p["shape"]))
    return Case(p, model, [(few > 0 if dtype == "bool" else few).astype(dtype)])


def select(rng, dtype, fixed):
    """The three broadcast."""
    whole = sizes(rng)
    shapes = [[n if rng.random() < 0.7 else 1 for n in whole][int(rng.integers(len(whole))) :] for _ in "cab"]
    scales = quantised(rng, dtype)
    inputs = [Tensor("condition", shapes[0], "bool")]
    inputs += [Tensor(name, shape, dtype, **scales) for name, shape in zip("ab", shapes[1:])]
    result = Tensor("output", np.broadcast_shapes(*shapes), dtype, **scales)
    return moved(rng, Operator("SELECT_V2", 1, schema.SelectV2OptionsT()), inputs, [result], shapes=shapes, **scales)


def select_rows(rng, dtype, fixed):
    """SELECT: all of one shape, or a vector that selects rows."""
    shape = sizes(rng)
    condition = pick(rng, [shape, [shape[0]]])
    scales = quantised(rng, dtype)
    inputs = [Tensor("condition", condition, "bool")]
    inputs += [Tensor(name, shape, dtype, **scales) for name in "ab"]
    result = Tensor("output", shape, dtype, **scales)
    operator = Operator("SELECT", 2 if dtype == "int8" else 1, schema.SelectOptionsT())
    return moved(rng, operator, inputs, [result], shapes=[condition, shape], **scales)


def cast(rng, types, fixed):
    """Between types that hold the values, so that C defines the result."""
    source_type, result_type = types
    p = dict(shape=sizes(rng))
    source, result = Tensor("input", p["shape"], source_type), Tensor("output", p["shape"], result_type)
    drawn = values(rng, source_type, (RUNS, *p["shape"]))
    if source_type == "float32" and result_type in ("int8", "uint8"):
        drawn = np.abs(drawn)
    return Case(p, build(Operator("CAST", 1, schema.CastOptionsT()), [source], [result]), [drawn])


def number(rng, kind, fixed):
    """A function of one number without scales."""
    builtin, dtype = kind
    p = dict(shape=sizes(rng)) | (dict(alpha=pick(rng, [0.01, 0.2, -0.3, 1.5])) if builtin == "LEAKY_RELU" else {})
    source, result = Tensor("input", p["shape"], dtype), Tensor("output", p["shape"], dtype)
    drawn = values(rng, dtype, (RUNS, *p["shape"]))
    if dtype == "float32":
        halves = np.float32(0.5) * rng.integers(-9, 10, drawn.shape).astype(np.float32)
        drawn = np.where(rng.random(drawn.shape) < 0.5, drawn, halves).astype(np.float32)
    if builtin in ("LOG", "SQRT", "RSQRT"):
        drawn = np.abs(drawn) + np.float32(0.001)
    table = options(schema.LeakyReluOptionsT(), alpha=p["alpha"]) if builtin == "LEAKY_RELU" else None
    return Case(p, build(Operator(builtin, 1, table), [source], [result]), [drawn])


def float_rows(rng, builtin, fixed):
    """SOFTMAX or LOG_SOFTMAX without scales."""
    p = dict(shape=[int(n) for n in rng.integers(1, 6, rng.integers(0, 3))] + [int(rng.integers(1, 80))])
    source, result = Tensor("input", p["shape"], "float32"), Tensor("output", p["shape"], "float32")
    options = schema.LogSoftmaxOptionsT()
    if builtin == "SOFTMAX":
        options = schema.SoftmaxOptionsT()
        options.beta = p["beta"] = pick(rng, [1.0, 1.0, 0.5, 2.0])
    return moved(rng, Operator(builtin, 1, options), [source], [result], **p)


def l2_normalization(rng, dtype, fixed):
    p = dict(shape=sizes(rng, high=8))
    if dtype == "float32":  # some rows of zeros, and some that are nearly zero
        source, result = [Tensor(name, p["shape"], dtype) for name in ("input", "output")]
        factors = np.choose(rng.integers(0, 4, (RUNS, *p["shape"][:-1], 1)), [1.0, 1.0, 1e-8, 0.0]).astype(np.float32)
        drawn = values(rng, dtype, (RUNS, *p["shape"])) * factors
        return Case(p, build(Operator("L2_NORMALIZATION", 1, schema.L2NormOptionsT()), [source], [result]), [drawn])
    source = Tensor("input", p["shape"], dtype, log_uniform(rng, 0.01, 0.1), zero_point(rng, dtype))
    result = Tensor("output", p["shape"], dtype, 1 / 128, 0 if dtype == "int8" else 128)
    operator = Operator("L2_NORMALIZATION", 2 if dtype == "int8" else 1, schema.L2NormOptionsT())
    return case(rng, operator, [source], [result], **p, zero_point=source.zero_point)


def detection(rng, dtype, fixed):
    """Small boxes all over the picture, so that there are as many detections as may be: LiteRT leaves the rest open,
    but in the regular form."""
    dtype, regular = dtype.removeprefix("regular_"), dtype.startswith("regular_")
    boxes, classes, background = 80, int(rng.integers(1, 6)), int(rng.integers(2))
    p = dict(boxes=boxes, classes=classes, background=background, most=int(rng.integers(1, 11)))
    attributes = dict(
        max_detections=p["most"], max_classes_per_detection=1, num_classes=classes, use_regular_nms=regular,
        nms_score_threshold=0.0, nms_iou_threshold=float(np.float32(rng.uniform(0.3, 0.7))),
        y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0,
    )  # fmt: skip
    if regular:
        attributes |= dict(detections_per_class=int(rng.integers(1, 30)), nms_score_threshold=pick(rng, [0.0, 0.7, 0.97]))
    scales = [dict(scales=s, zero_point=z) if dtype == "uint8" else {} for s, z in ((0.05, 128), (1 / 256, 0), (1 / 256, 0))]
    shapes = [[1, boxes, 4], [1, boxes, classes + background], [boxes, 4]]
    inputs = [Tensor(n, s, dtype, **q) for n, s, q in zip(("boxes", "scores", "anchors"), shapes, scales)]
    anchors = np.concatenate([rng.uniform(0, 1, (boxes, 2)), rng.uniform(0.05, 0.15, (boxes, 2))], 1).astype(np.float32)
    inputs[2].data = np.round(anchors * 256).clip(0, 255).astype(np.uint8) if dtype == "uint8" else anchors
    outputs = [Tensor(f"output{i}", s, "float32") for i, s in enumerate(([1, p["most"], 4], [1, p["most"]], [1, p["most"]], [1]))]
    operator = Operator("CUSTOM", 1, bytes(flexbuffers.Dumps(attributes)), "TFLite_Detection_PostProcess")
    if dtype == "uint8":
        feed = [rng.integers(108, 148, (RUNS, *shapes[0])), rng.integers(0, 256, (RUNS, *shapes[1]))]
    else:
        feed = [rng.normal(0, 1, (RUNS, *shapes[0])), rng.uniform(0, 1, (RUNS, *shapes[1]))]
    return Case(p, build(operator, inputs, outputs), [x.astype(dtype) for x in feed])


REDUCTIONS = [("SUM", dtype) for dtype in ("int8", "uint8", "int16", "float32", "int32")] + [
    ("MEAN", dtype) for dtype in ("float32", "int32", "int64")
]
REDUCTIONS += [
    (builtin, dtype) for builtin in ("REDUCE_MAX", "REDUCE_MIN") for dtype in ("int8", "uint8", "int16", "float32", "int32")
]
SEARCHES = [(builtin, dtype) for builtin in ("ARG_MAX", "ARG_MIN") for dtype in ("int8", "uint8", "float32", "int32", "bool")]
NUMBERS = [(b, "float32") for b in "ABS CEIL FLOOR ROUND SQRT RSQRT NEG SQUARE RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1".split()]
NUMBERS += [("NEG", "int8"), ("NEG", "int16"), ("NEG", "int32"), ("NEG", "int64"), ("ABS", "int32")]
NUMBERS += [(b, "float32") for b in "EXP LOG LOGISTIC TANH ELU HARD_SWISH LEAKY_RELU".split()]
CASTS = [
    ("float32", "int32"), ("float32", "uint8"), ("float32", "int64"), ("int32", "float32"), ("int64", "float32"),
    ("int32", "int64"), ("int64", "int32"), ("bool", "float32"), ("int8", "int32"), ("uint8", "float32"), ("int32", "bool"),
]  # fmt: skip
