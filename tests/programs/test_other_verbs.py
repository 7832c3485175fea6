"""Programs in `record`, `replay` and the pytest fixture, and what a resumed run makes of a changed program."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.errors import AdapterError
from lstm_xcheck.pytest_toolkit import Toolkit
from lstm_xcheck.runs.identity import adapter_identity

from ..helpers import Command, command_line

CASE = lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4), steps=4, seed=2)

Built = Callable[[str], list[str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(capfd)


def test_answers_of_a_program_are_recorded_and_replayed(built: Built, command: Command, tmp_path: Path) -> None:
    for language, code in (("c", 0), ("c wrong", 1)):
        file = tmp_path / f"{code}.npz"
        mine = f"mine=cmd:{built(language)[0]}"
        recorded = command("record", "--out", str(file), "--adapter", mine, "--grid", "hidden=4 steps=3")
        assert recorded.code == 0, recorded.err
        assert command("replay", str(file)).code == code


def test_the_fixture_runs_programs(built: Built) -> None:
    toolkit = Toolkit(lambda: None, lambda: ())
    try:
        toolkit.assert_agrees(CASE, {"mine": lx.program(*built("c"))})
        with pytest.raises(AssertionError, match="gates g and o exchanged"):
            toolkit.assert_agrees(CASE, {"wrong": lx.program(*built("c wrong"))})
        with pytest.raises(AdapterError, match="another program"):
            toolkit.verify(CASE, {"mine": lx.program(*built("c wrong"))})
    finally:
        toolkit.close()


def test_functions_and_programs_are_verified_together(built: Built) -> None:
    def zeros(weights: object, x: object, h0: object, c0: object, lengths: object) -> object:
        return CASE.x[..., :1].repeat(4, axis=2)

    report = lx.verify([CASE], adapters={"mine": lx.program(*built("c")), "zeros": zeros})
    assert {(row.adapter, row.verdict) for row in report.rows} == {("mine", "match"), ("zeros", "mismatch")}
    assert report.totals["planned"] == 2


def test_a_changed_program_is_another_adapter(built: Built, tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    shutil.copy(built("c")[0], copy)
    before = adapter_identity(lx.program(str(copy)).entry("mine"))
    assert adapter_identity(lx.program(str(copy)).entry("mine")) == before
    copy.write_bytes(copy.read_bytes() + b"\0")
    assert adapter_identity(lx.program(str(copy)).entry("mine")) != before
