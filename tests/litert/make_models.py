"""The models that the delegate is tested with, and what LiteRT computes for the real ones.

    make_models.py OUT FOLDER ...

Writes OUT/NAME.npz for each model in the folders that there are, in the format of the golden vectors, and OUT/*.tflite: small
models whose operators can't all be placed, or whose shapes change. Runs in the Python of
tests/golden/requirements.txt.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "golden"))

from cases import glue  # noqa: E402
from writer import Operator, Tensor, build_graph, constant  # noqa: E402

RUNS = 3


def activation(name, shape, scale=0.5):
    return Tensor(name, shape, np.int8, scales=scale)


def add():
    return Operator("ADD", version=2, options=schema.AddOptionsT())


def islands():
    """A sine between two sums: no APU has that one, so there are two parts."""
    x, sum_1, real, sine, again, sum_2 = (
        activation("x", (1, 8)),
        activation("sum_1", (1, 8)),
        Tensor("real", (1, 8), np.float32),
        Tensor("sine", (1, 8), np.float32),
        activation("again", (1, 8), 1 / 128),
        activation("sum_2", (1, 8), 1 / 64),
    )
    bias = constant("bias", np.arange(-4, 4, dtype=np.int8).reshape(1, 8), scales=0.5)
    steps = [
        (add(), [x, bias], [sum_1]),
        (Operator("DEQUANTIZE", version=2), [sum_1], [real]),
        (Operator("SIN"), [real], [sine]),
        (Operator("QUANTIZE"), [sine], [again]),
        (add(), [again, again], [sum_2]),
    ]
    return build_graph(steps, [x], [sum_2])


def nothing():
    """Only what no APU has."""
    x, sine = Tensor("x", (1, 8), np.float32), Tensor("sine", (1, 8), np.float32)
    return build_graph([(Operator("SIN"), [x], [sine])], [x], [sine])


def open_shape():
    """A shape that is an input, and a sum of what gets that shape."""
    x, shape = activation("x", (2, 4)), Tensor("shape", (2,), np.int32)
    shaped, total = activation("shaped", (1, 1)), activation("total", (1, 1))
    shaped.open_dimensions = total.open_dimensions = 2
    steps = [(Operator("RESHAPE"), [x, shape], [shaped]), (add(), [shaped, shaped], [total])]
    return build_graph(steps, [x, shape], [total])


def computed_shape():
    """A shape computed from the input's: runtimes know it during the run alone."""
    x, size, turned = activation("x", (2, 4)), Tensor("size", (2,), np.int32), Tensor("turned", (2,), np.int32)
    axis = constant("axis", np.array([0], np.int32))
    shaped = activation("shaped", (4, 2))
    options = schema.ShapeOptionsT()
    options.outType = schema.TensorType.INT32
    steps = [
        (Operator("SHAPE", options=options), [x], [size]),
        (Operator("REVERSE_V2"), [size, axis], [turned]),
        (Operator("RESHAPE"), [x, turned], [shaped]),
    ]
    return build_graph(steps, [x], [shaped])


def shape_from_elsewhere():
    """A shape that one part computes and another needs, on either side of a sine."""
    x, real, sine = activation("x", (2, 4)), Tensor("real", (2, 4), np.float32), Tensor("sine", (2, 4), np.float32)
    size, turned = Tensor("size", (2,), np.int32), Tensor("turned", (2,), np.int32)
    again, shaped = activation("again", (2, 4), 1 / 128), activation("shaped", (4, 2), 1 / 128)
    axis = constant("axis", np.array([0], np.int32))
    options = schema.ShapeOptionsT()
    options.outType = schema.TensorType.INT32
    steps = [
        (Operator("SHAPE", options=options), [x], [size]),
        (Operator("REVERSE_V2"), [size, axis], [turned]),
        (Operator("DEQUANTIZE", version=2), [x], [real]),
        (Operator("SIN"), [real], [sine]),
        (Operator("QUANTIZE"), [sine], [again]),
        (Operator("RESHAPE"), [again, turned], [shaped]),
    ]
    return build_graph(steps, [x], [shaped])


def two_sums():
    """Two sums in a row of one picture, or of more after a resize."""
    x, once, twice = (activation(name, (1, 4, 4, 2)) for name in ("x", "once", "twice"))
    return build_graph([(add(), [x, x], [once]), (add(), [once, x], [twice])], [x], [twice])


