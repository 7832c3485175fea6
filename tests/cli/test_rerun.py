"""Reruns of what failed: --case, --last-failed, -x, and settings of pyproject.toml."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.engine import Recipe, grid, preset
from lstm_xcheck.model.features import FEATURES

from ..helpers import ROOT, Command

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
        ("jobs = 0", "jobs is 0, but should be like jobs = 2"),
        ("adapters = []", "adapters is [], but should be like"),
    ],
)
def test_a_wrong_setting_is_one_sentence(command: Command, tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "project" / "pyproject.toml").write_text(f"[tool.lstm-xcheck]\n{text}\n")
    ran = command("verify", *GRID)
    assert (ran.code, error in ran.err, ran.err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("text", ["[tool]\nlstm-xcheck = 3\n", "tool = 3  # lstm-xcheck\n"])
def test_an_odd_table_is_no_traceback(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "project" / "pyproject.toml").write_text(text)
    ran = command("verify", *GRID, "--adapters", "honest")
    assert ("should be a table" in ran.err) == ("lstm-xcheck = 3" in text)
    assert ran.code == (2 if ran.err else 0)


def test_colours_can_be_forced_and_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("verify", *GRID, "--adapters", "honest")
    assert "\x1b[" in command(*asked, "--color", "always").out
    assert "\x1b[" not in command(*asked, "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in command(*asked).out


def test_ids_of_features_are_ids_of_nothing_else() -> None:
    recipes = grid(
        init=["probe", "saturated", "chaotic"], feature=[feature.name for feature in FEATURES], gradients=[False]
    )
    recipes += grid(gradients=True)
    assert len({recipe.id for recipe in recipes}) == len(recipes)
    assert [Recipe.from_id(recipe.id) for recipe in recipes] == recipes


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--precision", "float64"), "--precision changes designed cases, but --case names them as they are"),
        (("--seed", "4"), "--seed changes designed cases"),
        (("--last-failed",), "--case and --last-failed both choose the cases"),
    ],
)
def test_an_option_that_an_id_contradicts_is_refused(command: Command, arguments: tuple[str, ...], error: str) -> None:
    command("verify", *GRID, "--adapters", "honest,lossy")
    ran = command("verify", "--case", "h1-x2-t4-b3-split-states-float32-s0", *arguments)
    assert (ran.code, error in ran.err) == (2, True)


def test_gradients_are_asked_of_a_case_by_its_id(command: Command) -> None:
    ran = command("verify", "--case", "h1-x2-t4-b3-split-states-float32-s0", "--gradients", "--adapters", "honest")
    assert (ran.code, "gives none; leave out --gradients" in ran.out) == (2, True)


def test_failures_of_an_adapter_that_is_not_given_again_are_kept(command: Command) -> None:
    command("verify", *GRID, "--adapters", "honest,lossy")
    ran = command("verify", *GRID, "--adapters", "honest", "--last-failed")
    assert ran.code == 2
    command("verify", *GRID, "--adapters", "lossy,miscounting", "-q")
    ran = command("verify", *GRID, "--adapters", "lossy", "--last-failed", "-q")
    assert "kept for --last-failed: 2 failures of miscounting" in ran.err
    assert "2 planned = 2 mismatch" in command("verify", "--adapters", "miscounting", "--last-failed", "-q").out


def test_a_message_that_the_encoding_lacks_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "project" / "kernel.py").write_text(
        "def f(weights, x, h0, c0, lengths):\n    raise ValueError('\u2717 \u00fc')\n", encoding="utf-8"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "lstm_xcheck", "verify", "--adapter", "m=kernel:f", *GRID],
        cwd=tmp_path / "project", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (2, b"")
    assert b"ERROR: 2 planned = 2 crashed" in ran.stdout
    assert b"\\u2717" in ran.stdout


def test_a_misspelt_verb_is_told_with_the_nearest(command: Command) -> None:
    ran = command("verfy", *GRID)
    assert (ran.code, "unknown verb 'verfy'; did you mean verify" in ran.err) == (2, True)
