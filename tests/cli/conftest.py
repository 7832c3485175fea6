"""Adapters that need only NumPy, and the command line as a function."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lstm_xcheck.adapters import Entry, registry

from ..helpers import Command, command_line

#: Where `faulty_adapters.py` lies.
ENGINE_TESTS = str(Path(__file__).parents[1] / "engine")


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """`command("verify", "--json")`: run it in this process, at the level of file descriptors."""
    return command_line(capfd)


def invoke(verb: click.Command, *arguments: object) -> str:
    """What a verb prints; its error is raised."""
    result = CliRunner().invoke(verb, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def numpy_adapters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`honest`, `lossy`, `miscounting`, `unwilling` and `unloadable` as the only adapters there are."""
    monkeypatch.setattr(registry, "BUILT_IN", ())
    monkeypatch.setattr(registry, "entry_points", lambda group: ())
    monkeypatch.setenv("FAULTY_FOLDER", str(tmp_path))
    for name in ("Honest", "Lossy", "Miscounting", "Unwilling", "Unloadable"):
        entry = Entry(name.lower(), f"faulty_adapters:{name}", path=(ENGINE_TESTS,), summary=f"{name}, in NumPy")
        monkeypatch.setitem(registry._registered, entry.name, entry)
    absent = Entry(
        "absent", "nowhere:Adapter", requires=("no_such_framework",), install="lstm-xcheck[absent]", summary="nothing"
    )
    monkeypatch.setitem(registry._registered, "absent", absent)
