"""BATCH_MATMUL."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor

from . import case, centred, log_uniform, options, zero_point


def batch_matmul(rng, dtype, fixed):
    """Batch dimensions broadcast; either factor may be stored transposed."""
    batch = [int(n) for n in rng.integers(1, 4, rng.integers(0, 3))]
    m, k, n = [int(n) for n in rng.integers(1, 13, 3)]
    p = dict(batch=batch, size=[m, k, n], adj=[bool(rng.integers(2)) for _ in "xy"]) | fixed
    sides = [[m, k][:: -1 if p["adj"][0] else 1], [k, n][:: -1 if p["adj"][1] else 1]]
    batches = [[size if rng.random() < 0.7 else 1 for size in batch] for _ in "xy"]
    least, largest, spread = (0.01, 0.1, 100) if dtype == "int8" else (1e-4, 1e-3, 8000)
    dtype, second = dtype.removesuffix("_by_int8"), "int8" if dtype.endswith("int8") else dtype
    a, b = [
        Tensor(name, [*outer, *side], kind, log_uniform(rng, least, largest), zero_point(rng, kind))
        for name, outer, side, kind in zip("ab", batches, sides, (dtype, second))
    ]
    if rng.random() < 0.4 or second != dtype:  # which XNNPACK wants
        b.zero_point = 0
    shape = [*np.broadcast_shapes(*[tuple(outer) for outer in batches]), m, n]
    scale = float(np.float32(a.scales * b.scales * spread * k**0.5))
    result = Tensor("output", shape, dtype, scale, centred(rng, dtype, scale, 0.0))
    table = options(schema.BatchMatMulOptionsT(), adjX=p["adj"][0], adjY=p["adj"][1])
    zero_points = [t.zero_point for t in (a, b, result)]
    return case(rng, Operator("BATCH_MATMUL", 2, table), [a, b], [result], **p, zero_points=zero_points)
