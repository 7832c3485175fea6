"""Names of other frameworks in a written `.keras`, which Keras itself loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import LSTMSpec, LSTMWeights

from ..helpers import keras_backend, run_python

pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

LOAD = r"""
import sys
import keras
model = keras.saving.load_model(sys.argv[1])
print(*[layer.name for layer in model.layers if isinstance(layer, keras.layers.LSTM)])
"""


def weights(seed: int, num_layers: int = 1) -> LSTMWeights:
    return LSTMWeights.random(LSTMSpec(4, 4, num_layers), seed=seed)


def test_keras_loads_names_with_slashes_and_dots(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    lstms = {"enc/LSTM": weights(1), "encoder.rnn": weights(2, 2), "plain": weights(3)}
    path = tmp_path / "m.keras"
    write_checkpoint(path, lstms)
    names = {"enc_LSTM", "encoder_rnn_0", "encoder_rnn_1", "plain"}
    back = {lstm.name: lstm.weights for lstm in read_checkpoint(path).lstms}
    assert back.keys() == names
    np.testing.assert_array_equal(back["enc_LSTM"].cell(0, 0).W, lstms["enc/LSTM"].cell(0, 0).W)
    assert set(run_python(LOAD, path, KERAS_BACKEND=keras_backend()).split()) == names


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="add --rename a/b=NEW"):
        write_checkpoint(tmp_path / "m.keras", {"a_b": weights(1), "a/b": weights(2)})
