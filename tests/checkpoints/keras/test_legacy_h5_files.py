"""The older Keras `.h5`, written by Keras 3 and tf_keras, and in the shapes of TF 1.15 and of CuDNNLSTM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import LSTMSpec, LSTMWeights
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

from ...helpers import keras_backend, run_python
from ..damage import outcomes_of_alterations
from ..weights import assert_columns, lstms_in

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

WRITE = r"""
import sys
from pathlib import Path
import numpy as np
keras = __import__(sys.argv[2])
L, folder, rng, truth = keras.layers, Path(sys.argv[1]), np.random.default_rng(7), {}
inner_in = keras.Input((7, 5))
inner = keras.Model(inner_in, L.LSTM(3, return_sequences=True, name="nested")(inner_in), name="inner")
x = keras.Input((7, 5))
h = inner(x)
layers = [
    L.LSTM(4, return_sequences=True, name="hard", recurrent_activation="hard_sigmoid"),
    L.Bidirectional(L.LSTM(3, return_sequences=True), name="both"),
    L.LSTM(2, return_sequences=True, go_backwards=True, use_bias=False, name="back"),
    L.RNN([L.LSTMCell(3), L.LSTMCell(2)], return_sequences=True, name="stack"),
    L.RNN(L.LSTMCell(3), return_sequences=True, name="by_cell"),
    L.GRU(3, name="gru"),
]
for layer in layers:
    h = layer(h)
model = keras.Model(x, L.Dense(1)(h))
model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
for layer in [inner.layers[-1], *layers]:
    for k, array in enumerate(layer.get_weights()):
        truth[f"{layer.name}|{k}"] = array
model.save(folder / "model.h5")
if sys.argv[2] == "tf_keras":
    model.save_weights(folder / "weights.h5")
    # Trained without a change of the weights; Adam keeps moments under the names of the weights.
    model.compile(keras.optimizers.Adam(0.0), "mse")
    model.fit(np.zeros((2, 7, 5)), np.zeros((2, 7, 1)), verbose=0)
    model.save(folder / "model.h5")
np.savez(folder / "truth.npz", **truth)
"""


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Which Keras wrote the folder's files, and the folder."""
    pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    run_python(WRITE, folder, request.param, KERAS_BACKEND=keras_backend())
    return request.param, folder


def truth(folder: Path, layer: str) -> list[Any]:
    with np.load(folder / "truth.npz") as saved:
        return [saved[name] for name in saved.files if name.startswith(f"{layer}|")]


def test_every_lstm_is_read_bit_for_bit(written: tuple[str, Path]) -> None:
    which, folder = written
    files = ["model.h5", "weights.h5"] if which == "tf_keras" else ["model.h5"]
    for file in files:
        models = lstms_in(folder / file)
        assert set(models) == {"nested", "hard", "both", "back", "stack/lstm_cell", "stack/lstm_cell_1", "by_cell"}
        for name in ("nested", "hard", "back", "by_cell"):
            assert_columns(models[name].weights.layers[0][0], *truth(folder, name))
        for cell, theirs in zip(models["both"].weights.layers[0], (slice(3), slice(3, 6)), strict=True):
            assert_columns(cell, *truth(folder, "both")[theirs])
        assert_columns(models["stack/lstm_cell"].weights.layers[0][0], *truth(folder, "stack")[:3])
        assert_columns(models["stack/lstm_cell_1"].weights.layers[0][0], *truth(folder, "stack")[3:])


def test_the_config_gives_function_and_direction(written: tuple[str, Path]) -> None:
    which, folder = written
    models = lstms_in(folder / "model.h5")
    steep = HARD_SIGMOID_KERAS2 if which == "tf_keras" else HARD_SIGMOID_KERAS3
    assert models["hard"].weights.spec == LSTMSpec(3, 4, bias="single", gate_activation=steep)
    assert models["back"].weights.spec == LSTMSpec(6, 2, bias="none", reverse=True)
    assert models["nested"].notes == ()


