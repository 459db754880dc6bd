"""Operators that move elements by a rule."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from writer import Operator, Tensor, constant

from . import Case, RUNS, build, moved, options, pick, quantised, values


def sizes(rng, low=1, high=5, most=4):
    return [int(n) for n in rng.integers(low, high, rng.integers(low, most + 1))]


def integers(name, numbers, dtype="int32"):
    return constant(name, np.array(numbers, dtype))


def simple(rng, builtin, dtype, p, arguments, result_shape, table=None, scales=None, version=1):
    """One input, arguments behind it, one output."""
    scales = quantised(rng, dtype) if scales is None else scales
    source, result = Tensor("input", p["shape"], dtype, **scales), Tensor("output", result_shape, dtype, **scales)
    return moved(rng, Operator(builtin, version, table), [source, *arguments], [result], **p, **scales)


def transpose(rng, dtype, fixed):
    p = dict(shape=sizes(rng)) | fixed
    p |= dict(order=rng.permutation(len(p["shape"])).tolist())
    shape = [p["shape"][d] for d in p["order"]]
    return simple(rng, "TRANSPOSE", dtype, p, [integers("order", p["order"])], shape, schema.TransposeOptionsT())


def slice_(rng, dtype, fixed):
    p = dict(shape=sizes(rng)) | fixed
    begin = [int(rng.integers(n)) for n in p["shape"]]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(p["shape"], begin)]
    shown = [-1 if b + n == whole and rng.random() < 0.3 else n for b, n, whole in zip(begin, size, p["shape"])]
    p |= dict(begin=begin, size=shown, type=pick(rng, ["int32", "int64"]))
    arguments = [integers("begin", begin, p["type"]), integers("size", shown, p["type"])]
    return simple(rng, "SLICE", dtype, p, arguments, size, schema.SliceOptionsT())


def strided_slice(rng, dtype, fixed):
    """Masks of every kind; drawn again until numpy finds elements."""
    while True:
        p = dict(shape=sizes(rng, high=7)) | fixed
        rank = len(p["shape"])
        begin, end = [[int(rng.integers(-n - 1, n + 2)) for n in p["shape"]] for _ in "be"]
        stride = [int(pick(rng, [1, 1, 2, 3, -1, -2])) for _ in range(rank)]
        masks = [int(rng.integers(0, 1 << rank)) if rng.random() < 0.4 else 0 for _ in range(3)]
        masks[2] &= sum(1 << d for d, n in enumerate(p["shape"]) if -n <= begin[d] < n)
        stride = [1 if masks[2] >> d & 1 else s for d, s in enumerate(stride)]
        ranges = [taken(d, begin, end, stride, masks) for d in range(rank)]
        shape = np.empty(p["shape"], bool)[tuple(ranges)].shape
        if 0 not in shape:
            break
    table = options(schema.StridedSliceOptionsT(), beginMask=masks[0], endMask=masks[1], shrinkAxisMask=masks[2])
    p |= dict(begin=begin, end=end, stride=stride, masks=masks)
    arguments = [integers("begin", begin), integers("end", end), integers("strides", stride)]
    return simple(rng, "STRIDED_SLICE", dtype, p, arguments, shape, table)


def taken(d, begin, end, stride, masks):
    if masks[2] >> d & 1:
        return begin[d]
    first = None if masks[0] >> d & 1 else begin[d]
    last = None if masks[1] >> d & 1 else end[d]
    return slice(first, last, stride[d])


def concatenation(rng, dtype, fixed):
    p = dict(shape=sizes(rng), count=int(rng.integers(1, 5))) | fixed
    axis = int(rng.integers(-len(p["shape"]), len(p["shape"])))
    scales = quantised(rng, dtype)
    shapes = [list(p["shape"]) for _ in range(p["count"])]
    for shape in shapes:
        shape[axis] = int(rng.integers(1, 5))
    whole = list(p["shape"])
    whole[axis] = sum(shape[axis] for shape in shapes)
    inputs = [Tensor(f"input{i}", shape, dtype, **scales) for i, shape in enumerate(shapes)]
    if len(inputs) > 1 and rng.random() < 0.3:
        inputs[1].data = values(rng, dtype, inputs[1].shape)
    operator = Operator("CONCATENATION", 2, options(schema.ConcatenationOptionsT(), axis=axis))
    return moved(rng, operator, inputs, [Tensor("output", whole, dtype, **scales)], **p, axis=axis, **scales)


def concatenation_rescaled(rng, dtype, fixed):
    """The inputs have scales of their own, as old converters left them."""
    p = dict(shape=sizes(rng), count=int(rng.integers(1, 5)))
    axis = int(rng.integers(len(p["shape"])))
    inputs = [Tensor(f"input{i}", p["shape"], dtype, **quantised(rng, dtype)) for i in range(p["count"])]
    whole = [n * (p["count"] if d == axis else 1) for d, n in enumerate(p["shape"])]
    result = Tensor("output", whole, dtype, **quantised(rng, dtype))
    operator = Operator("CONCATENATION", 1, options(schema.ConcatenationOptionsT(), axis=axis))
    scales = [[t.scales, t.zero_point] for t in (*inputs, result)]
    return moved(rng, operator, inputs, [result], **p, axis=axis, scales=scales)


def pack(rng, dtype, fixed):
    p = dict(shape=sizes(rng, most=3), count=int(rng.integers(1, 5))) | fixed
    axis = int(rng.integers(-len(p["shape"]) - 1, len(p["shape"]) + 1))
    scales = quantised(rng, dtype)
    whole = list(p["shape"])
    whole.insert(axis % (len(whole) + 1), p["count"])
    inputs = [Tensor(f"input{i}", p["shape"], dtype, **scales) for i in range(p["count"])]
    operator = Operator("PACK", 1, options(schema.PackOptionsT(), axis=axis, valuesCount=p["count"]))
    return moved(rng, operator, inputs, [Tensor("output", whole, dtype, **scales)], **p, axis=axis, **scales)


def unpack(rng, dtype, fixed):
    p = dict(shape=sizes(rng)) | fixed
    axis = int(rng.integers(-len(p["shape"]), len(p["shape"])))
    scales = quantised(rng, dtype)
    part = list(p["shape"])
    count = part.pop(axis)
    operator = Operator("UNPACK", 1, options(schema.UnpackOptionsT(), axis=axis, num=count))
    outputs = [Tensor(f"output{i}", part, dtype, **scales) for i in range(count)]
    return moved(rng, operator, [Tensor("input", p["shape"], dtype, **scales)], outputs, **p, axis=axis, **scales)


def split(rng, dtype, fixed):
    p = dict(shape=sizes(rng), count=int(rng.integers(1, 4))) | fixed
    axis = int(rng.integers(-len(p["shape"]), len(p["shape"])))
    scales = quantised(rng, dtype)
    part = list(p["shape"])
    p["shape"] = list(p["shape"])
    p["shape"][axis] *= p["count"]
    operator = Operator("SPLIT", 1, options(schema.SplitOptionsT(), numSplits=p["count"]))
    outputs = [Tensor(f"output{i}", part, dtype, **scales) for i in range(p["count"])]
    inputs = [integers("axis", [axis]), Tensor("input", p["shape"], dtype, **scales)]
    return moved(rng, operator, inputs, outputs, **p, axis=axis, **scales)


def split_v(rng, dtype, fixed):
    p = dict(shape=sizes(rng), parts=[int(n) for n in rng.integers(1, 4, rng.integers(1, 4))]) | fixed
    axis = int(rng.integers(-len(p["shape"]), len(p["shape"])))
    scales = quantised(rng, dtype)
    p["shape"] = list(p["shape"])
    p["shape"][axis] = sum(p["parts"])
    shown = list(p["parts"])
    if rng.random() < 0.3:
        shown[int(rng.integers(len(shown)))] = -1
    shapes = [[n if d == axis % len(p["shape"]) else m for d, m in enumerate(p["shape"])] for n in p["parts"]]
    operator = Operator("SPLIT_V", 1, options(schema.SplitVOptionsT(), numSplits=len(shown)))
    outputs = [Tensor(f"output{i}", shape, dtype, **scales) for i, shape in enumerate(shapes)]
    inputs = [Tensor("input", p["shape"], dtype, **scales), integers("sizes", shown), integers("axis", [axis])]
    return moved(rng, operator, inputs, outputs, **p, axis=axis, **scales)


def tile(rng, dtype, fixed):
    p = dict(shape=sizes(rng, high=4)) | fixed
    p |= dict(times=[int(n) for n in rng.integers(1, 4, len(p["shape"]))])
    shape = [n * times for n, times in zip(p["shape"], p["times"])]
    return simple(rng, "TILE", dtype, p, [integers("times", p["times"])], shape, schema.TileOptionsT())


def broadcast_to(rng, dtype, fixed):
    p = dict(target=sizes(rng)) | fixed
    p |= dict(shape=[n if rng.random() < 0.5 else 1 for n in p["target"]][int(rng.integers(len(p["target"]))) :])
    return simple(rng, "BROADCAST_TO", dtype, p, [integers("target", p["target"])], p["target"], version=3)


def reverse(rng, dtype, fixed):
    p = dict(shape=sizes(rng)) | fixed
    p |= dict(axis=int(rng.integers(len(p["shape"]))))
    table = schema.ReverseV2OptionsT()
    return simple(rng, "REVERSE_V2", dtype, p, [integers("axis", [p["axis"]])], p["shape"], table)


def mirror_pad(rng, dtype, fixed):
    p = dict(shape=sizes(rng, low=2), symmetric=bool(rng.integers(2))) | fixed
    most = [n if p["symmetric"] else n - 1 for n in p["shape"]]
    p |= dict(pads=[[int(rng.integers(0, m + 1)) for _ in "ba"] for m in most])
    shape = [n + sum(pad) for n, pad in zip(p["shape"], p["pads"])]
    table = options(schema.MirrorPadOptionsT(), mode=int(p["symmetric"]))
    return simple(rng, "MIRROR_PAD", dtype, p, [integers("pads", p["pads"])], shape, table)


def depth_to_space(rng, dtype, fixed):
    p = dict(space=[1, 2, 3, 4], block=int(rng.integers(1, 4)))
    b, h, w, c = [int(n) for n in rng.integers(1, 4, 4)]
    p = dict(shape=[b, h, w, c * p["block"] ** 2], block=p["block"])
    table = options(schema.DepthToSpaceOptionsT(), blockSize=p["block"])
    return simple(rng, "DEPTH_TO_SPACE", dtype, p, [], [b, h * p["block"], w * p["block"], c], table)


def space_to_depth(rng, dtype, fixed):
    block = int(rng.integers(1, 4))
    b, h, w, c = [int(n) for n in rng.integers(1, 4, 4)]
    p = dict(shape=[b, h * block, w * block, c], block=block)
    table = options(schema.SpaceToDepthOptionsT(), blockSize=block)
    return simple(rng, "SPACE_TO_DEPTH", dtype, p, [], [b, h, w, c * block**2], table)


def blocks(rng):
    block = [int(n) for n in rng.integers(1, 4, 2)]
    rows = [int(n) for n in rng.integers(1, 4, 2)]
    edges = [[int(e) for e in rng.multinomial(int(rng.integers(0, b * r)), [1 / 3] * 3)][:2] for b, r in zip(block, rows)]
    space = [b * r - sum(e) for b, r, e in zip(block, rows, edges)]
    batch, channels = [int(n) for n in rng.integers(1, 4, 2)]
    whole = [batch * block[0] * block[1], *rows, channels]
    return block, edges, [batch, *space, channels], whole


def space_to_batch(rng, dtype, fixed):
    block, edges, space, batch = blocks(rng)
    p = dict(shape=space, block=block, pads=edges)
    arguments = [integers("block", block), integers("pads", edges)]
    return simple(rng, "SPACE_TO_BATCH_ND", dtype, p, arguments, batch, schema.SpaceToBatchNDOptionsT())


def batch_to_space(rng, dtype, fixed):
    block, edges, space, batch = blocks(rng)
    p = dict(shape=batch, block=block, crops=edges)
    arguments = [integers("block", block), integers("crops", edges)]
    return simple(rng, "BATCH_TO_SPACE_ND", dtype, p, arguments, space, schema.BatchToSpaceNDOptionsT())


def indexed(rng, operator, dtype, p, indices, shape):
    """A case whose second input is indices below the sizes `p["below"]`."""
    scales = quantised(rng, dtype)
    source, result = Tensor("input", p["shape"], dtype, **scales), Tensor("output", shape, dtype, **scales)
    picked = rng.integers(0, p["below"], (RUNS, *indices.shape)).astype(indices.dtype)
    feed = [values(rng, dtype, (RUNS, *p["shape"]))]
    if p["constant"]:
        indices.data = picked[0]
    else:
        feed.append(picked)
    return Case(p | scales, build(operator, [source, indices], [result]), feed)


def gather(rng, dtype, fixed, types=("int32", "int64")):
    p = dict(shape=sizes(rng), picked=sizes(rng, most=2), constant=bool(rng.integers(2))) | fixed
    batches = 0
    if rng.random() < 0.3:
        batches, p["picked"] = 1, [p["shape"][0], *p["picked"]]
        p["shape"] = [*p["shape"], 3]
    axis = int(rng.integers(batches, len(p["shape"])))
    p |= dict(axis=axis, batches=batches, below=p["shape"][axis], type=pick(rng, types))
    shape = [*p["shape"][:axis], *p["picked"][batches:], *p["shape"][axis + 1 :]]
    operator = Operator("GATHER", 1, options(schema.GatherOptionsT(), axis=axis, batchDims=batches))
    return indexed(rng, operator, dtype, p, Tensor("indices", p["picked"], p["type"]), shape)


def gather_by_int16(rng, dtype, fixed):
    return gather(rng, dtype, fixed, ["int16"])


def gather_nd_by_int16(rng, dtype, fixed):
    return gather_nd(rng, dtype, fixed, ["int16"])


def gather_nd(rng, dtype, fixed, types=("int32", "int64")):
    p = dict(shape=sizes(rng), picked=sizes(rng, most=2), constant=bool(rng.integers(2))) | fixed
    depth = int(rng.integers(1, len(p["shape"]) + 1))
    p |= dict(below=p["shape"][:depth], type=pick(rng, types))
    shape = [*p["picked"], *p["shape"][depth:]]
    operator = Operator("GATHER_ND", 1, schema.GatherNdOptionsT())
    return indexed(rng, operator, dtype, p, Tensor("indices", [*p["picked"], depth], p["type"]), shape)


def resized(rng, builtin, dtype, fixed, table):
    p = dict(shape=[int(n) for n in rng.integers(1, [3, 8, 8, 4])], size=[int(n) for n in rng.integers(1, 14, 2)]) | fixed
    how = pick(rng, [(False, False), (True, False), (False, True)])
    p |= dict(align_corners=how[0], half_pixel_centers=how[1])
    table = options(table, alignCorners=how[0], halfPixelCenters=how[1])
    shape = [p["shape"][0], *p["size"], p["shape"][3]]
    return simple(rng, builtin, dtype, p, [integers("size", p["size"])], shape, table, version=3)


def resize_bilinear(rng, dtype, fixed):
    return resized(rng, "RESIZE_BILINEAR", dtype, fixed, schema.ResizeBilinearOptionsT())


def resize_nearest_neighbor(rng, dtype, fixed):
    return resized(rng, "RESIZE_NEAREST_NEIGHBOR", dtype, fixed, schema.ResizeNearestNeighborOptionsT())


FUNCTIONS = {
    "transpose": transpose,
    "slice": slice_,
    "strided_slice": strided_slice,
    "concatenation": concatenation,
    "pack": pack,
    "unpack": unpack,
    "split": split,
    "split_v": split_v,
    "tile": tile,
    "broadcast_to": broadcast_to,
    "reverse_v2": reverse,
    "mirror_pad": mirror_pad,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "space_to_batch_nd": space_to_batch,
    "batch_to_space_nd": batch_to_space,
    "gather": gather,
    "gather_nd": gather_nd,
    "resize_nearest_neighbor": resize_nearest_neighbor,
}
