"""The examples with the plugin and users' functions do what their pages say."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

import lstm_xcheck as lx

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_planted_mistake_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "custom_lstm.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.count("right, case h4-x5-t7-b3-split-states-float32-") == 2
    assert printed.count(": match\n") == 2
    assert printed.count(": mismatch\n") == 2
    assert "6 quantities disagree:\n  mistaken, case" in printed
    assert "  right, case" not in printed.partition("disagree:")[2]


def test_the_planted_mistake_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(EXAMPLES / "custom_lstm.py"), run_name="__main__")
    printed = capsys.readouterr().out
    case = lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=5), seed=4)
    y, h_n, c_n = names["mistaken"](case.weights, case.x, case.h0, case.c0, None)
    why = lx.diagnose(lx.Result(y=y, h_n=h_n, c_n=c_n), case)
    assert why.mistakes == ("gates-ifog",)
    assert f"cause: {why.cause}\nfix: {why.fix}\n" in printed


def test_the_example_sweep_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(str(lx.__file__)).parents[1]))
    shutil.copy(EXAMPLES / "sweep_in_pytest" / "test_my_lstm.py", pytester.path)
    result = pytester.runpytest_subprocess("-p", "lstm_xcheck.pytest_plugin", "--xcheck-adapters=torch")
    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 28
    assert outcomes["passed"] >= 24
