"""Says what a picture shows, with any classification model and, if named, an external delegate.

    label_image.py -m MODEL -i PICTURE [-l LABELS] [-e libapu_delegate.so] [-o KEY:VALUE;KEY:VALUE]
"""

import argparse

import numpy as np
from PIL import Image
from runtime import interpreter, load_delegate, run


def pixels(path, detail):
    """The picture as the model takes it: int8 models take pixel - 128."""
    _, height, width, channels = detail["shape"]
    picture = Image.open(path).convert("L" if channels == 1 else "RGB")
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(picture).astype(np.int16).reshape(detail["shape"])
    return (values - (128 if detail["dtype"] == np.int8 else 0)).astype(detail["dtype"])


def best(scores, detail, count=5):
    """Indices and probabilities, the highest first."""
    scale, zero_point = detail["quantization"]
    scores = (scores.reshape(-1).astype(np.float32) - zero_point) * scale
    return [(i, scores[i]) for i in np.argsort(-scores, kind="stable")[:count]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model_file", required=True)
    parser.add_argument("-i", "--image", required=True)
    parser.add_argument("-l", "--label_file")
    parser.add_argument("-e", "--ext_delegate")
    parser.add_argument("-o", "--ext_delegate_options", default="")
    arguments = parser.parse_args()

    options = dict(option.split(":") for option in arguments.ext_delegate_options.split(";") if option)
    delegates = [load_delegate(arguments.ext_delegate, options)] if arguments.ext_delegate else []
    made = interpreter(arguments.model_file, *delegates)
    (scores,) = run(made, [pixels(arguments.image, made.get_input_details()[0])])
    labels = open(arguments.label_file).read().splitlines() if arguments.label_file else range(scores.size)
    for index, score in best(scores, made.get_output_details()[0]):
        print(f"{score:08.6f}: {labels[index]}")


if __name__ == "__main__":
    main()
