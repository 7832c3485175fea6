"""SavedModels of Keras 2, whose metadata say what the variables do not: activations and directions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import Case, CheckpointError, Result, judge
from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2

from ...conftest import needs
from ...helpers import run_python
from ..damage import refusal

pytestmark = pytest.mark.framework

WRITE = r"""
import sys
import numpy as np, tensorflow as tf, tf_keras as keras
L, folder, rng = keras.layers, sys.argv[1], np.random.default_rng(7)
layers = [
    L.Bidirectional(L.LSTM(3, return_sequences=True), name="both"),
    L.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid", name="hard"),
    L.LSTM(2, return_sequences=True, go_backwards=True, activation="relu", name="back"),
]
x = rng.normal(size=(2, 7, 5)).astype("float32")
model = keras.Sequential([L.InputLayer((7, 5)), *layers])
model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
model.save(f"{folder}/saved", save_format="tf")
odd = keras.Sequential([L.InputLayer((7, 5)), L.LSTM(3, activation="selu", name="odd")])
odd.save(f"{folder}/odd", save_format="tf")
seen = {"x": x}
for layer in layers:
    seen[layer.name] = x = layer(x).numpy()
np.savez(f"{folder}/seen.npz", **seen)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("tensorflow", "tf_keras")
    made = tmp_path_factory.mktemp("keras2")
    run_python(WRITE, made)
    return made


def test_what_is_read_is_what_keras_computes(folder: Path) -> None:
    lstms = {lstm.name: lstm.weights for lstm in read_checkpoint(folder / "saved").lstms}
    assert set(lstms) == {"both", "hard", "back"}
    assert lstms["both"].spec.bidirectional
    assert lstms["hard"].spec.gate_activation == HARD_SIGMOID_KERAS2
    assert (lstms["back"].spec.reverse, lstms["back"].spec.output_activation) == (True, "relu")
    with np.load(folder / "seen.npz") as seen:
        for name, given in (("both", "x"), ("hard", "both"), ("back", "hard")):
            # Keras gives what it read backwards in the order in which it was read.
            y = seen[name][:, ::-1] if name == "back" else seen[name]
            verdict = judge(Result(y=y), Case(weights=lstms[name], x=seen[given]))
            assert verdict.verdict == "match", (name, verdict)


def test_without_its_metadata_the_defaults_are_noted(folder: Path, tmp_path: Path) -> None:
    """The mistake that the metadata prevent: a hard sigmoid taken for a sigmoid is seen by the judge."""
    shutil.copytree(folder / "saved", tmp_path / "saved")
    (tmp_path / "saved" / "keras_metadata.pb").unlink()
    lstm = next(lstm for lstm in read_checkpoint(tmp_path / "saved").lstms if lstm.name == "hard")
    assert lstm.notes == ("the file says nothing of activations; sigmoid and tanh are taken",)
    with np.load(folder / "seen.npz") as seen:
        assert judge(Result(y=seen["hard"]), Case(weights=lstm.weights, x=seen["both"])).verdict == "mismatch"


def test_an_activation_without_a_canonical_form_is_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"an LSTM, not read: its activation selu has no canonical form"):
        load(folder / "odd")


def test_damaged_metadata_are_refused_or_say_less(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "saved", tmp_path / "saved")
    file = tmp_path / "saved" / "keras_metadata.pb"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert "keras_metadata.pb is damaged" in refusal(tmp_path / "saved")
    file.write_bytes(b"")
    assert len(read_checkpoint(tmp_path / "saved").lstms) == 3