def test_weights_alone_say_what_is_assumed(written: tuple[str, Path]) -> None:
    which, folder = written
    if which == "keras":
        pytest.skip("Keras 3 writes no weights of the older kind")
    for lstm in lstms_in(folder / "weights.h5").values():
        assert "Keras' defaults are taken" in lstm.notes[0]


@pytest.mark.parametrize("options", [{}, {"track_order": True}], ids=["plain", "ordered"])
def test_a_repacked_file_reads_the_same(
    written: tuple[str, Path], tmp_path: Path, repack: Callable[..., Path], options: dict[str, bool]
) -> None:
    original = read_checkpoint(written[1] / "model.h5")
    repacked = read_checkpoint(repack(written[1] / "model.h5", tmp_path / "model.h5", **options))
    assert repacked.topology == original.topology
    for ours, theirs in zip(repacked.lstms, original.lstms, strict=True):
        assert (ours.name, ours.weights, ours.notes) == (theirs.name, theirs.weights, theirs.notes)
    assert {str(tensor) for tensor in repacked.other} == {str(tensor) for tensor in original.other}


def older(path: Path, arrays: dict[str, Any], class_name: str, version: bytes, **config: Any) -> Path:
    """A file as TF 1.15 writes it: no `lstm_cell` level, the version of tf.keras, a backward layer left unsaid."""
    values = {"name": "rec", "recurrent_activation": "hard_sigmoid", "activation": "tanh", **config}
    model = {"class_name": "Sequential", "config": {"layers": [{"class_name": class_name, "config": values}]}}
    with h5py.File(path, "w") as root:
        root.attrs["model_config"] = json.dumps(model).encode()
        root.attrs["keras_version"] = version
        group = root.create_group("model_weights")
        group.attrs["layer_names"] = [b"rec"]
        for name, array in arrays.items():
            group[f"rec/rec/{name}:0"] = array
    return path


