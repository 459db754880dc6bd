""".tflite models, written as flatbuffers without any converter."""

from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.bool_): schema.TensorType.BOOL,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.void): schema.TensorType.RESOURCE,
}


@dataclass(eq=False)
class Tensor:
    """A tensor of the model. `scales` is None, one number, or one a channel along `axis`. The file leaves the
    first `open_dimensions` of the shape open."""

    name: str
    shape: tuple
    dtype: type
    scales: object = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray = None
    variable: bool = False
    open_dimensions: int = 0

    def quantization(self):
        if self.scales is None:
            return None
        scales = np.atleast_1d(np.asarray(self.scales, np.float32))
        result = schema.QuantizationParametersT()
        result.scale = scales.tolist()
        result.zeroPoint = [int(self.zero_point)] * len(scales)
        result.quantizedDimension = self.axis
        return result

    def table(self, buffer):
        result = schema.TensorT()
        result.name = self.name
        result.shape = [int(n) for n in self.shape]
        result.type = TYPES[np.dtype(self.dtype)]
        result.quantization = self.quantization()
        result.buffer = buffer
        result.isVariable = self.variable
        if self.open_dimensions:
            result.shapeSignature = [-1 if i < self.open_dimensions else n for i, n in enumerate(result.shape)]
        return result


def constant(name, data, **quantization):
    """A tensor whose contents are part of the model."""
    return Tensor(name, data.shape, data.dtype, data=data, **quantization)


@dataclass
class Operator:
    """What the operator is; `options` is an object of the schema or None, or a flexbuffer for a custom operator."""

    builtin: str
    version: int = 1
    options: object = None
    custom: str = None
    intermediates: tuple = ()


def build(operator, inputs, outputs):
    """Bytes of a model with one operator. `None` among the inputs stands for an omitted one."""
    given = [t for t in inputs if t is not None and t.data is None and not t.variable]
    return build_graph([(operator, inputs, outputs)], given, outputs, "one operator")


def build_graph(steps, inputs, outputs, description="several operators", once=()):
    """Bytes of a model. A step is an operator, its inputs and its outputs; those of `once` are in a subgraph that a
    CALL_ONCE before the others names."""
    model = schema.ModelT()
    model.version, model.description = 3, description
    model.operatorCodes, model.buffers = [], [schema.BufferT()]
    if once:
        call = schema.CallOnceOptionsT()
        call.initSubgraphIndex = 1
        steps = [(Operator("CALL_ONCE", options=call), [], []), *steps]
    model.subgraphs = [_subgraph(model, steps, inputs, outputs)] + ([_subgraph(model, once, [], [])] if once else [])
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _subgraph(model, steps, inputs, outputs):
    graph = schema.SubGraphT()
    operands = [t for op, read, made in steps for t in (*read, *made, *op.intermediates) if t is not None]
    tensors = list(dict.fromkeys(operands))
    index = {t: i for i, t in enumerate(tensors)} | {None: -1}
    graph.tensors = [t.table(_buffer(model, t.data)) for t in tensors]
    graph.operators = [_operator(model, index, *step) for step in steps]
    graph.inputs, graph.outputs = [index[t] for t in inputs], [index[t] for t in outputs]
    return graph


def _code(model, operator):
    """Index of the operator's kind, which several have in common."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator.builtin)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = operator.version
    code.customCode = operator.custom
    same = [i for i, known in enumerate(model.operatorCodes) if vars(known) == vars(code)]
    model.operatorCodes += [] if same else [code]
    return same[0] if same else len(model.operatorCodes) - 1


def _buffer(model, data):
    """Index of a new buffer with `data`; 0 is the schema's empty one."""
    if data is None:
        return 0
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _operator(model, index, operator, inputs, outputs):
    result = schema.OperatorT()
    result.opcodeIndex = _code(model, operator)
    result.inputs, result.outputs = [index[t] for t in inputs], [index[t] for t in outputs]
    if operator.intermediates:
        result.intermediates = [index[t] for t in operator.intermediates]
    if operator.custom is not None:
        result.customOptions = np.frombuffer(operator.options, np.uint8)
    elif operator.options is not None:
        name = type(operator.options).__name__.removesuffix("T")
        result.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        result.builtinOptions = operator.options
    return result
