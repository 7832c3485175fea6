"""Places of cells in the older `.h5`: stacks of cells, names with slashes, and what the config does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.checkpoints import read_checkpoint

from ...helpers import keras_backend, run_python
from .older_files import agrees, arrays, layer, unread, whole

pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

STACKS = r"""
import sys
import keras
from keras import layers

def stack(*names):
    cells = [layers.LSTMCell(4, activation="relu" if place else "tanh", name=name) for place, name in enumerate(names)]
    return layers.RNN(cells, return_sequences=True)

x = keras.Input((6, 5))
one = layers.RNN([layers.LSTMCell(4, activation="relu")], return_sequences=True)
y = layers.Bidirectional(stack("c", "d"))(one(stack("lstm_cell", "zz")(x)))
model = keras.Model(x, y)
for path in sys.argv[1:]:
    model.save(path)
"""


def test_stacks_of_cells_read_the_same_in_both_files(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    run_python(STACKS, tmp_path / "m.keras", tmp_path / "m.h5", KERAS_BACKEND=keras_backend())
    archive, older = (read_checkpoint(tmp_path / name) for name in ("m.keras", "m.h5"))
    assert not archive.unread
    assert not older.unread
    assert [lstm.weights for lstm in older.lstms] == [lstm.weights for lstm in archive.lstms]
    functions = [lstm.weights.spec.cell_activation for lstm in older.lstms]
    assert functions == ["tanh", "relu", "relu", "tanh", "relu", "tanh", "relu"]
    assert not any("default" in note for lstm in older.lstms for note in lstm.notes)


RELU = {"units": 4, "activation": "relu", "recurrent_activation": "sigmoid"}


@pytest.mark.parametrize("stack", ["stacked_rnn_cells_1", "st"])
def test_a_stack_of_one_cell_keeps_what_it_says(tmp_path: Path, stack: str, given: dict[str, Any]) -> None:
    cells = layer("StackedRNNCells", stack, cells=[layer("LSTMCell", "zz", **RELU)])
    path = whole(tmp_path / "m.h5", [layer("RNN", "rnn_1", cell=cells)], {f"rnn_1/rnn_1/{stack}/zz": arrays()})
    assert agrees(read_checkpoint(path), given["sigmoid|relu"])
    assert not agrees(read_checkpoint(path), given["sigmoid|tanh"])


def test_a_name_with_slashes_finds_its_config(tmp_path: Path, given: dict[str, Any]) -> None:
    stored = {"enc/dec/lstm/enc/dec/lstm/lstm_cell": arrays()}
    path = whole(tmp_path / "m.h5", [layer("LSTM", "enc/dec/lstm", **RELU)], stored)
    assert agrees(read_checkpoint(path), given["sigmoid|relu"])


def test_a_cell_that_the_config_lacks_is_not_read(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(whole(tmp_path / "m.h5", [layer("LSTM", "a", **RELU)], {"b/b/lstm_cell": arrays()}))
    assert not checkpoint.lstms
    assert unread(checkpoint)["b"] == "the config of the file has no layer for its weights"
