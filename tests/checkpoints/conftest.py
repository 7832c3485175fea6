"""Files that the real frameworks write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import needs
from ..helpers import run_python

#: Run by a fresh interpreter, because Keras fixes its backend on import.
WRITE_KERAS_FILES = r"""
import sys
from pathlib import Path
import keras
import numpy as np
from keras import layers

folder = Path(sys.argv[1])
rng = np.random.default_rng(7)
truth = {}

def recurrent(layer):
    return isinstance(layer, (layers.RNN, layers.Bidirectional))

def fill_and_save(model, stem, named):
    for name, layer in named.items():
        layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
        for k, array in enumerate(layer.get_weights()):
            array = np.asarray(array)
            truth[f"{stem}|{name}|{k}"] = array.view("uint16") if array.dtype.itemsize == 2 else array
    model.save(folder / f"{stem}.keras")
    model.save_weights(folder / f"{stem}.weights.h5")

def all_recurrent(model):
    found = {}
    for layer in model.layers:
        if recurrent(layer):
            found[layer.name] = layer
        elif hasattr(layer, "layers"):
            found.update(all_recurrent(layer))
    return found

sequential = keras.Sequential([
    layers.Input((7, 5)),
    layers.LSTM(4, return_sequences=True, name="encoder"),
    layers.Bidirectional(layers.LSTM(3), name="both", merge_mode="sum"),
    layers.Dense(1),
])
fill_and_save(sequential, "sequential", all_recurrent(sequential))

inner_in = keras.Input((7, 5))
inner = keras.Model(inner_in, layers.LSTM(2, return_sequences=True, name="nested")(inner_in), name="inner")
x = keras.Input((7, 5))
h = inner(x)
h = layers.Bidirectional(layers.LSTM(3, return_sequences=True, activation="relu", name="ignored"), name="both")(h)
h = layers.Lambda(lambda t: t * 2.0)(h)
h = layers.LSTM(4, return_sequences=True, name="hard", recurrent_activation="hard_sigmoid")(h)
h = layers.LSTM(4, return_sequences=True, name="odd", activation="elu")(h)
h = layers.LSTM(4, return_sequences=True, name="backward", go_backwards=True, use_bias=False, dropout=0.1)(h)
h = layers.RNN(layers.LSTMCell(2), return_sequences=True, name="by_cell")(h)
h = layers.GRU(4, return_sequences=True, name="gru")(h)
functional = keras.Model(x, layers.SimpleRNN(4, name="simple")(h))
fill_and_save(functional, "functional", all_recurrent(functional))

class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.enc = layers.LSTM(4, return_sequences=True, name="my_encoder")
        self.bi = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="my_both")
        self.many = [layers.LSTM(2, return_sequences=True, name=f"many_{k}") for k in range(2)]
        self.stack = layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)], name="stack")
        self.gru = layers.GRU(4)

    def call(self, x):
        for layer in [self.enc, self.bi, *self.many, self.stack]:
            x = layer(x) if layer is not self.stack else (self.gru(x), layer(x))
        return x

own = Own()
own(np.zeros((2, 7, 5), "float32"))
fill_and_save(own, "subclassed", {l.name: l for l in [own.enc, own.bi, *own.many, own.stack]})

half = keras.Sequential([
    layers.Input((3, 5)),
    layers.LSTM(4, name="half", dtype="bfloat16", recurrent_initializer="zeros"),
])
fill_and_save(half, "bfloat16", {"half": half.layers[0]})
np.savez(folder / "truth.npz", **truth)
"""


@pytest.fixture(scope="session")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `.keras` and `.weights.h5` files that Keras wrote, and `truth.npz` with its own arrays."""
    needs("keras", "torch", "h5py")
    folder = tmp_path_factory.mktemp("keras")
    run_python(WRITE_KERAS_FILES, folder, KERAS_BACKEND="torch")
    return folder


def litert(script: str, folder: Path, *modules: str, **environment: str) -> Path:
    """Fill the folder with LiteRT models, and what the interpreter answers, by a script beside the tests of LiteRT."""
    needs("tensorflow", *modules)
    run_python(Path(__file__).parent / "litert" / script, folder, KERAS_BACKEND="tensorflow", **environment)
    return folder


@pytest.fixture(scope="session")
def litert_operators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT models of single operators."""
    return litert("litert_operators.py", tmp_path_factory.mktemp("operators"), "flatbuffers")


@pytest.fixture(scope="session")
def litert_loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT models that the converter made of Keras 3."""
    return litert("litert_converted.py", tmp_path_factory.mktemp("loops"), "keras")


@pytest.fixture(scope="session")
def repack() -> Callable[..., Path]:
    """`repack(source, target)`: an HDF5 file with the same content in the newest form of objects."""
    h5py = pytest.importorskip("h5py")

    def copy(old: Any, new: Any) -> None:
        for key in old.attrs:
            attribute = old.attrs.get_id(key)
            new.attrs.create(key, old.attrs[key], shape=attribute.shape, dtype=attribute.dtype)
        for key, item in old.items() if isinstance(old, h5py.Group) else ():
            group = isinstance(item, h5py.Group)
            copy(item, new.create_group(key) if group else new.create_dataset(key, data=item[()]))

    def repacked(source: Path, target: Path, **options: Any) -> Path:
        with h5py.File(source) as old, h5py.File(target, "w", libver="latest", **options) as new:
            copy(old, new)
        assert b"OHDR" in target.read_bytes(), "no object header of version 2"
        return target

    return repacked
