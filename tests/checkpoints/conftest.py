"""Files that the real frameworks write, and the one way in which a bad file may be refused."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import Checkpoint, read_checkpoint
from lstm_xcheck.errors import CheckpointError

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
def keras_backend() -> Callable[..., str]:
    """`keras_backend("torch", ...)`: the first of these backends of Keras that is installed; a file shows none."""

    def first_of(*wanted: str) -> str:
        for module in wanted:
            if importlib.util.find_spec(module) is not None:
                return module
        return str(pytest.skip(f"needs a backend of Keras: {', '.join(wanted)}"))

    return first_of


@pytest.fixture(scope="session")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `.keras` and `.weights.h5` files that Keras wrote, and `truth.npz` with its own arrays."""
    for module in ("keras", "torch", "h5py"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("keras")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRITE_KERAS_FILES, str(folder)],
        env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def keras_truth(keras_files: Path) -> Callable[[str, str], list[Any]]:
    """`keras_truth(file stem, layer name)` gives `layer.get_weights()` as Keras had them."""
    with np.load(keras_files / "truth.npz") as saved:
        arrays = dict(saved)

    def truth(stem: str, layer: str) -> list[Any]:
        found = [array for name, array in arrays.items() if name.startswith(f"{stem}|{layer}|")]
        assert found, f"no arrays recorded for {stem} {layer}"
        return found

    return truth


@pytest.fixture(scope="session")
def written_by() -> Callable[..., Path]:
    """`written_by(script, folder, *modules, **environment)` fills the folder by a script in a process of its own."""

    def run(script: str, folder: Path, *modules: str, **environment: str) -> Path:
        for module in modules:
            if importlib.util.find_spec(module) is None:
                pytest.skip(f"needs {module}")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("litert") / script), str(folder)],
            capture_output=True, text=True, check=False, timeout=400,
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return folder

    return run


@pytest.fixture(scope="session")
def litert_operators(tmp_path_factory: pytest.TempPathFactory, written_by: Callable[..., Path]) -> Path:
    """LiteRT models of single operators, and what the interpreter answers."""
    return written_by("litert_operators.py", tmp_path_factory.mktemp("operators"), "tensorflow", "flatbuffers")


@pytest.fixture(scope="session")
def litert_loops(tmp_path_factory: pytest.TempPathFactory, written_by: Callable[..., Path]) -> Path:
    """LiteRT models that the converter made of Keras 3, and what the interpreter answers."""
    return written_by("litert_converted.py", tmp_path_factory.mktemp("loops"), "tensorflow", "keras")


def every_number(path: Path) -> Checkpoint:
    """Read a file, and the weights of its LSTMs, which are lazy, as well."""
    checkpoint = read_checkpoint(path)
    for lstm in checkpoint.lstms:
        for _ in lstm.weights.cells():
            pass
    return checkpoint


@pytest.fixture
def refusal() -> Callable[[Path], str]:
    """Read a bad file, insist on exactly a CheckpointError of one sentence about that file, and return it."""

    def refuse(path: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            every_number(path)
        assert caught.type is CheckpointError
        message = str(caught.value)
        assert message.startswith(str(path))
        sentence = message[len(str(path)) :]
        assert "\n" not in sentence
        assert len(sentence) < 700
        assert not sentence.endswith(".")
        return sentence

    return refuse


@pytest.fixture
def write_safetensors(tmp_path: Path) -> Callable[..., Path]:
    """Write a safetensors file from a header (a dict, or bytes as they are) and data."""

    def write(header: Mapping[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path = tmp_path / "crafted.safetensors"
        path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
        return path

    return write


@pytest.fixture
def write_torch_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip archive as torch.save would, with any `data.pkl` and storages."""

    def write(
        pickled: bytes, storages: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
    ) -> Path:
        path = tmp_path / "crafted.pt"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("crafted/data.pkl", pickled)
            archive.writestr("crafted/byteorder", b"little")
            for key, data in (storages or {}).items():
                archive.writestr(f"crafted/data/{key}", data)
        return path

    return write
