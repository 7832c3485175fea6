"""Converts Keras models to LiteRT with TensorFlow's converter, runs them in its interpreter, and keeps the answers.

Run as a script: FOLDER, with TF_USE_LEGACY_KERAS=1 for tf_keras, whose LSTMs become one operator, Keras 3's a loop. All
layers read the inputs `x`; the outputs of each are in `answers.npz` under the layer's name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

BATCH, STEPS, X, H = 3, 15, 5, 4
keras, layers = tf.keras, tf.keras.layers
LEGACY = bool(os.environ.get("TF_USE_LEGACY_KERAS"))


def recurrent() -> dict[str, Any]:
    """Layers by name; their outputs are sequences."""
    given: dict[str, dict[str, Any]] = {"plain": {}, "backward": {"go_backwards": True}}
    if not LEGACY:
        given |= {"relu": {"activation": "relu"}, "no_bias": {"use_bias": False}}
        given |= {"hard": {"recurrent_activation": "hard_sigmoid"}}
    made = {name: layers.LSTM(H, return_sequences=True, name=name, **options) for name, options in given.items()}
    both = layers.LSTM(H, return_sequences=True, name="half")
    return {**made, "both": layers.Bidirectional(both, name="both")}


class OddCell(layers.LSTMCell):  # type: ignore[misc, name-defined]
    """An LSTM's cell but for what its name says."""

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        before, kind = states[1], self.name.partition("-")[0]
        z = tf.matmul(x, self.kernel) + tf.matmul(states[0], self.recurrent_kernel) + self.bias
        z = tf.reshape(z, (-1, H, 4)) if kind == "turned" else z
        i, f, g, o = (tf.reshape(part, (-1, H)) for part in tf.split(z, 4, axis=-1))
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        before = tf.clip_by_value(before, -0.2, 0.2) if kind == "clipped_before" else before
        c = (1 - i if kind == "coupled" else f) * before + i * g
        c = tf.clip_by_value(c, -0.2, 0.2) if kind == "clipped" else c
        h = tf.tanh(c) if kind == "no_output_gate" else o * tf.tanh(c)
        return h, [h, c]


def odd(folder: Path) -> dict[str, Any]:
    """Loops and steps that compute something else, a GRU, and two LSTMs in one loop."""
    given = keras.Input((STEPS, X), batch_size=BATCH, name="x")
    made = [layers.RNN(OddCell(H, name=kind), name=kind)(given) for kind in ("coupled", "clipped", "turned")]
    made.append(layers.RNN(OddCell(H, name="no_output_gate"), name="no_output_gate")(given))
    two = layers.StackedRNNCells([layers.LSTMCell(H), layers.LSTMCell(H)])
    made += [layers.RNN(two, name="two")(given), layers.GRU(H, name="gru")(given), layers.LSTM(H, name="plain")(given)]
    converted(filled(keras.Model(given, made)), folder / "odd.tflite")
    answers: dict[str, Any] = {}
    for kind in ("clipped_before", "coupled-step", "turned-step"):
        answers |= stepped(folder, kind, X, cell=OddCell(H, name=kind))
    return answers


def filled(model: Any, scale: float = 0.7) -> Any:
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(size=w.shape, scale=scale).astype(np.float32) for w in model.get_weights()])
    return model


def converted(model: Any, path: Path, half: bool = False, small: bool = False) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if half or small:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if half:
        converter.target_spec.supported_types = [tf.float16]
    content: bytes = converter.convert()
    path.write_bytes(content)
    return content


def outputs(content: bytes, x: Any, names: list[str]) -> dict[str, Any]:
    """The sequences in the order of the model's outputs, told by what the signature calls them."""
    interpreter = tf.lite.Interpreter(model_content=content)
    run = interpreter.get_signature_runner()
    given = run(**{next(iter(run.get_input_details())): x})
    keys = names if set(names) <= set(given) else sorted(given)
    return {name: given[key] for name, key in zip(names, keys, strict=True)}


def grown(path: Path) -> dict[str, Any]:
    """A layer whose cells grow by 1 a step beyond 10, until the last step forgets most, so that a clip shows."""
    given = keras.Input((STEPS, X), batch_size=BATCH, name="x")
    model = keras.Model(given, layers.LSTM(H, return_sequences=True, name="long")(given))
    w, u, b = (np.zeros(array.shape, np.float32) for array in model.get_weights())
    w[0, H : 2 * H] = 3.0
    b[:H], b[2 * H :] = 6.0, 6.0
    model.set_weights([w, u, b])
    x = np.full((BATCH, STEPS, X), 3.0, np.float32)
    x[:, -1] = -1.0
    return {"long|x": x, "long": outputs(converted(model, path), x, ["long"])["long"]}


def stepped(folder: Path, stem: str, width: int, small: bool = False, cell: Any = None) -> dict[str, Any]:
    """A cell alone, its inputs and its outputs: h and c."""
    given = {key: keras.Input((n,), batch_size=BATCH, name=key) for key, n in (("x", width), ("h", H), ("c", H))}
    x, h, c = given.values()
    out, states = (cell or layers.LSTMCell(H))(x, states=[h, c])
    model = filled(keras.Model([x, h, c], [out, states[1]]))
    content = converted(model, folder / f"{stem}.tflite", small=small)
    rng = np.random.default_rng(5)
    values = {key: rng.normal(size=(BATCH, n)).astype(np.float32) for key, n in (("x", width), ("h", H), ("c", H))}
    run = tf.lite.Interpreter(model_content=content).get_signature_runner()
    made = run(**values)
    outcomes = dict(zip(("h_n", "c_n"), (made[key] for key in sorted(made)), strict=True))
    return {f"{stem}|{key}": array for key, array in {**values, **outcomes}.items()}


def main(folder: Path) -> None:
    x = np.random.default_rng(3).normal(size=(BATCH, STEPS, X)).astype(np.float32)
    given = keras.Input((STEPS, X), batch_size=BATCH, name="x")
    made = recurrent()
    model = filled(keras.Model(given, [layer(given) for layer in made.values()]))
    answers = {"x": x}
    for stem, half in (("model", False), ("half", True))[: 1 if LEGACY else 2]:
        found = outputs(converted(model, folder / f"{stem}.tflite", half), x, list(made))
        answers |= {f"{stem}|{name}": y for name, y in found.items()}
    if not LEGACY:
        mixed = layers.Dense(2, name="dense")(layers.LSTM(H, name="last")(layers.Masking(name="mask")(given)))
        converted(filled(keras.Model(given, mixed)), folder / "mixed.tflite")
        big = layers.LSTM(32, name="big")(given)
        converted(filled(keras.Model(given, big)), folder / "small.tflite", small=True)
        converted(filled(keras.Model(given, layers.LSTM(H, unroll=True)(given))), folder / "unrolled.tflite")
        answers |= odd(folder)
    else:
        answers |= grown(folder / "long.tflite")
    answers |= stepped(folder, "cell", X) | stepped(folder, "square", H)
    np.savez(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
