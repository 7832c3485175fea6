"""Reruns of what failed: --case, --last-failed, -x, and settings of pyproject.toml."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.engine import Recipe, grid, preset

from ..helpers import Command

GRID = ("--grid", "hidden=1,2 steps=4 input=2")

pytestmark = pytest.mark.usefixtures("numpy_adapters", "_own_cache")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def test_every_id_of_a_recipe_says_the_recipe() -> None:
    axes: dict[str, Any] = {
        "layers": [1, 3], "directions": [1, 2], "bias": ["split", "none"], "proj": [0, 2], "states": [True, False],
        "ragged": [True, False], "one_hot": [True, False], "returns": ["last", "sequence"], "gradients": [True, False],
    }  # fmt: skip
    recipes = [*grid(**axes), *grid(init=["probe", "keras"], feature=["", "time-major"], dtype=["float16"], seed=7)]
    recipes += preset("deep")
    assert [Recipe.from_id(recipe.id) for recipe in recipes] == recipes
    assert Recipe.from_id("h4-x5-t7-b3-split-states-float31-s0") is None
    assert Recipe.from_id("my-case") is None


def test_the_printed_command_runs_that_case_alone(command: Command) -> None:
    ran = command("verify", *GRID, "--adapters", "honest,lossy")
    (line,) = (line for line in ran.out.splitlines() if "run: " in line)
    words = shlex.split(line.partition("run: ")[2])
    assert words[:2] == ["lstm-xcheck", "verify"]
    again = command(*words[1:])
    assert again.code == 1
    assert "DISAGREE: 1 planned = 1 mismatch" in again.out


def test_last_failed_runs_what_failed_and_says_when_nothing_did(command: Command) -> None:
    assert "--last-failed: no run of verify" in command("verify", *GRID, "--last-failed").err
    command("verify", *GRID, "--adapters", "honest,lossy")
    again = command("verify", *GRID, "--adapters", "honest,lossy", "--last-failed")
    assert (again.code, again.out.splitlines()[-1].partition(" (")[0]) == (1, "DISAGREE: 2 planned = 2 mismatch")
    command("verify", *GRID, "--adapters", "honest")
    ran = command("verify", *GRID, "--adapters", "honest", "--last-failed")
    assert (ran.code, "nothing failed in the last run" in ran.err) == (2, True)


def test_the_first_failure_ends_the_run(command: Command) -> None:
    ran = command("verify", "--grid", "hidden=1,2,3,4 steps=4", "--adapters", "lossy", "--jobs", "1", "-x")
    assert ran.code == 1
    assert "DISAGREE: 4 planned = 1 mismatch, 3 skipped" in ran.out.splitlines()[-1]


def test_a_project_says_what_is_always_asked(command: Command, tmp_path: Path) -> None:
    settings = tmp_path / "project" / "pyproject.toml"
    settings.write_text('[tool.lstm-xcheck]\nadapters = ["honest"]\npreset = "quick"\n')
    assert "AGREE: 11 planned" in command("verify").out
    assert "AGREE: 2 planned" in command("verify", *GRID).out  # a grid takes the place of the preset
    assert "DISAGREE: 2 planned" in command("verify", *GRID, "--adapters", "lossy").out


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("adapter = 'torch'", "unknown setting 'adapter'; did you mean adapters?"),
        ("jobs = 'two'", "jobs is 'two', but should be like jobs = 2"),
        ("jobs = ", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_sentence(command: Command, tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "project" / "pyproject.toml").write_text(f"[tool.lstm-xcheck]\n{text}\n")
    ran = command("verify", *GRID)
    assert (ran.code, error in ran.err, ran.err.count("\n")) == (2, True, 1)


def test_colours_can_be_forced_and_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("verify", *GRID, "--adapters", "honest")
    assert "\x1b[" in command(*asked, "--color", "always").out
    assert "\x1b[" not in command(*asked, "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in command(*asked).out
