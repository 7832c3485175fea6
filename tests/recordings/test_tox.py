"""tox tells `compare` what to expect: all that was asked for, also what was skipped."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: A project whose `compare` prints what it is told, with one environment that fails and one without an interpreter.
TOX_INI = """
[tox]
env_list = lint, good-torch, bad-torch, py399-torch, compare
no_package = true
skip_missing_interpreters = true

[testenv]
commands =
    bad: python -c "raise SystemExit(3)"
    good: python -c "print('recorded in run <{env:XCHECK_RUN:}>')"

[testenv:compare]
depends = good-torch, bad-torch, py399-torch
commands = python -c "print('told <{env:XCHECK_EXPECT:}> of run <{env:XCHECK_RUN:}>')"
"""


def tox(folder: Path, *arguments: str) -> str:
    pytest.importorskip("tox")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TOX", "XCHECK"))}
    command = [sys.executable, "-m", "tox", *arguments]
    run = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=300, check=False)
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "tox.ini").write_text(TOX_INI, encoding="utf-8")
    shutil.copy(ROOT / "toxfile.py", folder)
    return folder


@pytest.fixture(scope="module")
def output(project: Path) -> str:
    return tox(project, "run")


def test_what_was_skipped_or_failed_is_expected(output: str) -> None:
    assert re.search(r"py399-torch: SKIP", output), output
    assert re.search(r"bad-torch: FAIL", output), output
    assert "told <good-torch,bad-torch,py399-torch> of run" in output


def test_all_environments_belong_to_one_run(output: str) -> None:
    runs = set(re.findall(r"run <([^>{]*)>\n", output))
    assert len(runs) == 1, output
    assert re.fullmatch(r"\w{12}", runs.pop())


def test_compare_alone_expects_nothing(project: Path) -> None:
    assert "told <> of run <>" in tox(project, "run", "-e", "compare")


def test_compare_waits_for_every_environment_that_records(tmp_path: Path) -> None:
    listed = tox(ROOT, "list", "--no-desc", "-q", "--workdir", str(tmp_path))
    names = [name for name in listed.split() if re.fullmatch(r"py\d+-[\w-]+", name) and "core" not in name]
    assert len(names) >= 10, listed
    text = tox(ROOT, "config", "-e", "compare", "-k", "depends", "--workdir", str(tmp_path))
    config = configparser.ConfigParser()
    config.read_string(text[text.index("[testenv:compare]") :])
    assert set(names) <= set(config["testenv:compare"]["depends"].split())
