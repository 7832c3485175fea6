"""What SavedModels and checkpoints of Keras say of their layers, written by hand as Keras 2 writes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.options import KerasOptions
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2

from ...conftest import needs
from ...helpers import run_python

pytestmark = pytest.mark.framework

WRITE = r"""
import sys
import numpy as np, tensorflow as tf
rng = np.random.default_rng(0)
shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
cell = {name: tf.Variable(rng.normal(size=shape), name=f"rec/lstm_cell/{name}") for name, shape in shapes.items()}
tf.train.Checkpoint(rec=tf.train.Checkpoint(cell=tf.train.Checkpoint(**cell))).write(sys.argv[1])
"""
VALUES = {"name": "rec", "activation": "relu", "recurrent_activation": "hard_sigmoid"}


def message(number: int, data: bytes) -> bytes:
    """A field of a protobuf message, of less than 16 KB."""
    return bytes([8 * number + 2, len(data) & 127 | 128, len(data) >> 7]) + data


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The variables of one LSTM, `rec`, as TensorFlow writes them."""
    needs("tensorflow")
    folder = tmp_path_factory.mktemp("variables")
    run_python(WRITE, folder / "variables")
    return folder


@pytest.fixture
def saved_model(variables: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a SavedModel whose metadata list these layers."""

    def make(*layers: dict[str, Any]) -> Path:
        folder = tmp_path / "m"
        shutil.copytree(variables, folder / "variables")
        (folder / "saved_model.pb").write_bytes(b"")
        nodes = [message(1, message(5, json.dumps(layer).encode())) for layer in layers]
        if layers:
            (folder / "keras_metadata.pb").write_bytes(b"".join(nodes))
        return folder

    return make


def test_the_config_is_applied(saved_model: Callable[..., Path]) -> None:
    path = saved_model({"class_name": "LSTM", "config": {**VALUES, "time_major": True}})
    (lstm,) = read_checkpoint(path).lstms
    spec = lstm.weights.spec
    assert (spec.gate_activation, spec.cell_activation) == (HARD_SIGMOID_KERAS2, "relu")
    assert [note.partition(":")[0] for note in lstm.notes] == ["time_major"]


@pytest.mark.parametrize("class_name", ["Mine", "Custom>Mine", "Custom>LSTM"])
def test_a_class_that_is_not_keras_own_is_accepted_by_name(saved_model: Callable[..., Path], class_name: str) -> None:
    path = saved_model({"class_name": class_name, "config": VALUES})
    name = class_name.rpartition(">")[2]
    (unread,) = read_checkpoint(path).unread
    assert f"add --accept-class {name}" in unread.why
    (lstm,) = read_checkpoint(path, keras=KerasOptions(accept_class=(name,))).lstms
    assert lstm.weights.spec.cell_activation == "relu"
    assert "--accept-class says" in lstm.notes[0]


def test_different_layers_of_one_name_are_not_read(saved_model: Callable[..., Path]) -> None:
    other = {**VALUES, "activation": "tanh"}
    layers = [{"class_name": "LSTM", "config": values} for values in (VALUES, other)]
    (unread,) = read_checkpoint(saved_model(*layers)).unread
    assert "several layers named rec" in unread.why


def test_what_is_not_in_the_file_is_given_by_hand(saved_model: Callable[..., Path]) -> None:
    path = saved_model()
    (lstm,) = read_checkpoint(path, keras=KerasOptions(None, "relu", "hard_sigmoid", True)).lstms
    spec = lstm.weights.spec
    assert (spec.gate_activation, spec.cell_activation, spec.reverse) == (HARD_SIGMOID_KERAS2, "relu", True)
    assert "--recurrent-activation says hard_sigmoid:0.2,0.5" in lstm.notes
    assert read_checkpoint(path).lstms[0].weights.spec.is_plain


def test_the_config_of_the_user_is_applied(saved_model: Callable[..., Path], tmp_path: Path) -> None:
    path = saved_model()
    for name, layers in (("rec", [{"class_name": "LSTM", "config": VALUES}]), ("none", [])):
        config = tmp_path / f"{name}.json"
        config.write_text(json.dumps({"class_name": "Sequential", "config": {"layers": layers}}))
        checkpoint = read_checkpoint(path, keras=KerasOptions(config))
        if layers:
            assert checkpoint.lstms[0].weights.spec.cell_activation == "relu"
        else:
            assert "--keras-config has no LSTM" in checkpoint.unread[0].why


EXTENDED = r"""
import sys
import numpy as np, tensorflow as tf
shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
def own():
    return {name: tf.Variable(np.ones(shape)) for name, shape in shapes.items()}
peepholes = {f"{gate}_gate_peephole_weights": tf.Variable(np.ones(4)) for gate in ("input", "forget", "output")}
normalised = {"kernel_norm": tf.train.Checkpoint(gamma=tf.Variable(np.ones(16)))}
convolutional = {name: tf.Variable(np.ones((2, *shape) if len(shape) > 1 else shape)) for name, shape in shapes.items()}
cells = {"plain": own(), "peepholes": {**own(), **peepholes}, "normalised": {**own(), **normalised}}
cells["convolutional"] = convolutional
layers = {name: tf.train.Checkpoint(cell=tf.train.Checkpoint(**cell)) for name, cell in cells.items()}
tf.train.Checkpoint(**layers).write(sys.argv[1])
"""


def test_cells_of_another_kind_are_not_read(tmp_path: Path) -> None:
    needs("tensorflow")
    run_python(EXTENDED, tmp_path / "m")
    checkpoint = read_checkpoint(tmp_path / "m.index")
    assert [lstm.name for lstm in checkpoint.lstms] == ["plain"]
    assert {lstm.name for lstm in checkpoint.unread} == {"peepholes", "normalised", "convolutional"}


def test_tf1_says_its_functions_itself(saved_model: Callable[..., Path]) -> None:
    path = saved_model()
    with pytest.raises(CheckpointError, match="holds no LSTM of Keras, so leave the options"):
        read_checkpoint(path, "tf1", keras=KerasOptions(activation="relu"))
