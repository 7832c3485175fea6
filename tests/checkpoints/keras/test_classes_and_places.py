"""Layers of Keras files: whose class they are of, where they lie, and which are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.options import KerasOptions
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2

from ...helpers import keras_backend, run_python
from .older_files import agrees, arrays, layer, unread, weights_only, whole

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.framework


@pytest.mark.parametrize("class_name", ["Traced", "Custom>Traced", "Custom>LSTM"])
def test_a_class_that_is_not_keras_own_is_accepted_by_name(
    tmp_path: Path, class_name: str, given: dict[str, Any]
) -> None:
    values = {"units": 4, "activation": "relu", "recurrent_activation": "sigmoid"}
    path = whole(tmp_path / "m.h5", [layer(class_name, "rec", **values)], {"rec/rec/lstm_cell": arrays()})
    name = class_name.rpartition(">")[2]
    assert f"add --accept-class {name}" in unread(read_checkpoint(path))["rec"]
    assert "rec" in unread(read_checkpoint(path, keras=KerasOptions(accept_class=("Other",))))
    checkpoint = read_checkpoint(path, keras=KerasOptions(accept_class=(name,)))
    assert agrees(checkpoint, given["sigmoid|relu"])
    assert not agrees(checkpoint, given["sigmoid|tanh"])
    assert f"its class is {name}, not Keras' own" in checkpoint.lstms[0].notes[0]


ARCHIVES = r"""
import sys
from pathlib import Path
import keras
from keras import layers

@keras.saving.register_keras_serializable("mine")
class LSTM(layers.LSTM):
    pass

@keras.saving.register_keras_serializable("mine")
class Both(layers.Bidirectional):
    pass

x = keras.Input((6, 5))
h = LSTM(4, activation="relu", return_sequences=True, name="own")(x)
h = Both(layers.LSTM(3, activation="relu", return_sequences=True), name="both")(h)
h = layers.LSTM(4, return_sequences=True, activation="elu", name="elu")(h)
h = layers.LSTM(4, return_sequences=True, name="plain")(h)
model = keras.Model(x, h)
backward = layers.LSTM(4, name="g", go_backwards=True)
steps = [
    keras.Input((4, 6, 5)), layers.TimeDistributed(layers.Bidirectional(layers.LSTM(3), name="inner"), name="timed"),
    layers.Bidirectional(layers.LSTM(3, return_sequences=True, activation="relu"), name="both"),
    layers.Bidirectional(layers.LSTM(4, name="f"), "concat", backward_layer=backward, name="two"),
]
line = keras.Sequential(steps)
for suffix in (".keras", ".h5"):
    model.save(Path(sys.argv[1]) / f"m{suffix}")
    line.save(Path(sys.argv[1]) / f"line{suffix}")
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("archives")
    run_python(ARCHIVES, folder, KERAS_BACKEND=keras_backend())
    return folder


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_one_rule_for_all_files_of_keras(archives: Path, name: str) -> None:
    assert unread(read_checkpoint(archives / name)).keys() >= {"own", "elu"}
    assert [lstm.name for lstm in read_checkpoint(archives / name).lstms] == ["plain"]
    checkpoint = read_checkpoint(archives / name, keras=KerasOptions(accept_class=("LSTM", "Both")))
    specs = {lstm.name: lstm.weights.spec for lstm in checkpoint.lstms}
    assert list(specs) == ["own", "both", "plain"]
    assert specs["own"].cell_activation == specs["both"].cell_activation == "relu"
    assert specs["both"].bidirectional
    assert unread(checkpoint) == {"elu": "its activation elu has no canonical form"}


UNREGISTERED = r"""
import sys
import keras
from keras import layers

class LSTM(layers.LSTM):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return super().call(sequences, initial_state, mask, training) * 0.5

x = keras.Input((6, 5))
half = LSTM(4, return_sequences=True, name="half")(x)
keras.Model(x, layers.LSTM(4, name="plain")(half)).save(sys.argv[1])
"""


