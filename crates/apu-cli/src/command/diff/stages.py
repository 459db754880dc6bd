"""Every tensor that LiteRT computes on the way through a model.

    stages.py MODEL FOLDER [NUMERICS]

Reads the inputs as raw bytes from `input_0`, `input_1` ... in FOLDER, writes what each operator computes
to `tensors` there, and one JSON object to standard output that says where in it each tensor lies, by its
index in the model.

Kernels for `tflite`: the plain ones (`BUILTIN_REF`), but for FULLY_CONNECTED of int8 and SUM of int8 and int16 the
optimised ones, because the plain kernel of the first requantises in float, and that of the second takes them for uint8.
Where a model has both, it is cut into stages and each runs in an interpreter of its own, which has its own variables. For
`xnnpack`: what LiteRT takes by default.

Where LiteRT refuses the model, what it says is the only line on standard error, and the exit code 3.
"""

import json
import sys
from itertools import groupby
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

PLAIN = OpResolverType.BUILTIN_REF
DEFAULT = OpResolverType.AUTO  # XNNPACK, where it takes an operator
OPTIMISED = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
REFUSED = 3  # the exit code
# Kinds and types whose plain kernels aren't what the program format means by TFLite's arithmetic.
UNSOUND = {
    (schema.BuiltinOperator.FULLY_CONNECTED, schema.TensorType.INT8),
    (schema.BuiltinOperator.SUM, schema.TensorType.INT8),
    (schema.BuiltinOperator.SUM, schema.TensorType.INT16),
}
# What makes variables known, and computes nothing.
DECLARING = {schema.BuiltinOperator.CALL_ONCE, schema.BuiltinOperator.VAR_HANDLE}
PLAIN_KNOWN = {}  # whether there is a plain kernel, by kind of operator


class Stage:
    """Consecutive operators that take the same kernels."""

    def __init__(self, model, operators, kernels, every=False):
        graph = model.subgraphs[0]
        made = {t for op in operators for t in op.outputs}
        read = {t for op in operators for t in op.inputs if t >= 0}
        later = graph.operators[graph.operators.index(operators[-1]) + 1 :]
        wanted = {t for op in later for t in op.inputs} | set(graph.outputs)
        declared = declarations(model, read)
        handles = {t for op in declared for t in op.outputs}
        self.inputs = [t for t in sorted(read - made - handles) if is_fed(model, graph.tensors[t])]
        # XNNPACK keeps what is between its operators to itself, unless the model's outputs are all that there is.
        self.outputs = sorted(made) if every and kernels == DEFAULT else sorted(made & wanted)
        self.made = self.outputs if kernels == DEFAULT else sorted(made)
        self.interpreter = Interpreter(
            model_content=pack(model, [*declared, *operators], self.inputs, self.outputs),
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=kernels != DEFAULT,
        )
        self.interpreter.allocate_tensors()

    def run(self, tensors):
        """Adds what this stage computes to `tensors`, which are named by their index in the model."""
        for index, detail in zip(self.inputs, self.interpreter.get_input_details(), strict=True):
            self.interpreter.set_tensor(detail["index"], tensors[index])
        self.interpreter.invoke()
        for index in self.made:
            tensors[index] = self.interpreter.get_tensor(index)


def declarations(model, read):
    """The operators without which these tensors are handles of no variables."""
    operators = [op for op in model.subgraphs[0].operators if builtin(model, op) in DECLARING]
    handles = [op for op in operators if any(t in read for t in op.outputs)]
    return [op for op in operators if len(op.outputs) == 0 or op in handles] if handles else []


def is_fed(model, tensor):
    """Whether a tensor that no operator makes comes from without; states and constants don't."""
    data = model.buffers[tensor.buffer].data
    return not tensor.isVariable and (data is None or len(data) == 0)


def pack(model, operators, inputs, outputs):
    """A model of these operators alone, with the tensors and buffers of the whole."""
    whole = model.subgraphs[0]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = whole.tensors, operators, inputs, outputs
    part = schema.ModelT()
    part.version, part.buffers = model.version, model.buffers
    others = model.subgraphs[1:] if any(builtin(model, op) in DECLARING for op in operators) else []
    used = {op.opcodeIndex for op in [*operators, *(op for other in others for op in other.operators)]}
    known = model.operatorCodes[min(used)]  # LiteRT wants kernels for all codes, used or not
    part.operatorCodes = [code if index in used else known for index, code in enumerate(model.operatorCodes)]
    part.subgraphs = [graph, *others]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(part.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def builtin(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def kernels(model, operator):
    kind = builtin(model, operator)
    dtype = model.subgraphs[0].tensors[operator.inputs[0]].type
    if (kind, dtype) in UNSOUND:
        return OPTIMISED
    if kind not in PLAIN_KNOWN:
        PLAIN_KNOWN[kind] = has_plain(model, operator)
    return PLAIN if PLAIN_KNOWN[kind] else OPTIMISED


def has_plain(model, operator):
    """Whether there is a plain kernel: some, as CEIL, have one kernel that isn't among those."""
    try:
        Interpreter(
            model_content=pack(model, [operator], [], list(operator.outputs)),
            experimental_op_resolver_type=PLAIN,
        )
    except (RuntimeError, ValueError) as error:
        return "Registration failed" not in str(error)
    return True


def stages(model, numerics="tflite", every=False):
    """The parts of a model. With `every` one gets every tensor on the way, with XNNPACK as well."""
    operators = [op for op in model.subgraphs[0].operators if builtin(model, op) not in DECLARING]
    if numerics == "xnnpack":
        return [Stage(model, operators, DEFAULT, every)]
    return [Stage(model, list(run), kind) for kind, run in groupby(operators, lambda op: kernels(model, op))]


def main():
    path, folder = map(Path, sys.argv[1:3])
    content = path.read_bytes()
    try:
        places = computed(content, folder)
    except (RuntimeError, ValueError) as error:  # which is what the interpreter raises
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(REFUSED)
    json.dump(places, sys.stdout)


def computed(content, folder):
    """Writes the tensors, and returns where each is."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    details = Interpreter(model_content=content, experimental_op_resolver_type=OPTIMISED).get_input_details()
    tensors = {}
    for number, (index, detail) in enumerate(zip(model.subgraphs[0].inputs, details, strict=True)):
        tensors[index] = np.fromfile(folder / f"input_{number}", detail["dtype"]).reshape(detail["shape"])
    given = len(tensors)
    for stage in stages(model, *sys.argv[3:], every=True):
        stage.run(tensors)
    places = []
    with (folder / "tensors").open("wb") as out:
        for index, values in list(tensors.items())[given:]:
            content = values.tobytes()
            places.append({"tensor": int(index), "start": out.tell(), "size": len(content)})
            out.write(content)
    return places


if __name__ == "__main__":
    main()
