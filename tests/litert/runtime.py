"""The runtime that this Python has, whatever it is called."""

from importlib.metadata import version
from importlib.util import find_spec

if find_spec("ai_edge_litert"):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

    NAME = "ai-edge-litert " + version("ai-edge-litert")
else:
    from tflite_runtime.interpreter import Interpreter, OpResolverType, load_delegate

    NAME = "tflite-runtime " + version("tflite-runtime")

__all__ = ["NAME", "Interpreter", "OpResolverType", "interpreter", "load_delegate", "run"]


def interpreter(model, *delegates, **options):
    """An interpreter that is ready to run; `model` is a path."""
    made = Interpreter(str(model), experimental_delegates=list(delegates), **options)
    made.allocate_tensors()
    return made


def run(interpreter, inputs):
    """The outputs for these inputs, in the model's order."""
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