def drawn(bias: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    shapes = {"kernel": (5, 16), "recurrent_kernel": (4, 16), "bias": (bias,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("version", [b"2.2.4-tf", b"2.3.1"])
def test_files_without_the_cell_level_mean_the_steep_hard_sigmoid(tmp_path: Path, version: bytes) -> None:
    arrays = drawn(bias=16)
    lstm = lstms_in(older(tmp_path / "m.h5", arrays, "LSTM", version))["rec"]
    assert lstm.weights.spec == LSTMSpec(5, 4, bias="single", gate_activation=HARD_SIGMOID_KERAS2)
    assert_columns(lstm.weights.layers[0][0], *arrays.values())


def test_cudnn_lstm_is_read_as_keras_itself_converts_it(tmp_path: Path) -> None:
    """The expression is Keras' own: transposed in C order, read in Fortran order; recurrent blocks transposed."""
    arrays = drawn(bias=32)
    path = older(tmp_path / "m.h5", arrays, "CuDNNLSTM", b"2.2.4-tf", recurrent_activation="sigmoid")
    lstm = lstms_in(path)["rec"]
    assert (lstm.layout, lstm.native_count) == ("cudnn-keras", 176)
    cell = lstm.weights.layers[0][0]
    assert cell.b is not None and cell.b_r is not None
    blocks = [np.hsplit(arrays[name], 4) for name in ("kernel", "recurrent_kernel")]
    for block, gate in enumerate("ifgo"):
        keras_kernel = blocks[0][block].T.reshape(5, 4, order="F")
        np.testing.assert_array_equal(cell.W[gate], keras_kernel.T)
        np.testing.assert_array_equal(cell.U[gate], blocks[1][block])
        np.testing.assert_array_equal(cell.b[gate], arrays["bias"][4 * block : 4 * block + 4])
        np.testing.assert_array_equal(cell.b_r[gate], arrays["bias"][16 + 4 * block : 20 + 4 * block])


LOAD = r"""
import sys
import numpy as np
keras = __import__(sys.argv[2])
L = keras.layers
model = keras.Sequential([
    L.InputLayer((7, 5)), L.LSTM(4, return_sequences=True), L.Bidirectional(L.LSTM(3, return_sequences=True)),
    L.LSTM(2),
])
model.load_weights(sys.argv[1])
np.savez(sys.argv[3], *model.get_weights())
"""


@pytest.mark.parametrize("which", ["keras", "tf_keras"])
def test_keras_loads_what_is_written(tmp_path: Path, which: str) -> None:
    pytest.importorskip(which)
    specs = {"a": LSTMSpec(5, 4), "b": LSTMSpec(4, 3, bidirectional=True), "c": LSTMSpec(6, 2)}
    lstms = {name: LSTMWeights.random(spec) for name, spec in specs.items()}
    write_checkpoint(tmp_path / "m.h5", lstms, format="keras-h5")
    run_python(LOAD, tmp_path / "m.h5", which, tmp_path / "got.npz", KERAS_BACKEND=keras_backend())
    with np.load(tmp_path / "got.npz") as saved:
        got = [saved[name] for name in saved.files]
    cells = [cell for name in lstms for cell in lstms_in(tmp_path / "m.h5")[name].weights.layers[0]]
    for number, cell in enumerate(cells):
        assert_columns(cell, *got[3 * number : 3 * number + 3])
    assert len(got) == 3 * len(cells)


@pytest.mark.parametrize(
    ("config", "reason"), [(b"{", "is not JSON"), (b"[" * 100_000, "is not JSON"), (b'{"a": 1}' * 2, "is not JSON")]
)
def test_a_damaged_config_is_refused(tmp_path: Path, config: bytes, reason: str) -> None:
    path = older(tmp_path / "m.h5", drawn(bias=16), "LSTM", b"2.3.1")
    with h5py.File(path, "r+") as root:
        root.attrs["model_config"] = config
    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(path)


def test_altered_bytes_are_refused_or_read(tmp_path: Path) -> None:
    path = older(tmp_path / "m.h5", drawn(bias=16), "LSTM", b"2.3.1")
    assert len(outcomes_of_alterations(path, path.read_bytes(), 200)) > 2


NORMALISED = r"""
import sys
import numpy as np
from pathlib import Path
import tf_keras as keras
L, folder, rng = keras.layers, Path(sys.argv[1]), np.random.default_rng(7)
last = [L.LSTM(4, input_shape=(7, 5)), L.BatchNormalization(name="norm"), L.Dense(1)]
across = [L.LSTM(4, return_sequences=True, input_shape=(7, 5)), L.BatchNormalization(axis=1, name="norm"), L.Dense(1)]
x = rng.normal(size=(3, 7, 5)).astype("float32")
for name, layers in (("last", last), ("across", across)):
    model = keras.Sequential(layers)
    model.set_weights([rng.uniform(0.1, 1, size=w.shape).astype("float32") for w in model.get_weights()])
    model.save(folder / f"{name}.h5")
    np.savez(folder / f"{name}.npz", x=x, y=model.predict(x, verbose=0))
"""


@pytest.mark.usefixtures("oracle_alone")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_normalisation_after_the_last_step_is_along_the_last_axis(tmp_path: Path) -> None:
    """Keras 2 writes that axis as 1; where there still are steps, 1 are these, and no other framework has that."""
    pytest.importorskip("tf_keras")
    keras = pytest.importorskip("keras")
    run_python(NORMALISED, tmp_path)
    lx.port(tmp_path / "last.h5", tmp_path / "last.keras")
    with np.load(tmp_path / "last.npz") as wanted:
        given = keras.saving.load_model(tmp_path / "last.keras").predict(wanted["x"], verbose=0)
        np.testing.assert_allclose(given, wanted["y"], rtol=1e-5, atol=1e-6)
    with pytest.raises(lx.DisagreementError, match="a BatchNormalization with an axis that has no canonical form"):
        lx.port(tmp_path / "across.h5", tmp_path / "across.keras")
