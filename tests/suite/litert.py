"""What LiteRT computes for a whole model, as an archive in the format of the golden vectors.

Which kernels that is, `stages` knows, which `apu diff` has as well.

    litert.py MODEL OUT [--numerics tflite] [--runs 10] [--seed 0] [--picture FILE ...]

OUT is the archive; where MODEL is a folder, OUT is one that gets NAME.npz for each NAME.tflite.

Inputs are uniform for `--runs` runs, then each picture scaled to the model's input. Bytes and 16 bits can be anything,
float32 is from -1 to 1, and wider integers are below 64, since they mostly are places in a table.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "crates/apu-cli/src/command/diff"))
from stages import OPTIMISED, stages  # noqa: E402


def random_input(rng, detail):
    dtype = np.dtype(detail["dtype"])
    if dtype == np.float32:
        return rng.uniform(-1, 1, detail["shape"]).astype(dtype)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.itemsize < 4 else (0, 63)
    return rng.integers(low, high + 1, detail["shape"]).astype(dtype)


def picture_input(path, detail):
    """A picture as the model takes it: int8 models take pixel - 128."""
    _, height, width, _ = detail["shape"]
    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    signed = detail["dtype"] == np.int8
    return (pixels.astype(np.int16) - (128 if signed else 0)).astype(detail["dtype"])[np.newaxis]


def answer(path, out, arguments):
    content = path.read_bytes()
    details = Interpreter(model_content=content, experimental_op_resolver_type=OPTIMISED).get_input_details()
    rng = np.random.default_rng(arguments.seed)
    runs = [[random_input(rng, d) for d in details] for _ in range(arguments.runs)]
    runs += [[picture_input(picture, details[0])] for picture in arguments.picture]

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, parts = model.subgraphs[0], stages(model, arguments.numerics)
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
    np.savez(out, **entries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--numerics", choices=["tflite", "xnnpack"], default="tflite")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()

    if arguments.model.is_dir():
        for model in sorted(arguments.model.glob("*.tflite")):
            answer(model, arguments.out / f"{model.stem}.npz", arguments)
    else:
        answer(arguments.model, arguments.out, arguments)


if __name__ == "__main__":
    main()
