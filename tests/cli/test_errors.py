"""Bad input: one sentence on stderr, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.cli import output

from ..helpers import Command, Ran

pytestmark = pytest.mark.usefixtures("numpy_adapters")


def assert_one_sentence(ran: Ran, *parts: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith("Error: ")
    for part in parts:
        assert part in line, line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which nothing may appear."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--adapters", "nobody"], ["unknown adapter 'nobody'; expected one of absent, honest"]),
        (["--adapters", "absent"], ["needs no_such_framework", "run: pip install 'lstm-xcheck[absent]'"]),
        (["--adapters", "honest,absent"], ["run: pip install 'lstm-xcheck[absent]'"]),
        (["--adapters", ","], ["--adapters names no adapter"]),
        (["--grid", "hidden=0"], ["hidden is '0', but should be a whole number from 1"]),
        (["--grid", "proj=4 hidden=4"], ["proj_size is 4, but should be smaller than hidden_size=4"]),
        (["--grid", "proj=5 hidden=4"], ["proj_size is 5, but should be smaller than hidden_size=4"]),
        (["--grid", "steps=0"], ["steps is '0', but should be a whole number from 1"]),
        (["--grid", "hidden"], ["'hidden' should be written axis=value"]),
        (["--grid", ""], ["grid: the text is empty"]),
        (["--grid", "hidden=2", "--preset", "quick"], ["--preset and --grid both choose the cases"]),
        (["--preset", "thorough"], ["unknown preset 'thorough'; expected one of quick, standard, deep"]),
        (["--preset", ""], ["unknown preset ''"]),
        (["--precision", "int8"], ["--precision is 'int8', but should be one of float64"]),
        (["--worker", "honest"], ["--worker 'honest' should be written NAME=PYTHON"]),
        (["--worker", "honest=/no/such/python"], ["there is no interpreter /no/such/python"]),
        (["--worker", f"a-honest={sys.executable}", "--worker", "a-honest=b"], ["--worker a-honest is given twice"]),
        (["--timeout", "nan"], ["the timeout is nan, but should be seconds, more than 0"]),
        (["--worker", f"nobody={sys.executable}"], ["worker 'nobody' names no adapter"]),
        (["--report", "x.txt"], ["the suffix is '.txt', but should be one of"]),
        (["--report", "no/such/x.json"], ["the folder no/such does not exist; make it first"]),
        (["missing.pt"], ["missing.pt does not exist; check the path"]),
        (["."], [". is a directory"]),
        (["missing.pt", "--preset", "quick"], ["FILE brings its own weights; give one of them"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0].startswith("-") else None,
)
def test_an_option_that_makes_no_sense(command: Command, folder: Path, arguments: list[str], parts: list[str]) -> None:
    report = [] if "--report" in arguments else ["--report", "x.json"]
    assert_one_sentence(command("verify", *arguments, *report), *parts)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--seeds", "0"], ["--seed", "-1"], ["--jobs", "0"], ["--timeout", "0"], ["--no-such-option"]],
    ids=str,
)
def test_an_option_that_click_refuses(command: Command, folder: Path, arguments: list[str]) -> None:
    ran = command("verify", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith("Error: ")
    assert list(folder.iterdir()) == []


def test_an_unknown_verb_is_a_usage_error(command: Command) -> None:
    ran = command("verfy")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean verify" in ran.err


def test_no_framework_at_all_names_a_pip_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from lstm_xcheck.adapters import registry

    monkeypatch.setattr(registry, "_registered", {})
    assert_one_sentence(command("verify"), "no adapter's framework is installed", "pip install 'lstm-xcheck[torch]'")


def test_sizes_beyond_all_memory_are_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(output, "watch", exhausted)
    assert_one_sentence(command("verify", "--adapters", "honest"), "not enough memory", "use smaller ones")


# --- files ---


def safetensors(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> Path:
    """A .safetensors file, written by hand."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def lstm_arrays(hidden: int = 2, inputs: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    spec = lx.LSTMSpec(input_size=inputs, hidden_size=hidden)
    return {name: np.array(array) for name, array in lx.LSTMWeights.random(spec).to_layout("torch").items()}


def with_nan(path: Path) -> Path:
    arrays = lstm_arrays()
    arrays["weight_hh_l0"][1, 1] = np.nan
    return safetensors(path.with_suffix(".safetensors"), arrays)


def with_wrong_shape(path: Path) -> Path:
    return safetensors(path.with_suffix(".safetensors"), {**lstm_arrays(), "weight_hh_l0": np.ones((8, 3))})


def without_lstm(path: Path) -> Path:
    return safetensors(path.with_suffix(".safetensors"), {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)})


def text_named_pt(path: Path) -> Path:
    path.with_suffix(".pt").write_text("epoch,loss\n1,0.5\n" * 10, encoding="ascii")
    return path.with_suffix(".pt")


def truncated_keras(path: Path) -> Path:
    file = path.with_suffix(".keras")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential"}) * 50)
        archive.writestr("model.weights.h5", bytes(5000))
    file.write_bytes(file.read_bytes()[:3000])
    return file


