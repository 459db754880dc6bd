"""One runtime with one model, timed at another program's word.

    contender.py RUNTIME MODEL

The first line that it writes is JSON: the runtime's `version`, or why it is `absent`. Then, for each
number that it reads, it runs as many inferences, one after the other and on one thread, and writes
their times in nanoseconds as a JSON array.
"""

import argparse
import json
import sys
from importlib.metadata import version
from time import perf_counter_ns

import numpy as np


class Absent(Exception):
    """Why a runtime can't take the model."""


def random_input(shape, dtype):
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        return rng.integers(low, high, shape, dtype, endpoint=True)
    return rng.random(shape, np.float32).astype(dtype)


def litert(model, resolver):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(model), num_threads=1, experimental_op_resolver_type=getattr(OpResolverType, resolver)
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], random_input(detail["shape"], detail["dtype"]))
    return interpreter.invoke


def litert_xnnpack(model):
    """LiteRT as it comes: XNNPACK where it can."""
    return litert(model, "BUILTIN")


def litert_plain(model):
    """LiteRT's own optimised kernels, without XNNPACK."""
    return litert(model, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def openvino(model):
    import openvino

    core = openvino.Core()
    try:
        read = core.read_model(model)
        read.reshape({port: [1 if size.is_dynamic else size for size in port.partial_shape] for port in read.inputs})
        compiled = core.compile_model(read, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
    except RuntimeError as error:
        raise Absent(f"it refuses the model: {str(error).splitlines()[0]}") from error
    request = compiled.create_infer_request()
    for index, port in enumerate(compiled.inputs):
        tensor = random_input(list(port.shape), port.element_type.to_dtype())
        request.set_input_tensor(index, openvino.Tensor(tensor))
    return request.infer


def onnxruntime(model):
    raise Absent("it reads no .tflite")


RUNTIMES = {
    "litert-xnnpack": (litert_xnnpack, "ai-edge-litert"),
    "litert-plain": (litert_plain, "ai-edge-litert"),
    "openvino": (openvino, "openvino"),
    "onnxruntime": (onnxruntime, "onnxruntime"),
}


def timed(infer):
    start = perf_counter_ns()
    infer()
    return perf_counter_ns() - start


def say(value):
    print(json.dumps(value), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("model")
    arguments = parser.parse_args()
    load, package = RUNTIMES[arguments.runtime]
    try:
        infer = load(arguments.model)
    except Absent as reason:
        say({"absent": str(reason)})
        return
    say({"version": version(package)})
    for line in sys.stdin:
        say([timed(infer) for _ in range(int(line))])


if __name__ == "__main__":
    main()
