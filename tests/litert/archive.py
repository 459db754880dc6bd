"""A model with inputs, and the outputs that the named numerics demand, as make_models.py keeps it."""

import tempfile
from pathlib import Path

import numpy as np
from runtime import interpreter, run


class Archive:
    def __init__(self, path):
        with np.load(path) as archive:
            self.name = path.stem
            self.model = archive["live/00/model"].tobytes()
            entries = {name: archive[name] for name in sorted(archive)}
        inputs = [entries[name] for name in entries if "/input_" in name]
        outputs = [entries[name] for name in entries if "/output_" in name]
        self.runs = list(zip(zip(*inputs), zip(*outputs), strict=True))

    def interpreter(self, *delegates):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder, "model.tflite")
            model.write_bytes(self.model)
            return interpreter(model, *delegates)

    def difference(self, made):
        """What is wrong with the interpreter's answers; None when all bytes are equal."""
        for number, (inputs, wanted) in enumerate(self.runs):
            for index, (got, want) in enumerate(zip(run(made, inputs), wanted, strict=True)):
                if got.dtype != want.dtype or not np.array_equal(got, want):
                    return f"{self.name}, run {number}, output {index}: {np.sum(got != want)} of {want.size} differ"
        return None


def archives(folder):
    """All archives of a folder, at least one."""
    paths = sorted(Path(folder).glob("*.npz"))
    assert paths, f"{folder} has no archives"
    return [Archive(path) for path in paths]
