"""Mistakes that people reported, planted again: each is named from the program and a file of weights alone."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints.numpy.own_npz import write
from lstm_xcheck.checkpoints.other_layers.model import OtherLayers

from ..helpers import Command, command_line
from ..programs.conftest import EXAMPLES, compile_c, tool  # noqa: F401 - a fixture
from .reports import REPORTS, Report

HERE = Path(__file__).parent
SECONDS = 30.0

Target = Callable[[str, str], str]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(capfd)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compile_c: Callable[..., list[str]]) -> Target:  # noqa: F811
    """`target("c", "u-transposed")`: what --run takes."""
    monkeypatch.chdir(tmp_path)

    def of(language: str, bug: str) -> str:
        if language == "python":
            shutil.copy(HERE / "kernel.py", tmp_path)
            return f"kernel:{bug or 'right'}"
        if language == "node":
            monkeypatch.setenv("LSTM_XCHECK_NODE", (EXAMPLES / "node").as_uri())
            return f"cmd:{tool('node')} {HERE / 'kernel.mjs'} {bug}"
        return f"cmd:{_c_kernel(compile_c)} {bug}"

    return of


_BUILT: list[str] = []


def _c_kernel(build: Callable[..., list[str]]) -> str:
    if not _BUILT or not Path(_BUILT[0]).exists():
        _BUILT[:] = build(HERE / "kernel.c")
    return _BUILT[0]


def weights_file(folder: Path, spec: dict[str, object]) -> Path:
    """Weights as a framework draws them, with the spec of the report."""
    chosen = lx.LSTMSpec(**{"input_size": 5, "hidden_size": 8, **spec})  # type: ignore[arg-type]
    write(folder / "weights.npz", {"lstm": lx.LSTMWeights.random(chosen, seed=4, init="torch")}, OtherLayers())
    return folder / "weights.npz"


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: f"{report.source}-{report.bug}".replace("/", "-"))
def test_the_mistake_is_named(report: Report, target: Target, command: Command, tmp_path: Path) -> None:
    file, start = weights_file(tmp_path, report.spec), time.monotonic()
    ran = command("diagnose", str(file), "--run", target(report.language, report.bug), "--json")
    assert ran.code == 1, ran.err or ran.out
    found = json.loads(ran.out)
    assert found["mistakes"] == [report.name], found["explanation"]
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("language", ["c", "node", "python"])
def test_without_a_mistake_nothing_is_named(language: str, target: Target, command: Command, tmp_path: Path) -> None:
    ran = command("diagnose", str(weights_file(tmp_path, {})), "--run", target(language, ""))
    assert (ran.code, ran.out.partition(":")[0]) == (0, "Nothing is wrong")


def test_there_are_enough_reports() -> None:
    assert len(REPORTS) >= 25
    assert len({(report.source, report.bug) for report in REPORTS}) == len(REPORTS)
