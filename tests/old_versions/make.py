"""Writes the checkpoints in `data/` with old versions of frameworks, and what these versions compute with them.

It was run once for each folder, each in an environment of its own with Python 3.10; it imports nothing of this package:

    pip install tensorflow-cpu==2.12.1                                  python make.py keras data/keras-2.12
    pip install tensorflow-cpu==2.15.1                                  python make.py keras data/keras-2.15
    pip install jax==0.4.30 jaxlib==0.4.30 flax==0.8.5 dm-haiku==0.0.12 python make.py jax data/jax-0.4.30

Every number is drawn here, biases included. `answers.npz` holds the inputs and outputs of each LSTM as `NAME|x` and
`NAME|y`, computed by the framework in float32 with the weights that it saved, and what computed them as `versions`.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

INPUT, STEPS, BATCH = 3, 6, 2
RNG = np.random.default_rng(2024)
X = RNG.normal(size=(BATCH, STEPS, INPUT)).astype(np.float32)


def drawn(shape: Any) -> np.ndarray[Any, Any]:
    """Weights or biases, none of them zero."""
    return RNG.uniform(-0.9, 0.9, tuple(shape)).astype(np.float32)


def keras(folder: Path) -> dict[str, Any]:
    """One model with a plain, a bidirectional and a backward LSTM, then a stack of two, in every format of Keras 2."""
    import keras as package
    import tensorflow as tf

    layers = tf.keras.layers
    named = [
        layers.LSTM(4, return_sequences=True, name="plain"),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both"),
        layers.LSTM(5, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid", name="hard"),
        layers.RNN([layers.LSTMCell(3), layers.LSTMCell(3)], return_sequences=True, name="stack"),
    ]
    model = tf.keras.Sequential([layers.InputLayer((STEPS, INPUT)), *named, layers.Dense(2, name="head")])
    model.set_weights([drawn(weight.shape) for weight in model.get_weights()])

    model.save(folder / "model.h5")
    model.save(folder / "model.keras", save_format="keras_v3")
    if tf.__version__.startswith("2.15"):
        model.save_weights(folder / "model.weights.h5")
    # Without the traces of its functions a SavedModel is small; variables and metadata are the same.
    pair = tf.keras.Sequential([layers.InputLayer((STEPS, 4)), *named[1:3]])
    pair.save(folder / "saved_model", save_format="tf", save_traces=False)
    # A training step of length 0 leaves the weights as they are and makes the optimizer's moments.
    model.compile(tf.keras.optimizers.Adam(0.0), "mse")
    model.fit(X, np.zeros((BATCH, STEPS, 2), np.float32), verbose=0)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(folder / "train")
    (folder / "checkpoint").unlink()  # the name of the newest one

    answers: dict[str, Any] = {"versions": f"keras {package.__version__}, tensorflow {tf.__version__}"}
    given = X
    cells = [layers.RNN(cell, return_sequences=True, name=f"stack_{k}") for k, cell in enumerate(named[3].cell.cells)]
    for layer in [*named[:3], *cells]:
        answers[f"{layer.name}|x"] = given
        answers[f"{layer.name}|y"] = given = layer(given).numpy()
    np.testing.assert_array_equal(given, named[3](answers["stack_0|x"]))
    return answers


def jax(folder: Path) -> dict[str, Any]:
    """Flax's linen modules as msgpack, and Haiku's parameters as a pickle and as an npz."""
    import flax
    import haiku as hk
    import jax as package
    from flax import linen as nn
    from flax import serialization

    answers: dict[str, Any] = {
        "versions": f"jax {package.__version__}, flax {flax.__version__}, dm-haiku {hk.__version__}"
    }

    def with_drawn_weights(model: Any) -> tuple[Any, Any]:
        """Parameters as the framework's own arrays, and its outputs with them."""
        shapes = model.init(package.random.key(0), X)
        params = package.tree_util.tree_map(lambda leaf: package.numpy.asarray(drawn(leaf.shape)), shapes)
        return params, model.apply(params, X)

    def answer(name: str, x: Any, y: Any) -> None:
        answers[f"{name}|x"], answers[f"{name}|y"] = np.asarray(x), np.asarray(y)

    def rnn(units: int) -> Any:
        return nn.RNN(nn.OptimizedLSTMCell(units))

    for stem, model in (
        ("plain", nn.RNN(nn.LSTMCell(4))),
        ("both", nn.Bidirectional(rnn(3), rnn(3))),
        ("stack", nn.Sequential([rnn(3), rnn(3)])),
    ):
        params, y = with_drawn_weights(model)
        (folder / f"{stem}.msgpack").write_bytes(serialization.to_bytes(params))
        answer(stem, X, y)
    first, second = ({"params": params["params"][f"layers_{k}"]} for k in range(2))
    between = rnn(3).apply(first, X)
    answer("stack_0", X, between)
    answer("stack_1", between, rnn(3).apply(second, between))
    np.testing.assert_array_equal(answers["stack_1|y"], answers.pop("stack|y"))
    del answers["stack|x"]

    def unrolled(x: Any) -> Any:
        core = hk.LSTM(4)
        return hk.dynamic_unroll(core, x, core.initial_state(BATCH), time_major=False)[0]

    params, y = with_drawn_weights(hk.without_apply_rng(hk.transform(unrolled)))
    (folder / "haiku.pkl").write_bytes(pickle.dumps(params))
    flat = {f"{module}/{name}": array for module, own in params.items() for name, array in own.items()}
    np.savez(folder / "haiku.npz", **flat)
    answer("haiku", X, y)
    return answers


if __name__ == "__main__":
    kind, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True)
    np.savez(target / "answers.npz", **{"keras": keras, "jax": jax}[kind](target))
