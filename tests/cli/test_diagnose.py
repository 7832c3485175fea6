"""`diagnose` names what files show, and prints a remedy that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward

from ..helpers import Command

safetensors = pytest.importorskip("safetensors.numpy")

CASE = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=5, batch=2, states=False, init="torch")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    safetensors.save_file(CASE.weights.to_layout("torch"), tmp_path / "lstm.safetensors")
    return tmp_path / "lstm.safetensors"


def observed(folder: Path, *ids: str, names: tuple[str, ...] = ("y", "h_n", "c_n")) -> str:
    """A file with the outputs of these mistakes."""
    outputs = run_mistakes([mistake_named(id) for id in ids], CASE)
    assert outputs is not None
    arrays: dict[str, Any] = {name: outputs[name].astype(np.float32) for name in names}
    np.savez(folder / "observed.npz", x=np.asarray(CASE.x), **arrays)
    return str(folder / "observed.npz")


@pytest.mark.parametrize("names", [("y",), ("y", "h_n"), ("h_n", "c_n")], ids=" ".join)
@pytest.mark.parametrize(
    ("id", "cause"),
    [
        ("batch-time-exchanged", "batch and time exchanged"),
        ("batch-time-exchanged-input", "batch and time of the input exchanged"),
    ],
)
def test_batch_first_forgotten_is_named(
    command: Command, weights: Path, tmp_path: Path, id: str, cause: str, names: tuple[str, ...]
) -> None:
    ran = command("diagnose", str(weights), observed(tmp_path, id, names=names))
    assert ran.code == 1
    if "y" not in names:  # final states do not tell whether y was exchanged, too
        assert f"within reach, not proven: {cause} (another mistake explains these outputs as well" in ran.out
        return
    assert f"cause: {cause}" in ran.out
    assert "Set batch_first=True" in ran.out or "Leave x as (batch, steps, input)" in ran.out


def test_outputs_of_another_shape_alone_are_proven_in_words_and_valid_json(
    command: Command, weights: Path, tmp_path: Path
) -> None:
    file = observed(tmp_path, "batch-time-exchanged-output", names=("y",))
    assert "proof: the outputs are impossible as they are" in command("diagnose", str(weights), file).out

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(command("diagnose", str(weights), file, "--json").out, parse_constant=refuse)
    assert (found["mistakes"], found["cells"]) == (["batch-time-exchanged-output"], [])
    assert found["evidence"]["residual_before"] is None


def test_numbers_that_are_not_finite_are_the_only_wrong_ones(command: Command, weights: Path, tmp_path: Path) -> None:
    y = np.array(forward(CASE).y, np.float32)
    y[1, 3] = np.nan
    np.savez(tmp_path / "observed.npz", x=np.asarray(CASE.x), y=y)
    ran = command("diagnose", str(weights), str(tmp_path / "observed.npz"))
    assert ran.code == 1
    assert ran.out.startswith("y holds 4 of 40 numbers that are not finite, first at step 3, row 1, unit 0")


def test_lost_numbers_have_no_code_but_words_and_what_a_function_needs(
    command: Command, weights: Path, tmp_path: Path
) -> None:
    dropped = command("diagnose", str(weights), observed(tmp_path, "bias-hh-dropped")).out
    assert "No code repairs a layer that has these weights" in dropped
    assert "# for a function of your own" in dropped and "b = b + b_r" in dropped
    rounded = command("diagnose", str(weights), observed(tmp_path, "kernels-float16")).out
    assert "No code repairs a layer that has these weights" in rounded
    assert "import" not in rounded


@pytest.mark.parametrize("layout", ["canonical", "torch", "onnx"])
def test_the_code_for_arrays_of_a_layout_runs(command: Command, weights: Path, tmp_path: Path, layout: str) -> None:
    out = command("diagnose", str(weights), observed(tmp_path, "gates-iofg"), "--for-arrays", layout).out
    assert "# in torch" not in out
    names: dict[str, Any] = {}
    exec(out.partition("# for a function of your own\n")[2], names)
    own = layout != "canonical"
    given = names["corrected"](CASE.weights.to_layout(layout) if own else CASE.weights)
    corrected = LSTMWeights.from_layout(given, layout) if own else given
    outputs = run_mistakes([mistake_named("gates-iofg")], Case(weights=corrected, x=CASE.x))
    assert outputs is not None
    assert judge(Result(y=outputs["y"].astype(np.float32)), CASE).verdict == "match"


def test_an_unknown_layout_is_refused(command: Command, weights: Path, tmp_path: Path) -> None:
    ran = command("diagnose", str(weights), observed(tmp_path, "gates-iofg"), "--for-arrays", "nothing")
    assert ran.code == 2
    assert ran.err.startswith("Error: ") and "nothing" in ran.err
