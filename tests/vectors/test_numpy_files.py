"""JSON, NumPy's archive and the file of tests, each read as a user would."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.vectors import Vector, VectorSet
from lstm_xcheck.vectors.formats import FORMATS

from .sets import Answer, honest_answers, planted_answers, vectors_named

Judge = Any


def from_json(folder: Path) -> Iterator[dict[str, Array]]:
    for case in json.loads((folder / "vectors.json").read_text())["cases"]:
        yield {
            name: np.array(value, np.float32)
            for name, value in case.items()
            if isinstance(value, list) and name != "kills"
        }


def from_npz(folder: Path) -> Iterator[dict[str, Array]]:
    with np.load(folder / "vectors.npz", allow_pickle=False) as archive:
        about = json.loads(archive["about"].tobytes())
        for number in range(len(about["cases"])):
            start = f"{number}."
            yield {name.removeprefix(start): archive[name] for name in archive.files if name.startswith(start)}


@pytest.fixture(params=["lengths", "bidirectional", "options"])
def vectors(request: pytest.FixtureRequest) -> VectorSet:
    return vectors_named(request.param)


def write(folder: Path, format_name: str, vectors: VectorSet) -> None:
    for name, data in FORMATS[format_name].files(vectors).items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(("format_name", "read"), [("json", from_json), ("npz", from_npz)])
def test_arrays_are_restored_bit_for_bit_and_judge(
    tmp_path: Path, vectors: VectorSet, format_name: str, read: Any
) -> None:
    write(tmp_path, format_name, vectors)
    cases = list(read(tmp_path))
    assert len(cases) == len(vectors.vectors)
    for vector, case in zip(vectors.vectors, cases, strict=True):
        same_case(vector, case)
        assert all(is_right(case, answer) for answer in honest_answers(vector))
        assert [key for key, answer in planted_answers(vectors, vector) if is_right(case, answer)] == []


def same_case(vector: Vector, case: dict[str, Array]) -> None:
    for place, (_, _, cell) in enumerate(vector.case.weights.cells()):
        for name, array in cell.items():
            np.testing.assert_array_equal(case[f"cells.{place}.{name}"], np.asarray(array))
    for name, array in vector.case.arrays().items():
        np.testing.assert_array_equal(case[name], array)


def is_right(case: dict[str, Array], answer: Answer) -> bool:
    return all(bool((np.abs(array - case[name]) <= case[f"{name}.allowed"]).all()) for name, array in answer.items())


def test_the_file_of_tests_judges(tmp_path: Path, vectors: VectorSet) -> None:
    write(tmp_path, "pytest", vectors)
    module = runpy.run_path(str(tmp_path / "test_lstm_vectors.py"))
    tests = [function for name, function in module.items() if name.startswith("test_")]
    assert len(tests) == len(vectors.vectors)
    for test, vector in zip(tests, vectors.vectors, strict=True):
        assert all(passes(test, answer) for answer in honest_answers(vector))
        assert [key for key, answer in planted_answers(vectors, vector) if passes(test, answer)] == []


def passes(test: Any, answer: Answer) -> bool:
    test.func.__globals__["implementation"] = lambda: lambda weights, x, h0, c0, lengths: tuple(answer.values())
    try:
        test()
    except AssertionError:
        return False
    return True


KERNEL = """
import numpy as np

def lstm(weights, x, h0, c0, lengths, gates="ifgo"):
    cell, = weights.layers[0]
    h, c = h0[0], c0[0]
    y = np.zeros((*x.shape[:2], h.shape[1]), "float32")
    for t in range(x.shape[1]):
        z = cell.W @ x[:, t].T + cell.U @ h.T + cell.b[..., None] + cell.b_r[..., None]
        z = dict(zip(gates, z.transpose(0, 2, 1)))
        i, f, o = (1 / (1 + np.exp(-z[gate])) for gate in "ifo")
        keep = np.full((len(x), 1), True) if lengths is None else (t < lengths)[:, None]
        c = np.where(keep, f * c + i * np.tanh(z["g"]), c)
        h = np.where(keep, o * np.tanh(c), h)
        y[:, t] = np.where(keep, h, 0)
    return y, h[None], c[None]

def wrong(*arguments):
    return lstm(*arguments, gates="ifog")

def nan(*arguments):
    y, h, c = lstm(*arguments)
    return y * np.nan, h, c
"""


@pytest.mark.parametrize(("function", "code", "shown"), [
    ("lstm", 0, "2 passed"), ("wrong", 1, "2 failed"), ("nan", 1, "y: 16 of 16 numbers are wrong, first"),
    ("", 1, "LSTM_UNDER_TEST is not set; set it to module:function"),
])  # fmt: skip
def test_the_file_of_tests_runs_by_itself(tmp_path: Path, function: str, code: int, shown: str) -> None:
    write(tmp_path, "pytest", vectors_named("lengths"))
    (tmp_path / "kernel.py").write_text(KERNEL)
    environment = {"LSTM_UNDER_TEST": f"kernel:{function}" if function else "", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, shown in ran.stdout) == (code, True), ran.stdout
    assert "lstm_xcheck" not in (tmp_path / "test_lstm_vectors.py").read_text()
