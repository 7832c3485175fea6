"""What the user adds to a Keras file, in every verb that reads one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.options import KerasOptions
from lstm_xcheck.oracle import forward

from ..helpers import Command

pytest.importorskip("h5py")

from ..checkpoints.keras.older_files import X, weights_only

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("oracle_alone")]

SIGMOID = ("--recurrent-activation", "sigmoid")


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A file of tf.keras, of TensorFlow 1 or 2."""
    return weights_only(tmp_path / "m.h5", "2.2.4-tf")


@pytest.mark.framework("onnx")
def test_verbs_refuse_a_silent_file_and_take_what_is_added(
    command: Command, numpy_adapters: None, silent: Path, tmp_path: Path
) -> None:
    (lstm,) = read_checkpoint(silent, keras=KerasOptions(recurrent_activation="sigmoid")).lstms
    case = lx.Case(weights=lstm.weights, x=X)
    np.savez(tmp_path / "seen.npz", x=X, y=forward(case).y.astype(np.float32))
    ported, seen = tmp_path / "m.onnx", tmp_path / "seen.npz"
    for verb in (
        ("inspect", silent),
        ("verify", silent, "--adapters", "honest"),
        ("diagnose", silent, seen),
        ("port", silent, ported),
    ):
        refused = command(*map(str, verb))
        assert (refused.code, "--recurrent-activation" in refused.err) == (2, True), verb
        assert command(*map(str, verb), *SIGMOID).code == 0, verb
    for gates, code in (("sigmoid", 0), ("hard_sigmoid", 1)):
        assert command("compare", str(silent), str(ported), "--recurrent-activation", gates).code == code
    certificate = json.loads(Path(f"{ported}.xcheck.json").read_text())
    assert certificate["source"]["keras"]["recurrent_activation"] == "sigmoid"
    assert command("recheck", f"{ported}.xcheck.json").code == 0


def test_only_files_of_keras_take_it(command: Command, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "m.npz", {"rec": lx.LSTMWeights.random(lx.LSTMSpec(3, 4))})
    for verb in (("inspect", tmp_path / "m.npz"), ("compare", tmp_path / "m.npz", tmp_path / "m.npz")):
        refused = command(*map(str, verb), *SIGMOID)
        assert (refused.code, "options of Keras say nothing" in refused.err) == (2, True)


def test_load_takes_it(silent: Path) -> None:
    weights = lx.load(silent, recurrent_activation="hard_sigmoid", go_backwards=True)["lstm_1"]
    assert (weights.spec.gate_activation, weights.spec.reverse) == ("hard_sigmoid:0.2,0.5", True)
