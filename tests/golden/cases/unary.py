"""Functions of one quantised input."""

from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor

from . import case, centred, limits, log_uniform, options, pick, zero_point


def shape(rng):
    return [int(n) for n in rng.integers(1, 9, rng.integers(1, 4))]


def unary(rng, kind, fixed):
    """`kind` is the operator and the type; scales are those of a function whose values are about 1."""
    builtin, dtype = kind
    p = dict(shape=shape(rng), scale=log_uniform(rng, 0.004, 0.1) / (256 if dtype == "int16" else 1)) | fixed
    source = Tensor("input", p["shape"], dtype, p["scale"], zero_point(rng, dtype))
    result = Tensor("output", p["shape"], dtype, *OUTPUTS.get(builtin, rescaled)(rng, dtype, source))
    operator, more = Operator(builtin, 1), {}
    if builtin == "LEAKY_RELU":
        more = dict(alpha=float(pick(rng, [0.01, 0.1, 0.2, 0.3, 1.5])))
        operator.options = options(schema.LeakyReluOptionsT(), **more)
    if builtin == "GELU":
        more = dict(approximate=bool(rng.integers(2)))
        operator.options = options(schema.GeluOptionsT(), **more)
    if builtin in NOT_NEGATIVE and dtype != "int16":
        source.zero_point = limits(dtype)[0]
    quantisation = dict(zero_points=[source.zero_point, result.zero_point], output_scale=result.scales)
    drawn = case(rng, operator, [source], [result], **p, **more, **quantisation)
    if builtin in NOT_NEGATIVE and dtype == "int16":
        drawn.inputs[0] &= limits(dtype)[1]
    return drawn


NOT_NEGATIVE = ("SQRT", "RSQRT")


def logistic(rng, dtype, source):
    return (1 / 32768, 0) if dtype == "int16" else (1 / 256, limits(dtype)[0])


def tanh(rng, dtype, source):
    if dtype == "int16":
        return 1 / 32768, 0
    return pick(rng, [(1 / 128, sum(limits(dtype)) // 2 + 1), (log_uniform(rng, 0.004, 0.02), zero_point(rng, dtype))])


def rescaled(rng, dtype, source):
    scale = pick(rng, [source.scales, source.scales * 2 ** rng.uniform(-1, 1)])
    return scale, centred(rng, dtype, scale, 0.0)


def hard_swish(rng, dtype, source):
    """The kernel wants an output step of at least 1/128 of the input's."""
    scale = source.scales * 2 ** rng.uniform(-3, 1)
    return scale, centred(rng, dtype, scale, 64 * source.scales)


def exponential(rng, dtype, source):
    return log_uniform(rng, 0.01, 1.0) / (256 if dtype == "int16" else 1), zero_point(rng, dtype)


OUTPUTS = {
    "LOGISTIC": logistic,
    "TANH": tanh,
    "HARD_SWISH": hard_swish,
    "EXP": exponential,
    "LOG": exponential,
    "RSQRT": exponential,
}

BOTH = ["GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "TANH"]
SIGNED = ["ABS", "ELU", "EXP", "LOG", "RSQRT", "SQRT"]
WIDE = ["LEAKY_RELU", "LOGISTIC", "TANH", "ABS", "EXP", "GELU", "LOG", "RELU", "RELU6", "RSQRT", "SQRT"]
KINDS = [(b, "int8") for b in [*BOTH, *SIGNED]] + [(b, "uint8") for b in BOTH] + [(b, "int16") for b in WIDE]
