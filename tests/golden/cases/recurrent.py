"""Operators with a state, which the runs of a case hand on."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor, constant

from . import Case, RUNS, build, log_uniform, options, pick, probe, zero_point


def svdf(rng, dtype, fixed):
    p = dict(batch=pick(rng, [1, 1, 2, 3]), inputs=int(rng.integers(1, 20)), units=int(rng.integers(1, 12)))
    p |= dict(rank=int(rng.integers(1, 4)), memory=int(rng.integers(1, 9))) | fixed
    filters = p["units"] * p["rank"]
    source = Tensor("input", [p["batch"], p["inputs"]], "int8", log_uniform(rng, 0.01, 0.1), zero_point(rng, "int8"))
    feature = weights(rng, "feature", [filters, p["inputs"]], "int8", 0.01)
    time = weights(rng, "time", [filters, p["memory"]], "int16", 1e-4)
    state = Tensor("state", [p["batch"], p["memory"] * filters], "int16", 0.0, variable=True)
    state.scales = float(np.float32(source.scales * feature.scales * p["inputs"] ** 0.5 * 2 ** rng.uniform(-5, 1)))
    result = Tensor("output", [p["batch"], p["units"]], "int8", 0.0, zero_point(rng, "int8"))
    spread = 20000 * state.scales * time.scales * 20000 * (p["memory"] * p["rank"]) ** 0.5
    result.scales = float(np.float32(spread / 100 * 2 ** rng.uniform(-1, 1)))
    bias = constant("bias", rng.integers(-(1 << 20), 1 << 20, p["units"]).astype(np.int32), scales=state.scales * time.scales)
    table = options(schema.SVDFOptionsT(), rank=p["rank"], fusedActivationFunction=schema.ActivationFunctionType.RELU)
    inputs = [source, feature, time, bias if rng.random() < 0.7 else None, state]
    return Case(p, build(Operator("SVDF", 3, table), inputs, [result]), [probe(rng, source)])


def lstm(rng, dtype, fixed):
    p = dict(batch=pick(rng, [1, 1, 2, 3]), time=int(rng.integers(1, 8)), inputs=int(rng.integers(1, 14)))
    p |= dict(cells=int(rng.integers(1, 12)), time_major=bool(rng.integers(2)), clip=pick(rng, [0.0, 0.0, 0.5, 10.0]))
    p |= dict(cell=-int(rng.integers(9, 16))) | fixed
    steps = [p["time"], p["batch"]] if p["time_major"] else [p["batch"], p["time"]]
    source = Tensor("input", [*steps, p["inputs"]], "int8", log_uniform(rng, 0.005, 0.05), zero_point(rng, "int8"))
    scale, zero = log_uniform(rng, 0.004, 0.012), zero_point(rng, "int8")
    last = Tensor("last", [p["batch"], p["cells"]], "int8", scale, zero, variable=True)
    cell = Tensor("cell", [p["batch"], p["cells"]], "int16", 2.0 ** p["cell"], variable=True)
    of_input = [weights(rng, f"of_input{i}", [p["cells"], p["inputs"]], "int8", 0.01) for i in range(4)]
    of_last = [weights(rng, f"of_last{i}", [p["cells"], p["cells"]], "int8", 0.01) for i in range(4)]
    biases = [
        constant(f"bias{i}", rng.integers(-3000, 3001, p["cells"]).astype(np.int32), scales=source.scales * w.scales)
        for i, w in enumerate(of_input)
    ]
    result = Tensor("output", [*steps, p["cells"]], "int8", scale, zero)
    between = [Tensor(f"intermediate{i}", [], "int16", 2.0**-12) for i in range(4)] + [Tensor("hidden", [], "int8", scale, zero)]
    table = schema.UnidirectionalSequenceLSTMOptionsT()
    table.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options(table, cellClip=p["clip"], projClip=0.0, timeMajor=p["time_major"])
    inputs = [source, *of_input, *of_last, None, None, None, *biases, None, None, last, cell, None, None, None, None]
    operator = Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", 3, table, intermediates=tuple(between))
    return Case(p, build(operator, inputs, [result]), [probe(rng, source)])


def weights(rng, name, shape, dtype, scale):
    low = np.iinfo(dtype).min + 1
    return constant(name, rng.integers(low, -low + 1, shape).astype(dtype), scales=scale * 2 ** rng.uniform(-2, 1))
