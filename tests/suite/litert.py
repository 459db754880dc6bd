"""What LiteRT computes for a whole model, as an archive in the format of the golden vectors.

Kernels: the plain ones (`BUILTIN_REF`), but for int8 FULLY_CONNECTED and SUM the optimised ones, because the
plain kernel of the first requantises in float, and that of the second takes int8 for uint8. Where a model has both, it is cut into stages and
each runs in an interpreter of its own.

    litert.py MODEL OUT.npz [--runs 10] [--seed 0] [--picture FILE ...]

Inputs are uniform random bytes for `--runs` runs, then each picture scaled to the model's input.
"""

import argparse
from itertools import groupby
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from PIL import Image

PLAIN = OpResolverType.BUILTIN_REF
OPTIMISED = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


class Stage:
    """Consecutive operators that take the same kernels."""

    def __init__(self, model, operators, kernels):
        graph = model.subgraphs[0]
        made = {t for op in operators for t in op.outputs}
        read = {t for op in operators for t in op.inputs if t >= 0}
        later = graph.operators[graph.operators.index(operators[-1]) + 1 :]
        wanted = {t for op in later for t in op.inputs} | set(graph.outputs)
        self.inputs = [t for t in sorted(read - made) if not is_constant(model, graph.tensors[t])]
        self.outputs = [t for t in sorted(made & wanted)]
        self.interpreter = Interpreter(
            model_content=pack(model, operators, self.inputs, self.outputs), experimental_op_resolver_type=kernels
        )
        self.interpreter.allocate_tensors()

    def run(self, tensors):
        """Adds this stage's outputs to `tensors`, which are named by their index in the model."""
        for index, detail in zip(self.inputs, self.interpreter.get_input_details(), strict=True):
            self.interpreter.set_tensor(detail["index"], tensors[index])
        self.interpreter.invoke()
        for index, detail in zip(self.outputs, self.interpreter.get_output_details(), strict=True):
            tensors[index] = self.interpreter.get_tensor(detail["index"])


def is_constant(model, tensor):
    return model.buffers[tensor.buffer].data is not None and len(model.buffers[tensor.buffer].data) > 0


def pack(model, operators, inputs, outputs):
    """A model of these operators alone, with the tensors and buffers of the whole."""
    whole = model.subgraphs[0]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = whole.tensors, operators, inputs, outputs
    part = schema.ModelT()
    part.version, part.operatorCodes, part.buffers = model.version, model.operatorCodes, model.buffers
    part.subgraphs = [graph]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(part.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kernels(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    dtype = model.subgraphs[0].tensors[operator.inputs[0]].type
    optimised = builtin in (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.SUM)
    return OPTIMISED if optimised and dtype == schema.TensorType.INT8 else PLAIN


def stages(model):
    operators = model.subgraphs[0].operators
    return [Stage(model, list(run), kind) for kind, run in groupby(operators, lambda op: kernels(model, op))]


def random_input(rng, detail):
    low, high = np.iinfo(detail["dtype"]).min, np.iinfo(detail["dtype"]).max
    return rng.integers(low, high + 1, detail["shape"]).astype(detail["dtype"])


def picture_input(path, detail):
    """A picture as the model takes it: int8 models take pixel - 128."""
    _, height, width, _ = detail["shape"]
    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    signed = detail["dtype"] == np.int8
    return (pixels.astype(np.int16) - (128 if signed else 0)).astype(detail["dtype"])[np.newaxis]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()

    content = arguments.model.read_bytes()
    details = Interpreter(model_content=content, experimental_op_resolver_type=PLAIN).get_input_details()
    rng = np.random.default_rng(arguments.seed)
    runs = [[random_input(rng, d) for d in details] for _ in range(arguments.runs)]
    runs += [[picture_input(path, details[0])] for path in arguments.picture]

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, parts = model.subgraphs[0], stages(model)
    results = []
    for inputs in runs:
        tensors = dict(zip(graph.inputs, inputs, strict=True))
        for part in parts:
            part.run(tensors)
        results.append([tensors[t] for t in graph.outputs])

    entries = {f"live/00/input_{i}": np.stack(values) for i, values in enumerate(zip(*runs))}
    entries |= {f"live/00/output_{i}": np.stack(values) for i, values in enumerate(zip(*results))}
    entries["live/00/model"] = np.frombuffer(content, np.uint8)
    entries["live/00/parameters"] = np.frombuffer(f'"{len(parts)} stages"'.encode(), np.uint8)
    np.savez(arguments.out, **entries)


if __name__ == "__main__":
    main()
