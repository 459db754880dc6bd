"""Trains the digit classifier that comes with TinyAPU and writes everything beside this file.

Data: the 1797 handwritten digits (8x8, 17 grey levels) bundled with scikit-learn. A fifth of them,
stratified, is held back: it is neither trained on nor used to calibrate the quantisation.
Result: `digits.tflite`, int8 throughout, weights quantised per channel, input `(1, 8, 8, 1)` with
scale 1/255 and zero point -128, so that an 8-bit grey pixel p is fed as p - 128.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python train.py
"""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
SEED = 20
EPOCHS = 60
ENLARGED = 16  # pixels of digit.png for one of the data, each way


def load():
    """Pictures as uint8 `(n, 8, 8, 1)`, light ink on a dark ground, and labels; train, held back."""
    digits = load_digits()
    pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return train_test_split(
        pictures, digits.target.astype(np.uint8), test_size=0.2, stratify=digits.target, random_state=SEED
    )


def separable(x, channels, strides):
    """Depthwise 3x3, then pointwise, each with batch normalisation and ReLU6."""
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(channels, 1, use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def build(batch_size=None):
    """A MobileNet in small: one convolution, three separable ones, one of them a residual."""
    inputs = keras.Input((8, 8, 1), batch_size, name="picture")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = separable(x, 32, 2)
    x = layers.Add()([x, separable(x, 32, 1)])
    x = separable(x, 48, 2)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(x))


def augment(picture, label):
    """Moves a picture by up to one pixel and adds a little noise."""
    padded = tf.pad(picture, [[1, 1], [1, 1], [0, 0]])
    moved = tf.image.random_crop(padded, (8, 8, 1), seed=SEED)
    noisy = moved + tf.random.normal((8, 8, 1), stddev=0.03, seed=SEED)
    return tf.clip_by_value(noisy, 0.0, 1.0), label


def train(pictures, labels):
    model = build()
    steps = EPOCHS * (len(pictures) // 32 + 1)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        "sparse_categorical_crossentropy",
    )
    data = tf.data.Dataset.from_tensor_slices((pictures.astype(np.float32) / 255, labels.astype(np.int32)))
    data = data.shuffle(len(pictures), seed=SEED).map(augment).batch(32)
    model.fit(data, epochs=EPOCHS, verbose=0)
    return model


def convert(model, pictures):
    """Post-training quantisation to int8, calibrated with the training pictures."""
    fixed = build(batch_size=1)  # a free batch would leave SHAPE and STRIDED_SLICE in the graph
    fixed.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([p[np.newaxis].astype(np.float32) / 255] for p in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def classify_all(tflite, pictures):
    """Scores of uint8 pictures from the quantised model in TFLite's reference kernels."""
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=tflite, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    assert abs(scale - 1 / 255) < 1e-6 and zero_point == -128, "the input must take pixel - 128"
    scores = []
    for picture in pictures:
        interpreter.set_tensor(source["index"], (picture.astype(np.int16) - 128).astype(np.int8)[np.newaxis])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(sink["index"])[0])
    return np.array(scores)


def reductions(enlarged):
    """The ways in which readers of pictures shrink one: by corner, by centre, by area."""
    small = [np.asarray(enlarged)[::ENLARGED, ::ENLARGED]]
    small += [np.asarray(enlarged.resize((8, 8), how)) for how in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR)]
    return np.stack(small)[..., np.newaxis]


def write_sample(tflite, pictures, labels):
    """The held-back picture that is told right with the most certainty however it is shrunk again."""
    size = (8 * ENLARGED, 8 * ENLARGED)
    enlarged = [Image.fromarray(p[..., 0]).resize(size, Image.Resampling.BICUBIC) for p in pictures]
    scores = classify_all(tflite, np.concatenate([reductions(e) for e in enlarged]))
    certainty = scores.reshape(len(pictures), -1, 10)[np.arange(len(pictures)), :, labels].min(1)
    chosen = certainty.argmax()
    enlarged[chosen].save(HERE / "digit.png", optimize=True)
    np.save(HERE / "digit.npy", (pictures[chosen].astype(np.int16) - 128).astype(np.int8)[np.newaxis])
    print(f"digit.png, digit.npy: a {labels[chosen]}, {int(certainty.max()) + 128}/256 at worst")


def main():
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    pictures, held_back, labels, held_back_labels = load()
    model = train(pictures, labels)
    floats = model.predict(held_back.astype(np.float32) / 255, verbose=0).argmax(1)
    tflite = convert(model, pictures)
    scores = classify_all(tflite, held_back)

    (HERE / "digits.tflite").write_bytes(tflite)
    (HERE / "labels.txt").write_text("".join(f"{n}\n" for n in range(10)))
    np.save(HERE / "held_back_pictures.npy", held_back)
    np.save(HERE / "held_back_labels.npy", held_back_labels)
    write_sample(tflite, held_back, held_back_labels)
    print(f"tensorflow {tf.__version__}, keras {keras.__version__}, {len(tflite)} bytes")
    print(f"held back: {len(held_back)} pictures")
    print(f"right: float {(floats == held_back_labels).sum()}, int8 {(scores.argmax(1) == held_back_labels).sum()}")


if __name__ == "__main__":
    main()
