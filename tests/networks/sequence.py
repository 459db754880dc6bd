"""Networks for sound and text: recurrent ones, which keep a state from run to run, and attention."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from network import Network, Operator, limits, options, spread


def lstm_keywords():
    """Two layers of LSTM cells over a spectrogram."""
    net = Network("lstm_keywords", 41)
    x = net.input([1, 49, 40], scale=1 / 32)
    x = lstm(net, lstm(net, x, 32), 32)
    x = net.strided_slice(x, [0, -1, 0], [0, 0, 0], begin_mask=5, end_mask=7, shrink=2)
    return net.build(net.softmax(net.dense(x, 12)))


def lstm(net, x, cells):
    """Weights of the input and of what was said last, four gates each."""
    batch, depth = x.shape[0], x.shape[2]
    said = dict(scales=1 / 128, zero_point=0)
    last = net.tensor([batch, cells], "int8", 1 / 128, 0, variable=True)
    cell = net.tensor([batch, cells], "int16", 2.0**-11, variable=True)

    def matrix(size, inputs):
        data = net.rng.integers(-127, 128, [cells, inputs]).astype(np.int8)
        return net.constant(data, scales=np.float32(size / 74 / inputs**0.5))

    of_input = [matrix(1 / spread(x), depth) for _ in range(4)]
    of_last = [matrix(2.0, cells) for _ in range(4)]
    biases = [
        net.constant(np.round(net.rng.normal(0, 0.5, cells) / (x.scales * w.scales)).astype(np.int32), scales=x.scales * w.scales)
        for w in of_input
    ]
    between = [net.tensor([], "int16", 2.0**-12) for _ in range(4)] + [net.tensor([], "int8", 1 / 128, 0)]
    table = options(schema.UnidirectionalSequenceLSTMOptionsT(), cellClip=10.0, projClip=0.0, timeMajor=False)
    table.fusedActivationFunction = schema.ActivationFunctionType.TANH
    operands = [x, *of_input, *of_last, None, None, None, *biases, None, None, last, cell, None, None, None, None]
    made = net.tensor([batch, x.shape[1], cells], "int8", said["scales"], said["zero_point"])
    return net.add_step("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, made, table, 3, intermediates=tuple(between))


def svdf_keywords():
    """Filters over time, one step a run."""
    net = Network("svdf_keywords", 42)
    x = net.input([1, 40], scale=1 / 32)
    for units in (48, 48, 32):
        x = svdf(net, x, units, memory=8)
    return net.build(net.softmax(net.dense(x, 4)))


def svdf(net, x, units, memory):
    feature = net.constant(net.rng.integers(-127, 128, [units, x.shape[1]]).astype(np.int8), scales=0.0)
    feature.scales = np.float32(1 / (spread(x) * x.shape[1] ** 0.5 * 74))
    time = net.constant(net.rng.integers(-32767, 32768, [units, memory]).astype(np.int16), scales=np.float32(2 / 19000 / memory**0.5))
    state = net.tensor([1, memory * units], "int16", 4 / 32767, variable=True)
    scale = np.float32(state.scales * time.scales)
    bias = net.constant(np.round(net.rng.normal(0, 0.3, units) / scale).astype(np.int32), scales=scale)
    table = options(schema.SVDFOptionsT(), rank=1, fusedActivationFunction=schema.ActivationFunctionType.RELU)
    made = net.activation([1, units], "RELU")
    return net.add_step("SVDF", [x, feature, time, bias, state], made, table, 3)


def streaming_keywords():
    """Convolutions over time that keep what they have seen in variables, three steps a run, as wake words have them."""
    net = Network("streaming_keywords", 46)
    x = net.reshape(net.input([1, 3, 40], scale=1 / 32), [1, 3, 1, 40])
    x = net.conv(recalled(net, x, 2), 32, [5, 1], [3, 1], "RELU", "VALID")
    for steps in (5, 9, 13):
        x = net.depthwise(recalled(net, x, steps - 1), [steps, 1], activation="NONE", padding="VALID")
        x = net.conv(x, 48, activation="RELU")
    x = recalled(net, x, 4)
    return net.build(net.requantize(net.logistic(net.dense(net.reshape(x, [1, 240]), 1)), net.tensor([1, 1], "uint8", 1 / 256, 0)))


def recalled(net, x, steps):
    """What a variable has of earlier runs, and behind it what is new; the last steps of that are kept."""
    past = net.like(x, [1, steps, 1, x.shape[3]])

    def handle(where):
        made = net.tensor([], "V")
        table = options(schema.VarHandleOptionsT(), container="", sharedName=f"{past.name}/states")
        where.append((Operator("VAR_HANDLE", options=table), [], [made]))
        return made

    nothing = net.constant(np.full(past.shape, x.zero_point, np.int8), scales=x.scales, zero_point=x.zero_point)
    net.once.append((Operator("ASSIGN_VARIABLE"), [handle(net.once), nothing], []))
    variable = handle(net.steps)
    net.add_step("READ_VARIABLE", [variable], past)
    seen = net.concat([past, x], axis=1)
    kept = net.strided_slice(seen, [0, x.shape[1], 0, 0], [0, 0, 0, 0], begin_mask=13, end_mask=15)
    net.steps.append((Operator("ASSIGN_VARIABLE"), [variable, kept], []))
    return seen


def gru():
    """Gates written out, three steps one after the other."""
    net = Network("gru", 43)
    frames, state = net.input([1, 3, 24], scale=1 / 32), net.input([1, 32], scale=1 / 128)
    for step in range(3):
        x = net.strided_slice(frames, [0, step, 0], [0, step + 1, 0], begin_mask=5, end_mask=5, shrink=2)
        gates = net.logistic(net.add(net.dense(x, 64), net.dense(state, 64)))
        table = options(schema.SplitOptionsT(), numSplits=2)
        update, reset = net.split("SPLIT", [net.integers(1), gates], [net.like(gates, [1, 32]) for _ in "ab"], table, 2)
        said = net.tanh(net.add(net.dense(x, 32), net.dense(net.mul(reset, state), 32)))
        apart = net.binary("SUB", state, said)
        state = net.add(net.mul(update, apart), said, like=state)
    return net.build(state, net.softmax(net.dense(state, 10)))


def transformer():
    """Two layers of attention as MobileBERT or a keyword transformer have them; GELU, and a layer's norm by its parts."""
    net = Network("transformer", 44)
    words, heads, width = 16, 4, 48
    tokens, mask = net.input([1, words], "int32"), net.input([1, 1, 1, words], scale=1 / 16)
    table = net.constant(net.rng.integers(-127, 128, [64, width]).astype(np.int8), scales=1 / 64, zero_point=0)
    x = net.add_step("GATHER", [table, tokens], net.like(table, [1, words, width]), options(schema.GatherOptionsT(), axis=0), 2)
    position = net.constant(net.rng.integers(-127, 128, [1, words, width]).astype(np.int8), scales=1 / 100, zero_point=0)
    x = norm(net, net.add(x, position))
    for _ in range(2):
        query, key, value = [
            net.transpose(net.reshape(net.dense(x, width, keep=True, per_channel=True), [1, words, heads, width // heads]), [0, 2, 1, 3])
            for _ in range(3)
        ]
        query = net.mul(query, net.number((heads / width) ** 0.5))
        scores = matmul(net, query, key, adj_y=True)
        attention = net.softmax(net.add(scores, mask))
        seen = net.reshape(net.transpose(matmul(net, attention, value), [0, 2, 1, 3]), [1, words, width])
        x = norm(net, net.add(x, net.dense(seen, width, keep=True, per_channel=True)))
        wide = net.dense(x, 2 * width, keep=True, per_channel=True)
        scale = spread(wide) * 4 / 250
        wide = net.looked_up("GELU", wide, scale, limits("int8")[0] + int(0.2 / scale), options(schema.GeluOptionsT(), approximate=False))
        x = norm(net, net.add(x, net.dense(wide, width, keep=True, per_channel=True)))
    first = net.strided_slice(x, [0, 0, 0], [0, 1, 0], begin_mask=5, end_mask=5, shrink=2)
    pooled = net.tanh(net.dense(first, width))
    return net.build(net.dense(pooled, 2), x)


def matmul(net, a, b, adj_y=False):
    inner, columns = (b.shape[3], b.shape[2]) if adj_y else (b.shape[2], b.shape[3])
    made = net.activation([*a.shape[:3], columns], size=spread(a) * spread(b) * inner**0.5)
    return net.add_step("BATCH_MATMUL", [a, b], made, options(schema.BatchMatMulOptionsT(), adjX=False, adjY=adj_y), 2)


def norm(net, x):
    """Centred and divided by the deviation, as converters write a layer's norm in int8."""
    mean = net.mean(x, [-1])
    made = net.activation(x.shape, "RELU", 2 * spread(x) ** 2)
    apart = net.add_step("SQUARED_DIFFERENCE", [x, mean], made, schema.SquaredDifferenceOptionsT(), 2)
    variance = net.add(net.mean(apart, [-1], size=1.0), net.number(0.01), like=net.tensor([1], "int8", 0.05, -128))
    inverse = net.tensor(variance.shape, "int8", 4 / 255, -128)
    inverse = net.add_step("RSQRT", [variance], inverse, None, 2)
    gain = net.constant(net.rng.integers(60, 128, [x.shape[-1]]).astype(np.int8), scales=1 / 100, zero_point=0)
    factor = net.mul(inverse, gain)
    shift = net.constant(net.rng.integers(-127, 128, [x.shape[-1]]).astype(np.int8), scales=1 / 500, zero_point=0)
    centred = net.binary("SUB", shift, net.mul(mean, factor))
    return net.add(net.mul(x, factor), centred, like=net.tensor([1], "int8", 1 / 30, 3))


def temporal():
    """Convolutions over time alone, as speech has them: a dimension more and one less around each."""
    net = Network("temporal", 45)
    x = net.input([1, 256, 20], scale=1 / 32)
    for channels, stride in ((32, 2), (32, 1), (48, 2), (48, 1)):
        tall = net.like(x, [1, 1, *x.shape[1:]])
        tall = net.add_step("EXPAND_DIMS", [x, net.integers(1)], tall, schema.ExpandDimsOptionsT())
        y = net.leaky_relu(net.conv(tall, channels, [1, 9], [1, stride], "NONE"), 0.1)
        flat = net.like(y, [1, *y.shape[2:]])
        x = net.add_step("SQUEEZE", [y], flat, options(schema.SqueezeOptionsT(), squeezeDims=[1]))
    letters = net.dense(x, 29, keep=True)
    scores = net.tensor(letters.shape, "int8", 1 / 16, 127)
    scores = net.add_step("LOG_SOFTMAX", [letters], scores, schema.LogSoftmaxOptionsT(), 2)
    table = options(schema.ReducerOptionsT(), keepDims=False)
    strongest = net.add_step("REDUCE_MAX", [x, net.integers([1])], net.like(x, [1, 48]), table, 2)
    y = net.concat([strongest, net.requantize(net.mean(x, [1], keep=False), strongest)])
    return net.build(scores, net.dense(y, 5))


NETWORKS = [lstm_keywords, svdf_keywords, streaming_keywords, gru, transformer, temporal]