def test_a_class_that_only_bears_the_name_of_keras_own_is_foreign(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    run_python(UNREGISTERED, tmp_path / "m.keras", KERAS_BACKEND=keras_backend())
    checkpoint = read_checkpoint(tmp_path / "m.keras")
    assert [lstm.name for lstm in checkpoint.lstms] == ["plain"]
    assert "add --accept-class LSTM" in unread(checkpoint)["half"]
    accepted = read_checkpoint(tmp_path / "m.keras", keras=KerasOptions(accept_class=("LSTM",)))
    assert [lstm.name for lstm in accepted.lstms] == ["half", "plain"]


def test_both_files_of_a_model_read_the_same(archives: Path) -> None:
    """The older kind has scopes of models and wrappers, and names of backward layers that the user makes."""
    lstms = [
        {lstm.name: lstm.weights for lstm in read_checkpoint(archives / f"line.{s}").lstms} for s in ("keras", "h5")
    ]
    assert lstms[0] == lstms[1]
    assert list(lstms[0]) == ["inner", "both", "two"]
    assert all(weights.spec.bidirectional for weights in lstms[0].values())


def test_what_an_accepted_class_does_not_say_is_noted(tmp_path: Path) -> None:
    path = whole(tmp_path / "m.h5", [layer("Mine", "rec", activation="relu")], {"rec/rec": arrays()}, "2.2.0")
    (lstm,) = read_checkpoint(path, keras=KerasOptions(accept_class=("Mine",))).lstms
    assert lstm.weights.spec.gate_activation == HARD_SIGMOID_KERAS2
    assert "its config says nothing of recurrent_activation; Keras' default is taken" in lstm.notes


def test_weights_of_a_foreign_class_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as root:
        root.create_group("layers/shim/vars").attrs["name"] = "rec"
        for number, array in enumerate(arrays().values()):
            root[f"layers/shim/cell/vars/{number}"] = array
    (lstm,) = read_checkpoint(path).lstms
    assert any("its class, by its group shim, is not Keras' own" in note for note in lstm.notes)


def test_a_wrapper_keeps_what_its_layer_says(tmp_path: Path, given: dict[str, Any]) -> None:
    inner = layer("LSTM", "inner", units=4, activation="relu", recurrent_activation="sigmoid")
    path = whole(tmp_path / "m.h5", [layer("TimeDistributed", "td", layer=inner)], {"td/td/lstm_cell": arrays()})
    checkpoint = read_checkpoint(path)
    assert agrees(checkpoint, given["sigmoid|relu"])
    assert not agrees(checkpoint, given["sigmoid|tanh"])


def test_a_model_in_a_wrapper_keeps_what_its_layers_say(tmp_path: Path, given: dict[str, Any]) -> None:
    inner = layer("LSTM", "n1", units=4, activation="relu", recurrent_activation="sigmoid")
    model = {"class_name": "Sequential", "config": {"name": "inner", "layers": [inner]}}
    path = whole(tmp_path / "m.h5", [layer("TimeDistributed", "td", layer=model)], {"td/n1/lstm_cell": arrays()})
    assert agrees(read_checkpoint(path), given["sigmoid|relu"])


SIDES = {"bi/bi_1/forward_rec/lstm_cell": arrays(1), "bi/bi_1/backward_rec/lstm_cell": arrays(2)}


@pytest.mark.parametrize("config", [True, False])
def test_scopes_made_unique_are_one_layer(tmp_path: Path, config: bool) -> None:
    """A model that TensorFlow 1 loads twice in one graph has scopes `bi_1` and `lstm_2` in layers `bi`, `lstm`."""
    stored = {**SIDES, "lstm/lstm_2": arrays(3, width=8), "lstm_1/lstm_1_1": arrays(4, width=4)}
    plain = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid"}
    listed = [
        layer("Bidirectional", "bi", layer=layer("LSTM", "rec", **plain)),
        layer("LSTM", "lstm", **plain), layer("LSTM", "lstm_1", **plain),
    ]  # fmt: skip
    path = whole(tmp_path / "m.h5", listed, stored) if config else weights_only(tmp_path / "m.h5", "2.15.0", stored)
    lstms = {lstm.name: lstm.weights for lstm in read_checkpoint(path).lstms}
    assert lstms.keys() == {"bi", "lstm", "lstm_1"}
    assert lstms["bi"].spec.bidirectional
    for cell, seed in zip(lstms["bi"].layers[0], (1, 2), strict=True):
        np.testing.assert_array_equal(cell.W[0], arrays(seed)["kernel"][:, :4].T)
    for name, seed, width in (("lstm", 3, 8), ("lstm_1", 4, 4)):
        np.testing.assert_array_equal(lstms[name].cell(0, 0).W[0], arrays(seed, width)["kernel"][:, :4].T)


def test_time_major_is_noted(tmp_path: Path) -> None:
    values = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid", "time_major": True}
    path = whole(tmp_path / "m.h5", [layer("LSTM", "rec", **values)], {"rec/rec": arrays()})
    assert any(note.startswith("time_major") for note in read_checkpoint(path).lstms[0].notes)


PEEPHOLES = {f"{gate}_gate_peephole_weights": np.ones(4, np.float32) for gate in ("input", "forget", "output")}
KERAS_1 = {f"rec_{part}_{gate}": np.ones((4, 4), np.float32) for gate in "icfo" for part in "WU"}
CONVOLUTIONAL = {
    "kernel": np.ones((2, 5, 16), np.float32), "recurrent_kernel": np.ones((2, 4, 16), np.float32),
    "bias": np.ones(16, np.float32),
}  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ({"rec/rec": {**arrays(), **PEEPHOLES}}, "it has 6 variables"),
        ({"rec/rec/cell": arrays(), "rec/rec/cell/kernel_norm": {"gamma": np.ones(16, np.float32)}}, "of its own"),
        ({"rec/rec": CONVOLUTIONAL}, "not an LSTM of vectors"),
        ({"rec": KERAS_1}, "Keras 1 stores its gates apart"),
        ({"rec/rec": {name: array.astype(np.int32) for name, array in arrays().items()}}, "stored as int32"),
    ],
    ids=["peepholes", "normalised", "convolutional", "keras-1", "integers"],
)
def test_an_lstm_that_is_not_read_is_marked(tmp_path: Path, stored: dict[str, Any], why: str) -> None:
    checkpoint = read_checkpoint(weights_only(tmp_path / "m.h5", "2.15.0", {**stored, "plain/plain": arrays()}))
    assert [lstm.name for lstm in checkpoint.lstms] == ["plain"]
    (reason,) = unread(checkpoint).values()
    assert why in reason


def test_an_lstm_of_the_config_without_weights_is_marked(tmp_path: Path) -> None:
    plain = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid"}
    listed = [layer("LSTM", "a", **plain), layer("LSTM", "b", **plain), layer("Dense", "c"), layer("GRU", "d")]
    checkpoint = read_checkpoint(whole(tmp_path / "m.h5", listed, {"a/a": arrays()}))
    assert unread(checkpoint) == {"b": "the config has this LSTM, but the file has no weights of it"}


def test_a_gru_and_a_dense_layer_are_no_unread_lstm(tmp_path: Path) -> None:
    gru = {"kernel": np.ones((5, 12), "f4"), "recurrent_kernel": np.ones((4, 12), "f4"), "bias": np.ones(12, "f4")}
    dense = {"kernel": np.ones((4, 16), "f4"), "bias": np.ones(16, "f4")}
    stored = {"lstm_gru/lstm_gru": gru, "lstm_dense/lstm_dense": dense, "plain/plain": arrays()}
    assert unread(read_checkpoint(weights_only(tmp_path / "m.h5", "2.15.0", stored))) == {}