def remembering():
    """An LSTM, a sine, an SVDF, whose states are kept from run to run, and a slice that says how long it is."""
    rng = np.random.default_rng(0)

    def weights(name, shape, dtype, scale):
        low = np.iinfo(dtype).min + 1
        return constant(name, rng.integers(low, -low + 1, shape).astype(dtype), scales=scale)

    x, heard = activation("x", (2, 3, 5), 0.02), Tensor("heard", (2, 3, 4), np.int8, scales=1 / 128, zero_point=7)
    of_input = [weights(f"of_input_{i}", (4, 5), np.int8, 0.01) for i in range(4)]
    of_last = [weights(f"of_last_{i}", (4, 4), np.int8, 0.01) for i in range(4)]
    biases = [constant(f"bias_{i}", rng.integers(-999, 999, 4).astype(np.int32), scales=2e-4) for i in range(4)]
    last = Tensor("last", (2, 4), np.int8, scales=1 / 128, zero_point=7, variable=True)
    cell = Tensor("cell", (2, 4), np.int16, scales=2.0**-11, variable=True)
    between = [Tensor(f"between_{i}", (), np.int16, scales=2.0**-12) for i in range(4)]
    hidden = Tensor("hidden", (), np.int8, scales=1 / 128, zero_point=7)
    lstm = schema.UnidirectionalSequenceLSTMOptionsT()
    lstm.fusedActivationFunction = schema.ActivationFunctionType.TANH
    lstm_inputs = [x, *of_input, *of_last, *[None] * 3, *biases, *[None] * 2, last, cell, *[None] * 4]

    first, real, sine = activation("first", (2, 4)), Tensor("real", (2, 4), np.float32), Tensor("sine", (2, 4), np.float32)
    first.scales, first.zero_point = heard.scales, heard.zero_point
    cut = schema.StridedSliceOptionsT()
    cut.shrinkAxisMask, cut.offset = 2, True
    begin, size, step = (constant(n, np.array(v, np.int32)) for n, v in dict(begin=[0, 1, 0], size=[2, 1, 4], step=[1] * 3).items())

    again, answer = activation("again", (2, 4), 1 / 128), activation("answer", (2, 3), 0.05)
    memory = Tensor("memory", (2, 6 * 4), np.int16, scales=2e-4, variable=True)
    svdf = schema.SVDFOptionsT()
    svdf.rank, svdf.fusedActivationFunction = 2, schema.ActivationFunctionType.RELU
    filters, ages = weights("filters", (6, 4), np.int8, 0.01), weights("ages", (6, 4), np.int16, 1e-4)
    steps = [
        (Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", 3, lstm, intermediates=(*between, hidden)), lstm_inputs, [heard]),
        (Operator("STRIDED_SLICE", 8, cut), [heard, begin, size, step], [first]),
        (Operator("DEQUANTIZE", version=2), [first], [real]),
        (Operator("SIN"), [real], [sine]),
        (Operator("QUANTIZE"), [sine], [again]),
        (Operator("SVDF", 3, svdf), [again, filters, ages, None, memory], [answer]),
    ]
    return build_graph(steps, [x], [heard, answer])


def detection():
    """The custom operator behind detection networks, in the form that leaves nothing in its outputs open."""
    return glue.detection(np.random.default_rng(0), "regular_uint8", {}).model


def slow():
    """Enough work that a device needs more than a millisecond for it."""
    rng = np.random.default_rng(0)
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    images = [activation(f"image_{i}", (1, 96, 96, 64)) for i in range(5)]
    steps = []
    for i, (read, made) in enumerate(zip(images, images[1:])):
        data = rng.integers(-127, 128, (64, 3, 3, 64), np.int8)
        weights = constant(f"weights_{i}", data, scales=[0.01] * 64)
        bias = constant(f"bias_{i}", np.zeros(64, np.int32), scales=[0.005] * 64)
        steps.append((Operator("CONV_2D", version=3, options=options), [read, weights, bias], [made]))
    return build_graph(steps, images[:1], images[-1:])


def main():
    out, *folders = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    (out / "detection.tflite").write_bytes(detection())
    for made in (islands, nothing, open_shape, computed_shape, shape_from_elsewhere, two_sums, remembering, slow):
        (out / f"{made.__name__}.tflite").write_bytes(made())
    for folder in folders:
        if not folder.is_dir():
            print(f"skipped: LiteRT's answers to the models in {folder}: there is no such folder")
    models = sorted(model for folder in folders for model in folder.glob("*.tflite"))
    for model in [*models, out / "detection.tflite"]:
        archive = out / f"{model.stem}.npz"
        command = [sys.executable, TESTS / "suite/litert.py", model, archive, "--runs", str(RUNS)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