def truncated_safetensors(path: Path) -> Path:
    file = safetensors(path.with_suffix(".safetensors"), lstm_arrays())
    file.write_bytes(file.read_bytes()[:-10])
    return file


def empty(path: Path) -> Path:
    path.with_suffix(".pt").touch()
    return path.with_suffix(".pt")


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (with_nan, ["is nan, but every weight should be a finite number"]),
        (with_wrong_shape, ["weight_hh_l0"]),
        (without_lstm, ["holds no LSTM", "fc.weight"]),
        (text_named_pt, []),
        (truncated_keras, []),
        (truncated_safetensors, []),
        (empty, ["is empty; copy or download it again"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_bad_file(command: Command, folder: Path, make: Callable[[Path], Path], parts: list[str]) -> None:
    file = make(folder / "model")
    ran = command("verify", str(file), "--adapters", "honest", "--report", "x.json")
    assert_one_sentence(ran, file.name, *parts)
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_one_bad_file_among_good_ones_stops_before_anything_runs(command: Command, folder: Path) -> None:
    good = safetensors(folder / "good.safetensors", lstm_arrays())
    ran = command("verify", str(good), "missing.pt", "--adapters", "honest")
    assert_one_sentence(ran, "missing.pt does not exist")


def test_a_good_file_is_verified(command: Command, folder: Path) -> None:
    good = safetensors(folder / "[bold]model.safetensors", {f"encoder.{k}": v for k, v in lstm_arrays().items()})
    ran = command("verify", str(good), "--adapters", "honest")
    assert (ran.code, ran.err) == (0, "")
    assert "[bold]model.safetensors: encoder input 3, hidden 2, layers 1, bias split" in ran.out
    assert re.search(r"^AGREE: (\d+) planned = \1 match \(", ran.out, re.MULTILINE)


def test_the_same_lstm_in_two_files_and_two_folders(command: Command, folder: Path) -> None:
    (folder / "other").mkdir()
    files = [safetensors(folder / name, lstm_arrays()) for name in ("a.safetensors", "other/a.safetensors")]
    ran = command("verify", *map(str, files), "--adapters", "honest", "--json")
    report = json.loads(ran.out)
    assert ran.code == 0
    assert report["totals"]["match"] == report["totals"]["planned"] >= 6
    assert len({row["case"] for row in report["rows"]}) == report["totals"]["planned"]
    assert [lstm["file"] for lstm in report["environment"]["subject"]["lstms"]] == [str(file) for file in files]


# --- the same mistakes in Python ---

SPEC = {"input_size": 3, "hidden_size": 4}


@pytest.mark.parametrize(
    ("mistake", "part"),
    [
        (lambda: lx.LSTMSpec(input_size=3, hidden_size=0), "hidden_size is 0, but should be a positive whole number"),
        (lambda: lx.LSTMSpec(**SPEC, proj_size=4), "proj_size is 4, but should be smaller than hidden_size=4"),
        (lambda: case(lengths=np.array([-1, 5])), "lengths are [-1, 5], but each should be from 0 to steps=5"),
        (lambda: case(lengths=np.array([5, 6])), "lengths are [5, 6], but each should be from 0 to steps=5"),
        (lambda: case(x=np.ones((2, 5, 4))), "x has shape (2, 5, 4), but should be (batch, steps, 3)"),
        (lambda: case(h0=np.ones((2, 2, 4))), "h0 has shape (2, 2, 4), but should be (1, 2, 4)"),
        (lambda: case(x=np.full((2, 5, 3), np.nan)), "x holds NaN"),
        (lambda: lx.verify([], adapters=["honest"]), "there is no case to compare"),
        (lambda: lx.verify([case()], adapters=[]), "nothing can be compared"),
        (lambda: lx.verify([case()], adapters=["nobody"]), "unknown adapter 'nobody'"),
        (lambda: lx.verify([case()], adapters={}), "there is nothing to compare"),
        (lambda: lx.run("absent", case()), "pip install 'lstm-xcheck[absent]'"),
        (lambda: lx.load("missing.pt"), "missing.pt does not exist"),
    ],
)
def test_a_mistake_in_python_is_a_user_error_of_one_sentence(mistake: Callable[[], object], part: str) -> None:
    with pytest.raises(lx.UserError) as caught:
        mistake()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def case(**data: Any) -> lx.Case:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(**SPEC))
    return lx.Case(weights=weights, **{"x": np.ones((2, 5, 3)), **data})


# --- as a process ---


def test_the_process_exits_with_the_code_and_without_a_traceback(folder: Path) -> None:
    package = str(Path(str(lx.__file__)).parents[1])
    ran = subprocess.run(
        [sys.executable, "-m", "lstm_xcheck", "verify", "missing.pt", "--report", "x.json"],
        cwd=folder, env={**os.environ, "PYTHONPATH": package}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert_one_sentence(Ran(ran.returncode, ran.stdout, ran.stderr), "missing.pt does not exist; check the path")
    assert list(folder.iterdir()) == []
