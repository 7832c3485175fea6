"""`diagnose` refuses bad observations with one sentence and exit code 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward

from ..helpers import Command

safetensors = pytest.importorskip("safetensors.numpy")

CASE = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=5, batch=2, states=False, init="torch")
RIGHT = forward(CASE)
X, Y, H = (np.asarray(array, np.float32) for array in (CASE.x, RIGHT.y, RIGHT.h_n))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    safetensors.save_file(CASE.weights.to_layout("torch"), tmp_path / "lstm.safetensors")
    return tmp_path / "lstm.safetensors"


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": X, "y": Y[:, :4]}, "y has shape (2, 4, 4), but should be (2, 5, 4) for this case"),
        ({"x": X, "y": Y[0]}, "y has shape (5, 4), but should be (2, 5, 4)"),
        ({"x": X, "y": np.float32(1)}, "y has shape (), but should be (2, 5, 4)"),
        ({"x": X, "y": Y[:0]}, "y has shape (0, 5, 4), but should be (2, 5, 4)"),
        ({"x": X[:0], "y": Y[:0]}, "x has shape (0, 5, 3), but should be (batch, steps, 3), none of them 0"),
        ({"x": X[:, :0], "y": Y[:, :0]}, "x has shape (2, 0, 3), but should be (batch, steps, 3), none of them 0"),
        ({"x": X, "y": Y * np.nan}, "y holds 40 of 40 numbers that are not finite"),
        ({"x": X * np.nan, "y": Y}, "x holds NaN, infinity or a number too large for float32"),
        ({"x": np.float64(1e300) * X, "y": Y}, "x holds NaN, infinity or a number too large for float32"),
        ({"x": np.repeat(X, 2, axis=-1), "y": Y}, "x has shape (2, 5, 6), but should be (batch, steps, 3)"),
        ({"x": X, "y": np.repeat(Y, 2, axis=-1)}, "y has shape (2, 5, 8), but should be (2, 5, 4)"),
        ({"x": X[0], "y": Y}, "x has shape (5, 3), but should be (batch, steps, 3)"),
        ({"x": X, "y": Y, "h_n": H[0]}, "h_n has shape (2, 4), but should be (1, 2, 4)"),
        ({"x": X, "y": Y, "h0": H[0]}, "h0 has shape (2, 4), but should be (1, 2, 4)"),
        ({"x": X, "y": Y, "layer0.y": Y}, "holds 'layer0.y'; expected names are x, h0"),
        ({"x": X, "y": Y, "lengths": np.array([9, 9])}, "lengths are [9, 9], but each should be from 0 to steps=5"),
        ({"x": X, "y": Y, "mask": np.ones((2, 4), bool)}, "mask has shape (2, 4) and type bool"),
        ({"x": X, "y": np.array(["a", "b"])}, "holds y as <U1, but should hold real numbers"),
        ({"x": np.array("a"), "y": Y}, "holds x as <U1, but should hold real numbers"),
        ({"x": X, "y": Y * 1j}, "holds y as complex64, but should hold real numbers"),
        ({"x": X, "y": Y > 0}, "holds y as bool, but should hold real numbers"),
        ({"x": X, "y": np.array([None], object)}, "is damaged or holds more than plain arrays"),
        ({"x": X}, "holds x, but should hold x and y at least"),
        ({"y": Y}, "holds y, but should hold x and y at least"),
        ({"x": X, "out": Y}, "holds 'out'; expected names are x, h0"),
    ],
    ids=[
        "steps", "rank", "scalar", "empty", "empty-case", "no-steps", "nan", "x-nan", "x-too-large",
        "other-input-width", "other-width", "x-rank", "state-rank", "initial-rank", "no-such-layer",
        "lengths", "mask", "text", "x-text", "complex", "truth", "objects", "no-outputs", "no-inputs", "other-name",
    ],
)  # fmt: skip
def test_bad_arrays_are_reported_in_one_sentence(
    command: Command, weights: Path, tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    np.savez(tmp_path / "observed.npz", **arrays)
    ran = command("diagnose", str(weights), str(tmp_path / "observed.npz"))
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert ran.err.startswith("Error: ")
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"], ids=["empty", "text", "torn"])
def test_a_file_without_arrays_is_reported(command: Command, weights: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "observed.npz").write_bytes(content)
    ran = command("diagnose", str(weights), str(tmp_path / "observed.npz"))
    assert ran.code == 2
    assert "observed.npz is " in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_file_is_reported(command: Command, weights: Path, tmp_path: Path) -> None:
    ran = command("diagnose", str(weights), str(tmp_path / "none.npz"))
    assert ran.code == 2
    assert "none.npz is no file" in ran.err


def test_outputs_of_other_weights_stay_unexplained(command: Command, weights: Path, tmp_path: Path) -> None:
    other = forward(Case.random(CASE.spec, steps=5, batch=2, states=False, init="torch", seed=9))
    np.savez(tmp_path / "observed.npz", x=X, y=np.asarray(other.y, np.float32))
    ran = command("diagnose", str(weights), str(tmp_path / "observed.npz"), "--no-pairs")
    assert ran.code == 1
    assert ran.out.startswith("No mistake of the catalogue explains these outputs.")
