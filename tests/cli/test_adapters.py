"""`adapters`: what is installed and supported, and how to install the rest."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.model.features import FEATURES

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("numpy_adapters")


def described(command: Command, *arguments: str) -> dict[str, dict[str, Any]]:
    ran = command("adapters", "--json", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return {adapter["name"]: adapter for adapter in json.loads(ran.out)["adapters"]}


def test_json_says_what_each_supports_and_why_not(command: Command) -> None:
    adapters = described(command)
    assert sorted(adapters) == ["absent", "honest", "lossy", "miscounting", "unloadable", "unwilling"]
    honest = adapters["honest"]
    assert honest["installed"] is True
    assert honest["versions"]["numpy"] == np.__version__
    assert set(honest["supports"]) == {feature.name for feature in FEATURES}
    assert honest["supports"]["lengths"] == "yes"
    assert honest["supports"]["float64"] == "yes"
    assert honest["supports"]["two-layers"] == "no: stacks, both directions, projections: this loop has one plain layer"
    assert set(adapters["unwilling"]["supports"].values()) == {"no: not on Sundays"}
    assert "libframework.so.9" in adapters["unloadable"]["error"]


def test_what_is_missing_names_the_pip_command(command: Command) -> None:
    absent = described(command, "--no-start")["absent"]
    assert (absent["installed"], absent["missing"]) == (False, ["no_such_framework"])
    assert absent["install"] == "pip install 'lstm-xcheck[absent]'"


def test_nothing_is_started_when_asked_not_to(command: Command) -> None:
    adapters = described(command, "--no-start")
    assert adapters["unloadable"] == {"name": "unloadable", "runs": "Unloadable, in NumPy", "installed": True}


def test_the_table_tells_installed_from_missing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    ran = command("adapters", "--no-start")
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert "not installed" in lines["absent"]
    assert "installed" in lines["honest"]
    assert "not installed" not in lines["honest"]


def test_a_command_to_copy_is_whole_at_any_width(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = command("adapters", "--no-start").out.splitlines()
    place = lines.index("not installed, each with the command that installs it:")
    assert lines[place + 1] == "    absent: pip install 'lstm-xcheck[absent]'"
