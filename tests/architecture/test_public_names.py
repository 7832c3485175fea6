"""The names users write as `lx.NAME` are there, also when a room of the same name has been imported first."""

from __future__ import annotations

import json
import subprocess
import sys

NAMES = (
    *("LSTMSpec", "LSTMWeights", "Case", "Result", "run", "judge", "verify", "verify_grid", "grid", "sweep"),
    *("load", "count_parameters", "assert_equivalent", "register_adapter", "diagnose", "program", "library"),
    *("inspect", "compare", "trace"),
)

CODE = """
import importlib, json, lstm_xcheck as lx
for room in {rooms!r}:
    importlib.import_module(f"lstm_xcheck.{{room}}")
print(json.dumps([name for name in {names!r} if not callable(getattr(lx, name, None))]))
"""


def not_callable(names: tuple[str, ...], rooms: tuple[str, ...] = ()) -> list[str]:
    """Which names of a fresh `lstm_xcheck` cannot be called, once these rooms are imported."""
    code = CODE.format(rooms=rooms, names=names)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout))


def test_every_public_name_is_there() -> None:
    assert not_callable(NAMES) == []


def test_a_room_of_the_same_name_does_not_hide_the_function() -> None:
    assert not_callable(NAMES, rooms=("diagnose.search", "diagnose", "compare", "compare.verdict", "layouts")) == []


def test_a_missing_name_is_found() -> None:
    assert not_callable(("LSTMSpec", "no_such_name", "layouts"), rooms=("layouts",)) == ["no_such_name", "layouts"]
