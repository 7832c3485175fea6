"""The verbs `record` and `replay`, as users type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import register_adapter, registry
from lstm_xcheck.cli.main import run
from lstm_xcheck.recordings import Recording, encode, read

from .conftest import ADAPTERS

GRID = ["--grid", "hidden=1,2 steps=3", "--jobs", "1"]


@pytest.fixture(autouse=True)
def _adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `Honest` and `WrongOrder` adapters of this process."""
    monkeypatch.setattr(registry, "_registered", {})
    for name in ("Honest", "WrongOrder"):
        register_adapter(name, f"own_adapters:{name}", path=ADAPTERS)


@pytest.fixture
def two(tmp_path: Path, honest: Recording) -> Path:
    """A folder with recordings of `one` and `two`, of the run 5."""
    small = replace(honest, questions=honest.questions[:2], answers=honest.answers[:2], run="5")
    for name in ("one", "two"):
        (tmp_path / f"{name}.npz").write_bytes(encode(replace(small, environment=name)))
    return tmp_path


def lx(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout with blanks shrunk, stderr."""
    code = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, " ".join(out.split()), err


def test_record_then_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "here.npz"
    code, out, _ = lx(capsys, "record", "--out", file, "--env", "here", "--adapters", "Honest", "--seeds", 2, *GRID)
    assert code == 0
    assert "environment here, run content-" in out
    assert "4 cases" in out
    assert "Honest: 4 answered" in out
    assert [path.name for path in file.parent.iterdir()] == ["here.npz"]
    code, out, _ = lx(capsys, "replay", file, "--expect", "here")
    assert code == 0
    assert "here/Honest" in out
    assert "AGREE: 4 planned = 4 match" in out


def test_recording_again_gives_the_same_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "here.npz"
    command = ("record", "--out", file, "--adapters", "Honest", *GRID)
    assert lx(capsys, *command)[0] == 0
    first = file.read_bytes()
    assert lx(capsys, *command, "--jobs", 2)[0] == 0
    assert file.read_bytes() == first


def test_a_wrong_gate_order_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.npz"
    assert lx(capsys, "record", "--out", file, "--adapters", "WrongOrder", *GRID)[0] == 0
    code, out, _ = lx(capsys, "replay", file)
    assert code == 1
    assert "WrongOrder: gates f and g exchanged in W, U and b" in out


def test_crashes_are_reported_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.npz"
    code, out, _ = lx(capsys, "record", "--out", file, "--adapters", "Honest", "--grid", "batch=1,6")
    assert code == 2
    assert "Honest: 1 answered, 1 crashed" in out
    assert "cannot do batches of 6" in out
    assert lx(capsys, "replay", file)[0] == 2


def test_live_adapters_answer_along_with_recordings(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = lx(capsys, "replay", two, "--adapters", "Honest,WrongOrder", "--json")
    report, names = json.loads(out), ("one", "two")
    assert code == 1
    assert report["totals"]["planned"] == 8
    verdicts = {row["adapter"]: row["verdict"] for row in report["rows"] if row["quantity"] == "y"}
    assert verdicts == {"one/Honest": "match", "two/Honest": "match", "Honest": "match", "WrongOrder": "mismatch"}
    described = report["environment"]["subject"]["recordings"]
    assert [(each["environment"], each["run"], each["cases"]) for each in described] == [(n, "5", 2) for n in names]


def test_a_missing_environment_is_exit_2_with_a_row(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = lx(capsys, "replay", two, "--expect", "one, two,three", "--report", two / "report.json")
    assert code == 2
    assert "MISSING: no recording of three was given (found: one, two)" in out
    rows = json.loads((two / "report.json").read_text())["rows"]
    assert [row["adapter"] for row in rows if row["verdict"] == "crashed"] == ["three"]


def test_an_empty_folder_lacks_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "nobody made it"):
        code, out, err = lx(capsys, "replay", folder, "--expect", "one")
        assert (code, err) == (2, "")
        assert "MISSING: no recording of one was given" in out
    code, out, err = lx(capsys, "replay", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: there is no recording in {tmp_path}; write one with: lstm-xcheck record")


def test_a_run_makes_others_stale(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lx(capsys, "replay", two, "--run", "5")[0] == 0
    code, out, _ = lx(capsys, "replay", two, "--run", "6", "--expect", "one")
    assert code == 2
    assert "STALE" in out


@pytest.mark.parametrize("names", ["", ",", " , "])
def test_an_empty_expectation_is_a_usage_error(two: Path, capsys: pytest.CaptureFixture[str], names: str) -> None:
    assert lx(capsys, "replay", two, "--run", "")[0] == 0
    code, out, err = lx(capsys, "replay", two, "--expect", names)
    assert (code, out) == (2, "")
    assert err.startswith("Error: --expect names no environment, but should name one or more")


def test_a_file_given_twice_is_read_once(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = lx(capsys, "replay", two / "one.npz", two)
    assert code == 0
    assert "AGREE: 4 planned = 4 match" in out


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda _: b"no zip"], ids=["truncated", "text"])
def test_a_damaged_file_is_one_sentence(
    two: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    file = two / "one.npz"
    file.write_bytes(damage(file.read_bytes()))
    code, out, err = lx(capsys, "replay", two)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {file} is no recording, or is truncated or damaged")
    assert err.count("\n") == 1


MISTAKES: dict[str, tuple[list[Any], str]] = {
    "suffix": (["record", "--out", "a.json"], "the suffix is '.json', but a recording is an .npz file"),
    "folder": (["record", "--out", "."], "the suffix is ''"),
    "environment": (["record", "--out", "a.npz", "--env", "a/b"], "--env is 'a/b', but should be letters, digits"),
    "run": (["record", "--out", "a.npz", "--run", "a b"], "--run is 'a b', but should be letters, digits"),
    "precision": (["record", "--out", "a.npz", "--precision", "int8"], "--precision is 'int8'"),
    "adapter": (["record", "--out", "a.npz", "--adapters", "nobody"], "unknown adapter 'nobody'"),
    "no-adapter": (["record", "--out", "a.npz", "--adapters", ","], "--adapters names nothing"),
    "other-file": (["record", "--out", "weights.npz"], "exists and is no recording, so it is not written over"),
    "no-file": (["replay", "none.npz"], "none.npz does not exist; write it with: lstm-xcheck record --out none.npz"),
    "no-recording": (["replay", "weights.npz"], "it has no manifest"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[Any],
    message: str,
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.savez("weights.npz", W=np.zeros(3))
    before = Path("weights.npz").read_bytes()
    code, out, err = lx(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("Error: ")
    assert Path("weights.npz").read_bytes() == before


@pytest.mark.framework("torch")
def test_torch_is_recorded_and_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "torch.npz"
    assert (
        lx(capsys, "record", "--out", file, "--adapters", "torch", "--grid", "hidden=2 layers=1,2", "--env", "now")[0]
        == 0
    )
    assert read(file).layouts == {"torch": "torch"}
    code, out, _ = lx(capsys, "replay", file)
    assert code == 0
    assert "AGREE: 2 planned = 2 match" in out
