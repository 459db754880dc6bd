"""The cases: for each operator a function that draws one from a random generator."""

from dataclasses import dataclass, field

import numpy as np

from writer import build

RUNS = 4  # input sets of a case


@dataclass
class Case:
    """One model, what it was made from, and what to feed it."""

    parameters: dict
    model: bytes = field(repr=False)
    inputs: list = field(repr=False)  # one array for each input, of shape (RUNS, *shape)


def case(rng, operator, inputs, outputs, **parameters):
    """Builds the model and draws its inputs."""
    variable = [t for t in inputs if t is not None and t.data is None]
    return Case(parameters, build(operator, inputs, outputs), [probe(rng, t) for t in variable])


def limits(dtype):
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def log_uniform(rng, low, high):
    """A float32 between the two, so that the model holds it exactly."""
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def zero_point(rng, dtype):
    """Usually anything; often an end or the middle of the type, where sign errors show. int16 has none."""
    if dtype == "int16":
        return 0
    low, high = limits(dtype)
    special = [low, high, (low + high + 1) // 2]
    return int(rng.choice(special)) if rng.random() < 0.4 else int(rng.integers(low, high + 1))


def centred(rng, dtype, scale, middle):
    """Mostly the zero point that puts the real value `middle` amid the type, so that little saturates."""
    if rng.random() < 0.2 or dtype == "int16":
        return zero_point(rng, dtype)
    low, high = limits(dtype)
    return int(np.clip(rng.normal((low + high) / 2 - middle / scale, 20), low, high))


def middle(tensor):
    """Mean of the real values of a tensor whose stored values are uniform."""
    return (sum(limits(tensor.dtype)) / 2 - tensor.zero_point) * tensor.scales


def probe(rng, tensor):
    """Two uniform draws, one of extremes only, one constant at an end of the type."""
    low, high = limits(tensor.dtype)
    uniform = rng.integers(low, high + 1, (2, *tensor.shape))
    extremes = rng.choice([low, high, tensor.zero_point], (1, *tensor.shape))
    constant = np.full((1, *tensor.shape), rng.choice([low, high]))
    return np.concatenate([uniform, extremes, constant]).astype(tensor.dtype)


def values(rng, dtype, shape):
    """Anything that an element can hold; floats and wide integers of a moderate size."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype == "float32":
        return np.asarray(rng.normal(0, 10, shape)).astype(np.float32)
    low, high = limits(dtype) if np.dtype(dtype).itemsize < 4 else (-1000, 1000)
    return np.asarray(rng.integers(low, high + 1, shape)).astype(dtype)


def moved(rng, operator, inputs, outputs, **parameters):
    """A case whose inputs may be of any type."""
    variable = [t for t in inputs if t is not None and t.data is None]
    drawn = [values(rng, t.dtype, (RUNS, *t.shape)) for t in variable]
    return Case(parameters, build(operator, inputs, outputs), drawn)


def quantised(rng, dtype):
    """Scale and zero point for the types that have them; int16 is symmetric."""
    if dtype == "int16":
        return dict(scales=log_uniform(rng, 1e-4, 1e-3), zero_point=0)
    if dtype not in ("int8", "uint8"):
        return {}
    return dict(scales=log_uniform(rng, 0.01, 0.1), zero_point=zero_point(rng, dtype))


def options(table, **fields):
    """An object of the schema with these fields."""
    for name, value in fields.items():
        setattr(table, name, value)
    return table


def pick(rng, options):
    """One of a list of any things."""
    return options[int(rng.integers(len(options)))]
